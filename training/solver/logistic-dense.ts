import { createRandom } from '../../core/random.ts'
import type { DenseEmbeddings } from '../../models/encoders/embeddings.ts'
import { sigmoid } from '../../models/families/linear-head.ts'
import { LOGISTIC_KERNEL } from './logistic-kernel.ts'
import {
  hessianDiagonal,
  type LogisticLoss,
  type LogisticProblem,
  logLoss,
} from './logistic-problem.ts'
import { cholesky, solveCholesky } from './ridge.ts'

/** The solver's WebAssembly kernels (logistic-kernel.wat), with separate memory. */
export interface Kernel {
  /** Allocates Float32 arrays of these lengths in the kernel's memory, 16-byte aligned. */
  allocate(lengths: readonly number[]): Float32Array[]
  /** z[i] = x[i] . w; pointers in bytes, `stride` bytes per row (a multiple of 16), `rows` a multiple of 4 */
  dots(x: number, stride: number, rows: number, w: number, z: number): void
  /** g += sum of r[i] x[i]; as above */
  accumulate(x: number, stride: number, rows: number, r: number, g: number): void
}

interface KernelExports extends Pick<Kernel, 'dots' | 'accumulate'> {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
}

/** The part of WebAssembly that is used; its types come only with the DOM's. */
interface WebAssemblyApi {
  compile(binary: Uint8Array): Promise<object>
  instantiate(module: object): Promise<{ readonly exports: unknown }>
}
const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: WebAssemblyApi }

const PAGE = 65_536
const ALIGNMENT = 16
let compiling: Promise<object> | undefined

/** @param bytes total size of the allocations, before alignment */
export async function openKernel(bytes: number): Promise<Kernel> {
  compiling ??= wasm.compile(Buffer.from(LOGISTIC_KERNEL, 'base64'))
  const instance = await wasm.instantiate(await compiling)
  const { memory, dots, accumulate } = instance.exports as KernelExports
  memory.grow(Math.ceil(bytes / PAGE) + 1)
  return {
    dots,
    accumulate,
    allocate(lengths) {
      let at = 0
      return lengths.map((length) => {
        const array = new Float32Array(memory.buffer, at, length)
        at = Math.ceil((at + length * 4) / ALIGNMENT) * ALIGNMENT
        return array
      })
    },
  }
}

/** Size of a block of rows, which stays in the second-level cache between the two kernels. */
const BLOCK_BYTES = 128 * 1024
/** Number of rows summed in float32 before the sum is added to a float64 one. */
const ROWS_A_SUM = 256

/**
 * The logistic loss over dense rows: one pass over the rows per call, block by block through the
 * WebAssembly kernels, without a second copy of the rows. Products are float32, sums over rows float64.
 */
export async function denseLogistic(
  embeddings: DenseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): Promise<LogisticLoss> {
  const { dimension: d } = embeddings
  const { rows, labels, weights } = problem
  const stride = Math.ceil(d / 4) * 4
  const blockRows = Math.max(4, Math.min(ROWS_A_SUM, Math.floor(BLOCK_BYTES / stride / 16) * 4))
  const floats = [blockRows * stride, stride, stride, blockRows, blockRows]
  const kernel = await openKernel(floats.reduce((sum, length) => sum + length, 0) * 4)
  const [x, w, g, z, r] = kernel.allocate(floats) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const blocks = planBlocks(embeddings, rows, blockRows, stride)

  return {
    size: d + 1,
    evaluate(point, gradient) {
      for (let j = 0; j < d; j++) w[j] = point[j]!
      gradient.fill(0)
      g.fill(0)
      const bias = point[d]!
      let [loss, pull, summed] = [0, 0, 0]
      for (const { from, to, source } of blocks) {
        if (source) x.set(source)
        else copyRows(embeddings, rows, from, to, stride, x)
        const whole = Math.ceil((to - from) / 4) * 4
        kernel.dots(x.byteOffset, stride * 4, whole, w.byteOffset, z.byteOffset)
        for (let i = from; i < to; i++) {
          const logit = z[i - from]! + bias
          const y = labels[i]!
          loss += weights[i]! * logLoss(logit, y)
          const residual = weights[i]! * (sigmoid(logit) - y)
          pull += residual
          r[i - from] = residual
        }
        // rows of an earlier block that pad the last four get weight 0
        r.fill(0, to - from, whole)
        kernel.accumulate(x.byteOffset, stride * 4, whole, r.byteOffset, g.byteOffset)
        summed += to - from
        if (summed >= ROWS_A_SUM) {
          flush(g, gradient, d)
          summed = 0
        }
      }
      flush(g, gradient, d)
      gradient[d] = pull
      return loss
    },

    precision: 1e-8,
    precondition: await lowRankPreconditioner(embeddings, problem, penalty),
  }
}

/** Rows [from, to) of the problem; `source` if they are contiguous as the kernel needs them. */
interface Block {
  readonly from: number
  readonly to: number
  readonly source: Float32Array | undefined
}

function planBlocks(
  { dimension, values }: DenseEmbeddings,
  rows: Int32Array,
  blockRows: number,
  stride: number,
): Block[] {
  const blocks: Block[] = []
  for (let from = 0; from < rows.length; from += blockRows) {
    const to = Math.min(from + blockRows, rows.length)
    const first = rows[from]!
    let together = stride === dimension
    for (let i = from + 1; i < to && together; i++) together = rows[i] === first + i - from
    const end = (first + to - from) * dimension
    blocks.push({
      from,
      to,
      source: together ? values.subarray(first * dimension, end) : undefined,
    })
  }
  return blocks
}

function copyRows(
  { dimension, values }: DenseEmbeddings,
  rows: Int32Array,
  from: number,
  to: number,
  stride: number,
  x: Float32Array,
): void {
  for (let i = from; i < to; i++) {
    const start = rows[i]! * dimension
    x.set(values.subarray(start, start + dimension), (i - from) * stride)
  }
}

/** Adds a float32 sum to the float64 sum and clears it. */
function flush(g: Float32Array, gradient: Float64Array, d: number): void {
  for (let j = 0; j < d; j++) gradient[j]! += g[j]!
  g.fill(0)
}

const MOST_ROWS = 512
/** Number of sampled rows and of pivots that separate the strong directions from the rest. */
const PROBE_ROWS = 192
const PROBE_PIVOTS = 64
/** Assumed curvature of directions that no sampled row covers, as a multiple of their mean curvature. */
const UNSEEN = 2

/**
 * The inverse of D + Z'Z, where D is diagonal and Z is a sample of the rows, scaled so that Z'Z estimates the
 * data's part of the Hessian. For embeddings that part has a few strong directions that no diagonal captures
 * (compare Erdogdu and Montanari 2015). By Woodbury's identity, with everything scaled by D^-1/2, it costs
 * one product with the sample, one with its transpose and a triangular solve.
 */
async function lowRankPreconditioner(
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

  // the sample represents all rows, in the diagonal too: sum(weight * x^2) without a pass over them
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
  // a column that happens to be 0 in the sample still gets some curvature
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

/** One index from each of `count` equal stretches of [0, n); all indices if there are no more than `count`. */
function stratifiedSample(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i)
  const random = createRandom(1)
  return Array.from({ length: count }, (_, i) => Math.floor(((i + random.next()) * n) / count))
}

/**
 * The share of a Gram matrix's trace that remains after a partial Cholesky factorization with largest-pivot
 * selection: the part of the other rows that the strongest `pivots` rows do not explain.
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
