import type { Family, GraphInput, HeadWeights, Pair } from '../family.ts'
import { type LinearHead, sigmoid } from '../linear-head.ts'
import type { Scores } from '../scores.ts'
import { linearGraph } from './linear-graph.ts'
import { tensorOf } from './tensor-of.ts'

/**
 * Matrix factorization (Ong et al. 2024, arXiv 2406.18665, eq. 6-8):
 * delta(m, e) = w2 . (v_m / |v_m| o (W1 e + b)), P(a beats b) = sigmoid(delta_a - delta_b).
 * Tensors: `models` [m, rank], `projection` [d, rank], `bias` [rank], `output` [rank].
 */
export const mf: Family = {
  name: 'mf',
  input: 'dense',

  forward(weights, pair, embeddings): Scores {
    if (embeddings.kind !== 'dense') throw new TypeError('mf reads dense embeddings')
    const { models, rank, dimension, vectors, projection, bias, output } = parts(weights)
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
        let norm = 0
        let sum = 0
        for (let k = 0; k < rank; k++) {
          const v = vectors[m * rank + k]!
          norm += v * v
          sum += output[k]! * v * hidden[k]!
        }
        delta[m] = norm > 0 ? sum / Math.sqrt(norm) : 0
        quality[row * models + m] = sigmoid(delta[m]!)
      }
      winRate[row] = sigmoid(delta[pair.strong]! - delta[pair.weak]!)
    }
    return { winRate, quality }
  },

  graph: (weights, pair, input: GraphInput) => linearGraph(foldMf(weights, pair), input),
  fold: foldMf,
}

/** delta is linear in e: a row of W1 (w2 o v_m/|v_m|) and a constant b . (w2 o v_m/|v_m|) a model. */
function foldMf(weights: HeadWeights, pair: Pair): LinearHead {
  const { models, rank, dimension, vectors, projection, bias, output } = parts(weights)
  const folded = new Float32Array(dimension * models)
  const constants = new Float32Array(models)
  const scaled = new Float64Array(rank)
  for (let m = 0; m < models; m++) {
    let norm = 0
    for (let k = 0; k < rank; k++) norm += vectors[m * rank + k]! ** 2
    const inverse = norm > 0 ? 1 / Math.sqrt(norm) : 0
    let constant = 0
    for (let k = 0; k < rank; k++) {
      scaled[k] = output[k]! * vectors[m * rank + k]! * inverse
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
    link: 'bradley-terry',
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
  readonly projection: Float32Array
  readonly bias: Float32Array
  readonly output: Float32Array
}

function parts(weights: HeadWeights): MfParts {
  const models = weights.models.length
  const [dimension = 0, rank = 0] = weights.tensors.projection?.shape ?? []
  return {
    models,
    rank,
    dimension,
    vectors: tensorOf(weights, 'models', [models, rank]).values,
    projection: tensorOf(weights, 'projection', [dimension, rank]).values,
    bias: tensorOf(weights, 'bias', [rank]).values,
    output: tensorOf(weights, 'output', [rank]).values,
  }
}
