import type { Family, GraphInput, HeadWeights, Pair } from './family.ts'
import { linearGraph, tensorOf } from './linear-graph.ts'
import type { Scores } from './linear-head.ts'
import { type LinearHead, sigmoid } from './linear-head.ts'

/**
 * Matrix factorization, in two forms over delta(m, e) = w2 . (v_m o (W1 e + b)):
 * - pairwise, with v_m / |v_m|: P(a beats b) = sigmoid(delta_a - delta_b) (Ong et al. 2024, arXiv 2406.18665,
 *   eq. 6-8);
 * - success, with unnormalised v_m: P(m is right) = sigmoid(delta_m) (EmbedLLM, arXiv 2410.02223), and the
 *   plug-in rule for the win rate.
 *
 * Tensors: `models` [m, rank], `projection` [d, rank], `bias` [rank], `output` [rank]; the success form also
 * has `form` [1].
 */
export const mf: Family = {
  name: 'mf',
  input: 'dense',

  forward(weights, pair, embeddings): Scores {
    if (embeddings.kind !== 'dense') throw new TypeError('mf reads dense embeddings')
    const { models, rank, dimension, vectors, scales, projection, bias, output, success } =
      parts(weights)
    const winRate = new Float64Array(embeddings.rows)
    const quality = new Float64Array(embeddings.rows * models)
    const hidden = new Float64Array(rank)
    const delta = new Float64Array(models)
    for (let row = 0; row < embeddings.rows; row++) {
      for (let k = 0; k < rank; k++) hidden[k] = bias[k]!
      for (let j = 0; j < dimension; j++) {
        const value = embeddings.values[row * dimension + j]!
        for (let k = 0; k < rank; k++) hidden[k]! += value * projection[j * rank + k]!
      }
      for (let m = 0; m < models; m++) {
        let sum = 0
        for (let k = 0; k < rank; k++) sum += output[k]! * vectors[m * rank + k]! * hidden[k]!
        delta[m] = sum * scales[m]!
        quality[row * models + m] = sigmoid(delta[m]!)
      }
      const [strong, weak] = [delta[pair.strong]!, delta[pair.weak]!]
      winRate[row] = success ? (1 + sigmoid(strong) - sigmoid(weak)) / 2 : sigmoid(strong - weak)
    }
    return { winRate, quality }
  },

  graph: (weights, pair, input: GraphInput) => linearGraph(foldMf(weights, pair), input),
  fold: foldMf,
}

/** delta is linear in e: per model, a row of W1 (w2 o v_m) and a constant b . (w2 o v_m). */
function foldMf(weights: HeadWeights, pair: Pair): LinearHead {
  const { models, rank, dimension, vectors, scales, projection, bias, output, success } =
    parts(weights)
  const folded = new Float32Array(dimension * models)
  const constants = new Float32Array(models)
  const scaled = new Float64Array(rank)
  for (let m = 0; m < models; m++) {
    let constant = 0
    for (let k = 0; k < rank; k++) {
      scaled[k] = output[k]! * vectors[m * rank + k]! * scales[m]!
      constant += bias[k]! * scaled[k]!
    }
    constants[m] = constant
    for (let j = 0; j < dimension; j++) {
      let sum = 0
      for (let k = 0; k < rank; k++) sum += projection[j * rank + k]! * scaled[k]!
      folded[j * models + m] = sum
    }
  }
  return {
    link: success ? 'success' : 'bradley-terry',
    outputs: models,
    dimension,
    weights: folded,
    bias: constants,
    ...pair,
  }
}

interface MfParts {
  readonly models: number
  readonly rank: number
  readonly dimension: number
  readonly vectors: Float32Array
  /** the factor for each vector: 1 / |v_m| in the pairwise form, 0 for a zero vector */
  readonly scales: Float64Array
  readonly projection: Float32Array
  readonly bias: Float32Array
  readonly output: Float32Array
  readonly success: boolean
}

function parts(weights: HeadWeights): MfParts {
  const models = weights.models.length
  const [dimension = 0, rank = 0] = weights.tensors.projection?.shape ?? []
  const vectors = tensorOf(weights, 'models', [models, rank]).values
  const success = weights.tensors.form !== undefined
  const scales = Float64Array.from({ length: models }, (_, m) => {
    let norm = 0
    for (let k = 0; k < rank; k++) norm += vectors[m * rank + k]! ** 2
    return success ? 1 : norm > 0 ? 1 / Math.sqrt(norm) : 0
  })
  return {
    models,
    rank,
    dimension,
    vectors,
    scales,
    projection: tensorOf(weights, 'projection', [dimension, rank]).values,
    bias: tensorOf(weights, 'bias', [rank]).values,
    output: tensorOf(weights, 'output', [rank]).values,
    success,
  }
}
