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

/**
 * The rows of all parts, which must have one kind and one dimension. Parts that stand one behind the other in the same
 * memory stay there.
 */
export function concatenate(parts: readonly Embeddings[]): Embeddings {
  const dense = parts.filter((part) => part.kind === 'dense')
  const sparse = parts.filter((part) => part.kind === 'sparse')
  if (dense.length === parts.length) return concatenateDense(dense)
  if (sparse.length === parts.length) return concatenateSparse(sparse)
  throw new TypeError('cannot join dense and sparse rows')
}

/** Rows [from, to), which share the memory of the given ones. */
export function rowsBetween(of: Embeddings, from: number, to: number): Embeddings {
  const rows = to - from
  if (of.kind === 'dense') {
    return { ...of, rows, values: of.values.subarray(from * of.dimension, to * of.dimension) }
  }
  const [start, end] = [of.offsets[from]!, of.offsets[to]!]
  return {
    ...of,
    rows,
    offsets: of.offsets.slice(from, to + 1).map((offset) => offset - start),
    ids: of.ids.subarray(start, end),
    weights: of.weights.subarray(start, end),
  }
}

/** The parts as one array: without a copy if they stand one behind the other in the same memory. */
function joined<T extends Float32Array | Uint32Array>(
  parts: readonly T[],
  make: (n: number) => T,
): T {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  const first = parts[0]
  let end = first?.byteOffset ?? 0
  const adjacent = parts.every((part) => {
    const follows = part.buffer === first!.buffer && part.byteOffset === end
    end += part.byteLength
    return follows
  })
  if (first && adjacent) {
    const Type = first.constructor as new (buffer: ArrayBufferLike, at: number, n: number) => T
    return new Type(first.buffer, first.byteOffset, total)
  }
  const all = make(total)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** More memory than the rows so far ask for, so that it seldom has to grow; what is not written to is never used. */
const HEADROOM = 1.1

/** Joins rows that come in parts, holding each number once. */
export class CollectedRows {
  private rows = 0
  private of: Embeddings | undefined
  private readonly total: number

  /** @param total number of rows that will come */
  constructor(total: number) {
    this.total = total
  }

  add(part: Embeddings): void {
    this.of ??=
      part.kind === 'dense'
        ? { ...part, values: new Float32Array(this.total * part.dimension) }
        : { ...part, offsets: new Uint32Array(this.total + 1), ids: NO_IDS, weights: NO_WEIGHTS }
    if (this.of.kind === 'dense' && part.kind === 'dense') {
      this.of.values.set(part.values, this.rows * part.dimension)
    } else if (this.of.kind === 'sparse' && part.kind === 'sparse') {
      const held = this.of.offsets[this.rows]!
      const needed = held + part.ids.length
      if (needed > this.of.ids.length) {
        const perRow = needed / (this.rows + part.rows)
        const size = Math.max(needed, Math.ceil(HEADROOM * perRow * this.total))
        const [ids, weights] = [new Uint32Array(size), new Float32Array(size)]
        ids.set(this.of.ids.subarray(0, held))
        weights.set(this.of.weights.subarray(0, held))
        this.of = { ...this.of, ids, weights }
      }
      this.of.ids.set(part.ids, held)
      this.of.weights.set(part.weights, held)
      for (let i = 1; i <= part.rows; i++) {
        this.of.offsets[this.rows + i] = held + part.offsets[i]!
      }
    } else throw new TypeError('cannot join dense and sparse rows')
    this.rows += part.rows
  }

  /** All rows, once as many came as were announced. */
  finish(): Embeddings {
    if (!this.of || this.rows !== this.total) {
      throw new RangeError(`expected ${this.total} rows, got ${this.rows}`)
    }
    return rowsBetween({ ...this.of, rows: this.total }, 0, this.total)
  }
}

const NO_IDS = new Uint32Array(0)
const NO_WEIGHTS = new Float32Array(0)

function concatenateDense(parts: readonly DenseEmbeddings[]): DenseEmbeddings {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const dimension = parts[0]?.dimension ?? 0
  const values = joined(
    parts.map((part) => part.values),
    (n) => new Float32Array(n),
  )
  return { kind: 'dense', rows, dimension, values }
}

function concatenateSparse(parts: readonly SparseEmbeddings[]): SparseEmbeddings {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const offsets = new Uint32Array(rows + 1)
  const ids = joined(
    parts.map((part) => part.ids),
    (n) => new Uint32Array(n),
  )
  const weights = joined(
    parts.map((part) => part.weights),
    (n) => new Float32Array(n),
  )
  let at = 0
  let row = 0
  for (const part of parts) {
    for (let i = 0; i < part.rows; i++) offsets[++row] = at + part.offsets[i + 1]!
    at += part.ids.length
  }
  return { kind: 'sparse', rows, dimension: parts[0]?.dimension ?? 0, offsets, ids, weights }
}
