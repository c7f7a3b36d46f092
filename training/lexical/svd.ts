import type { OnProgress } from '../../core/progress.ts'
import { createRandom } from '../../core/random.ts'
import type { SparseEmbeddings } from '../../models/encoders/embeddings.ts'
import { openProducts } from '../solver/products.ts'
import { orthonormalise, symmetricEigen } from './orthogonal.ts'

export interface SvdOptions {
  /** only the first `columns` columns are used */
  readonly columns: number
  readonly dimension: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** columns x dimension, row-major: right singular vectors, largest singular value first. */
export interface RightVectors {
  readonly dimension: number
  readonly values: Float32Array
  readonly singularValues: Float64Array
}

const OVERSAMPLE = 10
const POWER_STEPS = 2

/**
 * Truncated SVD of sparse rows by randomised subspace iteration (Halko, Martinsson and Tropp 2011, algorithms
 * 4.4 and 5.1). The dimension is reduced to the rank of the rows.
 */
export async function truncatedSvd(
  rows: SparseEmbeddings,
  options: SvdOptions,
): Promise<RightVectors> {
  const { columns } = options
  const width = Math.min(options.dimension + OVERSAMPLE, rows.rows, columns)
  const dimension = Math.min(options.dimension, width)
  const steps = 2 * POWER_STEPS + 3
  let done = 0
  const tick = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C through
    options.signal?.throwIfAborted()
    options.onProgress?.({ stage: 'reducing dimensions', done: done++, total: steps })
  }
  const random = createRandom(options.seed)
  const start = new Float32Array(columns * width)
  for (let i = 0; i < start.length; i++) start[i] = random.normal()
  await tick()
  let left = multiply(rows, columns, start, width)
  for (let step = 0; step < POWER_STEPS; step++) {
    await tick()
    // one pass is enough here: it only keeps the columns from becoming parallel
    orthonormalise(left, rows.rows, width, 1)
    const right = multiplyTransposed(rows, columns, left, width)
    await tick()
    left = multiply(rows, columns, right, width)
  }
  await tick()
  orthonormalise(left, rows.rows, width, 2)
  const projected = multiplyTransposed(rows, columns, left, width)
  await tick()
  // B = Q^T A is width x columns; its right vectors come from the small matrix B B^T
  const tall = { rows: columns, columns: width, values: projected }
  const products = await openProducts(1)
  try {
    const cross = Float64Array.from((await products.multiply(tall, tall, 'left')).values)
    const { values, vectors } = symmetricEigen(symmetrised(cross, width), width)
    const singularValues = Float64Array.from({ length: dimension }, (_, k) =>
      Math.sqrt(Math.max(values[k]!, 0)),
    )
    const turn = new Float32Array(width * dimension)
    for (let j = 0; j < width; j++) {
      for (let k = 0; k < dimension; k++) {
        const singular = singularValues[k]!
        turn[j * dimension + k] = singular < 1e-9 ? 0 : vectors[j * width + k]! / singular
      }
    }
    const turned = { rows: width, columns: dimension, values: turn }
    const out = (await products.multiply(tall, turned)).values
    fixSigns(out, columns, dimension)
    return { dimension, values: out, singularValues }
  } finally {
    await products.close()
  }
}

/** Replaces a square matrix by the mean of it and its transpose, in place, since rounding makes them differ. */
function symmetrised(matrix: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const mean = (matrix[i * n + j]! + matrix[j * n + i]!) / 2
      matrix[i * n + j] = mean
      matrix[j * n + i] = mean
    }
  }
  return matrix
}

/** A (rows x columns) times dense (columns x width). */
function multiply(
  a: SparseEmbeddings,
  columns: number,
  dense: Float32Array,
  width: number,
): Float32Array {
  const out = new Float32Array(a.rows * width)
  for (let row = 0; row < a.rows; row++) {
    const to = row * width
    for (let j = a.offsets[row]!; j < a.offsets[row + 1]!; j++) {
      const column = a.ids[j]!
      if (column >= columns) continue
      const weight = a.weights[j]!
      const from = column * width
      for (let k = 0; k < width; k++) out[to + k]! += weight * dense[from + k]!
    }
  }
  return out
}

/** A^T (columns x rows) times dense (rows x width). */
function multiplyTransposed(
  a: SparseEmbeddings,
  columns: number,
  dense: Float32Array,
  width: number,
): Float32Array {
  const out = new Float32Array(columns * width)
  for (let row = 0; row < a.rows; row++) {
    const from = row * width
    for (let j = a.offsets[row]!; j < a.offsets[row + 1]!; j++) {
      const column = a.ids[j]!
      if (column >= columns) continue
      const weight = a.weights[j]!
      const to = column * width
      for (let k = 0; k < width; k++) out[to + k]! += weight * dense[from + k]!
    }
  }
  return out
}

/** Singular vectors are unique up to sign: makes the largest entry of each positive. */
function fixSigns(values: Float32Array, columns: number, dimension: number): void {
  for (let k = 0; k < dimension; k++) {
    let largest = 0
    for (let column = 0; column < columns; column++) {
      const value = values[column * dimension + k]!
      if (Math.abs(value) > Math.abs(largest)) largest = value
    }
    if (largest >= 0) continue
    for (let column = 0; column < columns; column++) values[column * dimension + k]! *= -1
  }
}
