/** n rows of d numbers, row-major. */
export interface DenseEmbeddings {
  readonly kind: 'dense'
  readonly rows: number
  readonly dimension: number
  /** rows x dimension */
  readonly values: Float32Array
}

/** n sparse rows (CSR): row i holds `ids[offsets[i]..offsets[i+1])`, ascending, with their weights. */
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
