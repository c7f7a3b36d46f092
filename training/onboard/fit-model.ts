import type { Embeddings } from '../../models/embeddings.ts'
import type { LinearHead } from '../../models/linear-head.ts'
import { fitLogistic } from '../solver/logistic.ts'
import { knownLogits } from './known-logits.ts'

/** Strength of the prior that a new model is like the average of the known ones, and like none of them alone. */
const LIKE_THE_MEAN = 1
const LIKE_ONE = 10

/** A new model's column for a head of success logits. */
export interface NewColumn {
  /** d */
  readonly weights: Float32Array
  readonly bias: number
}

/**
 * One more model's success head from a few probes, the rest frozen: its logit is a constant, a multiple of the
 * known models' mean logit, and a little of each one's distance from it, by penalised logistic regression.
 * That is m + 2 numbers instead of one a word, and linear in the embedding as every other head.
 *
 * @param scores of the new model, one a row, in [0, 1]
 */
export async function fitModel(
  head: LinearHead,
  embeddings: Embeddings,
  scores: Float32Array,
  signal?: AbortSignal,
): Promise<NewColumn> {
  const m = head.outputs
  const d = head.dimension
  const features: Embeddings = {
    kind: 'dense',
    rows: embeddings.rows,
    dimension: m + 1,
    values: knownLogits(head, embeddings),
  }
  const fit = await fitLogistic({
    embeddings: features,
    rows: Int32Array.from(scores, (_, row) => row),
    labels: scores,
    weights: new Float32Array(scores.length).fill(1),
    l2: LIKE_ONE,
    l2Ranges: [{ from: 0, to: 1, l2: LIKE_THE_MEAN }],
    maxIterations: 200,
    tolerance: 1e-6,
    ...(signal ? { signal } : {}),
  })
  // of the known models' own logits: (a_0 - sum of a_k) / m + a_k
  const rest = fit.weights.subarray(1)
  const shared = (fit.weights[0]! - rest.reduce((sum, a) => sum + a, 0)) / m
  const share = Float64Array.from(rest, (a) => shared + a)
  const weights = new Float32Array(d)
  let bias = fit.bias
  for (let k = 0; k < m; k++) {
    bias += share[k]! * head.bias[k]!
    for (let j = 0; j < d; j++) weights[j]! += share[k]! * head.weights[j * m + k]!
  }
  return { weights, bias }
}

/** The head with the new model's column behind the others. */
export function withColumn(head: LinearHead, column: NewColumn): LinearHead {
  const { outputs: m, dimension: d } = head
  const weights = new Float32Array(d * (m + 1))
  for (let j = 0; j < d; j++) {
    weights.set(head.weights.subarray(j * m, (j + 1) * m), j * (m + 1))
    weights[j * (m + 1) + m] = column.weights[j]!
  }
  return { ...head, outputs: m + 1, weights, bias: Float32Array.from([...head.bias, column.bias]) }
}
