import type { Family, GraphInput, HeadWeights, Pair } from './family.ts'
import { linearGraph, tensorOf } from './linear-graph.ts'
import { type LinearHead, scoreLinear } from './linear-head.ts'

/**
 * Linear classifiers on the embedding. Trained on outcomes: one success head per model and the plug-in rule
 * winRate = (1 + p_strong - p_weak) / 2 (CARROT, arXiv 2502.03261). Trained on preferences alone: one head
 * for the pair. Tensors: `weights` [d, outputs], `bias` [outputs]; one output means a pair head.
 */
export const classifier: Family = {
  name: 'classifier',
  input: 'either',
  forward: (weights, pair, embeddings) => scoreLinear(foldClassifier(weights, pair), embeddings),
  graph: (weights, pair, input: GraphInput) => linearGraph(foldClassifier(weights, pair), input),
  fold: foldClassifier,
}

export function foldClassifier(weights: HeadWeights, pair: Pair): LinearHead {
  const [dimension = 0, outputs = 0] = weights.tensors.weights?.shape ?? []
  return {
    link: outputs === 1 ? 'pair' : 'success',
    outputs,
    dimension,
    weights: tensorOf(weights, 'weights', [dimension, outputs]).values,
    bias: tensorOf(weights, 'bias', [outputs]).values,
    ...pair,
  }
}
