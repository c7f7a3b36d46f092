import Type from 'typebox'
import type { Embeddings } from '../encoders/embeddings.ts'

/** A head's scores for n prompts, before probability calibration. */
export interface Scores {
  /** n: P(strong better) + 1/2 P(tie) */
  readonly winRate: Float64Array
  /** n x m, row-major: one score in [0, 1] per model, if the family has them */
  readonly quality?: Float64Array
}

/**
 * How a linear head's logits become a win rate.
 * - `bradley-terry`: one logit per model; winRate = sigmoid(l_strong - l_weak), quality = sigmoid(l_m).
 * - `success`: one logit per model; quality = sigmoid(l_m), winRate = (1 + q_strong - q_weak) / 2.
 * - `pair`: one logit; winRate = sigmoid(l), no quality.
 */
export const Link = Type.Union([
  Type.Literal('bradley-terry'),
  Type.Literal('success'),
  Type.Literal('pair'),
])
export type Link = Type.Static<typeof Link>

/** A head that is a linear map of the embedding; scored with a few dot products instead of a session run. */
export interface LinearHead {
  readonly link: Link
  /** logits per prompt: the number of models, or 1 for `pair` */
  readonly outputs: number
  readonly dimension: number
  /** dimension x outputs, row-major: the weights of one feature are contiguous, for sparse rows. */
  readonly weights: Float32Array
  /** outputs */
  readonly bias: Float32Array
  readonly strong: number
  readonly weak: number
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Accumulates in double precision, so batch and single-row results are bit-identical. */
export function scoreLinear(head: LinearHead, embeddings: Embeddings): Scores {
  const { outputs } = head
  const rows = embeddings.rows
  const winRate = new Float64Array(rows)
  const quality = head.link === 'pair' ? undefined : new Float64Array(rows * outputs)
  const logits = new Float64Array(outputs)
  for (let row = 0; row < rows; row++) {
    linearLogits(head, embeddings, row, logits)
    if (quality) for (let k = 0; k < outputs; k++) quality[row * outputs + k] = sigmoid(logits[k]!)
    winRate[row] = linkWinRate(head, logits)
  }
  return quality ? { winRate, quality } : { winRate }
}

/** Writes one row's logits into `logits` (length `outputs`). */
export function linearLogits(
  head: LinearHead,
  embeddings: Embeddings,
  row: number,
  logits: Float64Array,
): void {
  const { outputs, weights, dimension } = head
  for (let k = 0; k < outputs; k++) logits[k] = head.bias[k]!
  if (embeddings.kind === 'sparse') {
    for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
      const start = embeddings.ids[j]! * outputs
      const value = embeddings.weights[j]!
      for (let k = 0; k < outputs; k++) logits[k]! += value * weights[start + k]!
    }
    return
  }
  const from = row * dimension
  for (let j = 0; j < dimension; j++) {
    const value = embeddings.values[from + j]!
    const start = j * outputs
    for (let k = 0; k < outputs; k++) logits[k]! += value * weights[start + k]!
  }
}

/** The win rate of a row from its logits. */
export function linkWinRate(head: LinearHead, logits: Float64Array): number {
  if (head.link === 'pair') return sigmoid(logits[0]!)
  const strong = logits[head.strong]!
  const weak = logits[head.weak]!
  if (head.link === 'bradley-terry') return sigmoid(strong - weak)
  return (1 + sigmoid(strong) - sigmoid(weak)) / 2
}
