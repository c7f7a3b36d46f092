import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { createRandom } from '../../models/random.ts'
import { openKernel } from './kernel.ts'
import { hessianDiagonal, type LogisticProblem } from './logistic-problem.ts'

const MOST_ROWS = 512
/** Rows and pivots by which the strong directions are told from the rest. */
const PROBE_ROWS = 192
const PROBE_PIVOTS = 64
/** How many times their mean curvature the directions that no sampled row shows are taken to have. */
const UNSEEN = 2

/**
 * The inverse of D + Z'Z: D a diagonal, Z a sample of the rows scaled so that Z'Z estimates the data's
 * part of the Hessian, which for embeddings has a few strong directions that no diagonal sees (compare
 * Erdogdu and Montanari 2015). By Woodbury's identity with everything scaled by D^-1/2 it costs one
 * product with the sample, one with its transpose and a triangular solve.
 */
export async function lowRankPreconditioner(
  embeddings: DenseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): Promise<(vector: Float64Array) => void> {
  const { dimension: d, values } = embeddings
  const { rows, weights } = problem
  const size = d + 1
  const stride = Math.ceil(size / 4) * 4
  const sample = stratifiedSample(rows.length, Math.min(MOST_ROWS, Math.max(64, d)))
  const m = Math.ceil(sample.length / 4) * 4
  const lengths = [m * stride, stride, stride, m]
  const kernel = await openKernel(lengths.reduce((sum, length) => sum + length, 0) * 4)
  const [z, t, g, u] = kernel.allocate(lengths) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ]

  // the sample stands for all rows, in the diagonal too: sum(weight * x^2) without a pass over them
  let [whole, drawn] = [0, 0]
  for (const weight of weights) whole += weight
  for (const i of sample) drawn += weights[i]!
  const share = drawn > 0 ? whole / drawn : 0
  const squares = new Float64Array(size)
  for (const i of sample) {
    const weight = weights[i]! * share
    const start = rows[i]! * d
    for (let j = 0; j < d; j++) squares[j]! += weight * values[start + j]! * values[start + j]!
    squares[d]! += weight
  }
  const diagonal = hessianDiagonal(squares, new Float64Array(d))
  // a column that the sample happens not to show is not taken for one without curvature
  const least = (1e-3 * diagonal.reduce((sum, h) => sum + h, 0)) / size
  const root = diagonal.map((h) => 1 / Math.sqrt(Math.max(h, least)))
  const fillRows = (): void => {
    for (const [row, i] of sample.entries()) {
      const factor = Math.sqrt((weights[i]! * share) / 4)
      const start = rows[i]! * d
      for (let j = 0; j < d; j++) z[row * stride + j] = factor * values[start + j]! * root[j]!
      z[row * stride + d] = factor * root[d]!
    }
  }
  /** The lower triangle of Z Z' over the first `count` rows. */
  const gram = (count: number): Float64Array => {
    const products = new Float64Array(count * count)
    for (let i = 0; i < count; i++) {
      t.set(z.subarray(i * stride, (i + 1) * stride))
      const upTo = Math.ceil((i + 1) / 4) * 4
      kernel.dots(z.byteOffset, stride * 4, upTo, t.byteOffset, u.byteOffset)
      for (let k = 0; k <= i; k++) products[i * count + k] = u[k]!
    }
    return products
  }

  fillRows()
  const probe = Math.min(PROBE_ROWS, sample.length)
  const rest = UNSEEN * Math.max(1e-4, residualShare(gram(probe), probe, PROBE_PIVOTS))
  for (let j = 0; j < size; j++) {
    root[j] = 1 / Math.sqrt(rest / root[j]! ** 2 + (penalty[j] ?? 0))
  }
  fillRows()
  const factor = gram(m)
  for (let i = 0; i < m; i++) factor[i * m + i]! += 1
  cholesky(factor, m)
  const solved = new Float64Array(m)

  return (vector) => {
    for (let j = 0; j < size; j++) t[j] = vector[j]! * root[j]!
    kernel.dots(z.byteOffset, stride * 4, m, t.byteOffset, u.byteOffset)
    solved.set(u)
    solveCholesky(factor, m, solved)
    u.set(solved)
    g.fill(0)
    kernel.accumulate(z.byteOffset, stride * 4, m, u.byteOffset, g.byteOffset)
    for (let j = 0; j < size; j++) vector[j] = (vector[j]! * root[j]! - g[j]!) * root[j]!
  }
}

/** One index from each of `count` equal stretches of [0, n); all of them where there are no more. */
function stratifiedSample(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i)
  const random = createRandom(1)
  return Array.from({ length: count }, (_, i) => Math.floor(((i + random.next()) * n) / count))
}

/** Overwrites the lower triangle of a positive definite n x n matrix with its Cholesky factor. */
function cholesky(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let k = 0; k <= i; k++) {
      let rest = a[i * n + k]!
      for (let j = 0; j < k; j++) rest -= a[i * n + j]! * a[k * n + j]!
      a[i * n + k] = i === k ? Math.sqrt(rest) : rest / a[k * n + k]!
    }
  }
}

/** Solves L L' x = b in place. */
function solveCholesky(l: Float64Array, n: number, b: Float64Array): void {
  for (let i = 0; i < n; i++) {
    let rest = b[i]!
    for (let j = 0; j < i; j++) rest -= l[i * n + j]! * b[j]!
    b[i] = rest / l[i * n + i]!
  }
  for (let i = n - 1; i >= 0; i--) {
    const value = b[i]! / l[i * n + i]!
    b[i] = value
    for (let j = 0; j < i; j++) b[j]! -= l[i * n + j]! * value
  }
}

/**
 * The share of a Gram matrix's trace that is left after a partial Cholesky factorization which takes
 * the largest pivot each time: what the strongest `pivots` rows do not explain of the others.
 */
function residualShare(gram: Float64Array, n: number, pivots: number): number {
  const at = (i: number, k: number): number => gram[i >= k ? i * n + k : k * n + i]!
  const left = Float64Array.from({ length: n }, (_, i) => at(i, i))
  const whole = left.reduce((sum, value) => sum + value, 0)
  const columns: Float64Array[] = []
  const taken = new Set<number>()
  for (let step = 0; step < Math.min(pivots, n >> 1); step++) {
    let pivot = -1
    for (let i = 0; i < n; i++)
      if (!taken.has(i) && (pivot < 0 || left[i]! > left[pivot]!)) pivot = i
    if (!(left[pivot]! > 1e-9 * whole)) break
    const scale = Math.sqrt(left[pivot]!)
    const column = Float64Array.from({ length: n }, (_, i) => {
      let value = at(i, pivot)
      for (const known of columns) value -= known[i]! * known[pivot]!
      return value / scale
    })
    for (let i = 0; i < n; i++) left[i]! -= column[i]! ** 2
    taken.add(pivot)
    columns.push(column)
  }
  let rest = 0
  for (let i = 0; i < n; i++) if (!taken.has(i)) rest += Math.max(left[i]!, 0)
  return whole > 0 ? (rest / whole) * (n / Math.max(1, n - taken.size)) : 1
}
