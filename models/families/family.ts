import type { Embeddings } from '../encoders/embeddings.ts'
import type { OnnxModel } from '../onnx/model.ts'
import type { LinearHead, Scores } from './linear-head.ts'

/** A named array of a family's learned state, row-major. */
export interface Tensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** A family's learned state, apart from its hyperparameters. */
export interface HeadWeights {
  readonly models: readonly string[]
  readonly tensors: Readonly<Record<string, Tensor>>
}

/** Indices of the two `models` that a win rate compares. */
export interface Pair {
  readonly strong: number
  readonly weak: number
}

/** The training rows in a head, and the result for a prompt far from all of them. */
export interface HeldRows {
  readonly rows: number
  /** rows x models: observed score of each model, or the model's mean if not observed */
  readonly scores: Float32Array
  /** models: mean score */
  readonly base: Float32Array
  /** the weight of `base` relative to the rows' weights */
  readonly prior: number
}

/**
 * A router family's forward pass. The learned state comes from training/; a family defines how to compute
 * with it: in plain code (`forward`), as an ONNX graph (`graph`) and, if the head is linear, folded (`fold`).
 * Every family passes `testing/family-contract.ts`.
 */
export interface Family {
  readonly name: string
  /** The kind of embedding that the head reads. */
  readonly input: 'dense' | 'sparse' | 'either'
  forward(weights: HeadWeights, pair: Pair, embeddings: Embeddings): Scores
  /**
   * Dense input: `embedding` float32 [n, d]. Sparse input: `ids` int64 [n, l] and `weights` float32 [n, l],
   * padded with id 0 at weight 0. Outputs: `win_rate` float32 [n] and, if the family has it, `quality` [n,
   * m].
   */
  graph(weights: HeadWeights, pair: Pair, input: GraphInput): OnnxModel
  /** The training rows in a head that uses neighbours; its graph then has `NEIGHBOUR_OUTPUTS` as well. */
  neighbours?(weights: HeadWeights): HeldRows
  /** The same head as one linear map and a link, if it is linear. */
  fold?(weights: HeadWeights, pair: Pair): LinearHead
}

export interface GraphInput {
  readonly kind: 'dense' | 'sparse'
  readonly dimension: number
}
