/** n rows of d numbers, row-major. */
export interface DenseEmbeddings {
  readonly kind: 'dense'
  readonly rows: number
  readonly dimension: number
  /** rows x dimension */
  readonly values: Float32Array
}

/** n sparse rows (CSR): row i has the distinct ids `ids[offsets[i]..offsets[i+1])` and their weights. */
export interface SparseEmbeddings {
  readonly kind: 'sparse'
  readonly rows: number
  readonly dimension: number
  /** rows + 1 */
  readonly offsets: Uint32Array
  readonly ids: Uint32Array
  readonly weights: Float32Array
}

export type Embeddings = DenseEmbeddings | SparseEmbeddings

/** The given rows, in the given order. */
export function takeRows(embeddings: Embeddings, rows: ArrayLike<number>): Embeddings {
  return embeddings.kind === 'dense' ? takeDense(embeddings, rows) : takeSparse(embeddings, rows)
}

export function takeDense(from: DenseEmbeddings, rows: ArrayLike<number>): DenseEmbeddings {
  const d = from.dimension
  const values = new Float32Array(rows.length * d)
  for (let i = 0; i < rows.length; i++) {
    values.set(from.values.subarray(rows[i]! * d, (rows[i]! + 1) * d), i * d)
  }
  return { kind: 'dense', rows: rows.length, dimension: d, values }
}

export function takeSparse(from: SparseEmbeddings, rows: ArrayLike<number>): SparseEmbeddings {
  const offsets = new Uint32Array(rows.length + 1)
  for (let i = 0; i < rows.length; i++) {
    offsets[i + 1] = offsets[i]! + from.offsets[rows[i]! + 1]! - from.offsets[rows[i]!]!
  }
  const ids = new Uint32Array(offsets[rows.length]!)
  const weights = new Float32Array(ids.length)
  for (let i = 0; i < rows.length; i++) {
    const start = from.offsets[rows[i]!]!
    const end = from.offsets[rows[i]! + 1]!
    ids.set(from.ids.subarray(start, end), offsets[i]!)
    weights.set(from.weights.subarray(start, end), offsets[i]!)
  }
  return { kind: 'sparse', rows: rows.length, dimension: from.dimension, offsets, ids, weights }
}

/** Concatenates the rows of all parts; the parts must have one kind and one dimension. */
export function concatenate(parts: readonly Embeddings[]): Embeddings {
  const dense = parts.filter((part) => part.kind === 'dense')
  const sparse = parts.filter((part) => part.kind === 'sparse')
  if (dense.length === parts.length) return concatenateDense(dense)
  if (sparse.length === parts.length) return concatenateSparse(sparse)
  throw new TypeError('cannot join dense and sparse rows')
}

function concatenateDense(parts: readonly DenseEmbeddings[]): DenseEmbeddings {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const dimension = parts[0]?.dimension ?? 0
  const values = new Float32Array(rows * dimension)
  let at = 0
  for (const part of parts) {
    values.set(part.values, at)
    at += part.values.length
  }
  return { kind: 'dense', rows, dimension, values }
}

function concatenateSparse(parts: readonly SparseEmbeddings[]): SparseEmbeddings {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const total = parts.reduce((sum, part) => sum + part.ids.length, 0)
  const offsets = new Uint32Array(rows + 1)
  const ids = new Uint32Array(total)
  const weights = new Float32Array(total)
  let at = 0
  let row = 0
  for (const part of parts) {
    ids.set(part.ids, at)
    weights.set(part.weights, at)
    for (let i = 0; i < part.rows; i++) offsets[++row] = at + part.offsets[i + 1]!
    at += part.ids.length
  }
  return { kind: 'sparse', rows, dimension: parts[0]?.dimension ?? 0, offsets, ids, weights }
}
