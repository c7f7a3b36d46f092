import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { sigmoid } from '../../models/linear-head.ts'
import { openKernel } from './kernel.ts'
import {
  addPenalty,
  type LogisticObjective,
  type LogisticProblem,
  logLoss,
} from './logistic-problem.ts'
import { lowRankPreconditioner } from './low-rank.ts'

/** A block of rows that stays in the second-level cache between the two kernels. */
const BLOCK_BYTES = 128 * 1024
/** Rows summed in float32 before the sum goes to float64. */
const ROWS_A_SUM = 256

/**
 * The logistic objective over dense rows: one pass over them a call, block by block through the
 * WebAssembly kernels, without a second copy of the rows. Products are float32, sums over rows float64.
 */
export async function denseLogistic(
  embeddings: DenseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): Promise<LogisticObjective> {
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
        // rows of an earlier block that pad the last four count nothing
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
      return loss + addPenalty(point, gradient, penalty)
    },

    precision: 1e-8,
    precondition: await lowRankPreconditioner(embeddings, problem, penalty),
  }
}

/** Rows [from, to) of the problem; `source` where they lie together as the kernel wants them. */
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

/** Moves a float32 sum into the float64 one. */
function flush(g: Float32Array, gradient: Float64Array, d: number): void {
  for (let j = 0; j < d; j++) gradient[j]! += g[j]!
  g.fill(0)
}
