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

/** Which two of `models` a win rate compares, as indices. */
export interface Pair {
  readonly strong: number
  readonly weak: number
}

/** Training rows as a head holds them, and what a prompt far from all of them gets. */
export interface HeldRows {
  readonly rows: number
  /** rows x models: what was observed of each, its mean where nothing was */
  readonly scores: Float32Array
  /** models */
  readonly base: Float32Array
  /** the weight that `base` counts beside the rows' weights */
  readonly prior: number
}

/**
 * A router family's forward pass. The learned state comes from training/; this says what it computes,
 * plainly (`forward`), as an ONNX graph (`graph`), and, where the head is linear, folded (`fold`).
 * Every family passes `testing/family-contract.ts`.
 */
export interface Family {
  readonly name: string
  /** What the head reads. */
  readonly input: 'dense' | 'sparse' | 'either'
  forward(weights: HeadWeights, pair: Pair, embeddings: Embeddings): Scores
  /**
   * Dense input: `embedding` float32 [n, d]. Sparse input: `ids` int64 [n, l] and `weights` float32
   * [n, l], padded with id 0 at weight 0. Outputs: `win_rate` float32 [n], and `quality` [n, m] where there is one.
   */
  graph(weights: HeadWeights, pair: Pair, input: GraphInput): OnnxModel
  /** What a head holds that asks training rows; its graph then gives `NEIGHBOUR_OUTPUTS` as well. */
  neighbours?(weights: HeadWeights): HeldRows
  /** The same head as one linear map and a link, where it is one. */
  fold?(weights: HeadWeights, pair: Pair): LinearHead
}

export interface GraphInput {
  readonly kind: 'dense' | 'sparse'
  readonly dimension: number
}
