import { GraphBuilder } from '../onnx/builder.ts'
import type { Family, GraphInput, HeadWeights } from './family.ts'
import { declareInput, type InputNames } from './linear-graph.ts'
import {
  heldRows,
  type Kernel,
  type Neighbours,
  neighboursOf,
  scoreByNeighbours,
} from './neighbours.ts'
import {
  cosines,
  declareNeighbours,
  declareOutputs,
  doubles,
  weighScores,
} from './neighbours-graph.ts'

/**
 * Exact k nearest neighbours by cosine, with an exponential kernel and a Beta prior (arXiv 2505.12601):
 * weight_i = exp((c_i - 1) / t) - exp((c_k - 1) / t) for the k + 1 nearest, 0 for all others. The kernel
 * falls to 0 at neighbour k + 1, so neighbours at equal distance cannot flip a decision. `kernel`: k, t,
 * prior.
 */
export const knn: Family = {
  name: 'knn',
  input: 'either',
  forward(weights, pair, embeddings) {
    const held = neighboursOf(weights, 3)
    return scoreByNeighbours(held, nearest(held), pair, embeddings)
  },
  neighbours(weights) {
    const held = neighboursOf(weights, 3)
    return heldRows(held, held.kernel[2]!)
  },
  graph(weights, pair, input: GraphInput) {
    const builder = new GraphBuilder()
    const head = appendKnn(builder, weights, pair, declareInput(builder, input))
    declareOutputs(builder, head, weights.models.length)
    head.declareNeighbours()
    return { graph: builder.finish('weir_router') }
  },
}

function nearest({ n, kernel: [k = 1, temperature = 1, prior = 0] }: Neighbours): Kernel {
  const sorted = new Float64Array(n)
  return (similarities) => {
    sorted.set(similarities)
    sorted.sort()
    const edge = sorted[Math.max(n - 1 - k, 0)]!
    const floor = Math.exp((edge - 1) / temperature)
    for (let i = 0; i < n; i++) {
      const c = similarities[i]!
      similarities[i] = c > edge ? Math.exp((c - 1) / temperature) - floor : 0
    }
    return prior
  }
}

/**
 * Adds the head to a graph: double `winRate` [batch] and `quality` [batch, m]. Call it last, because
 * `declareNeighbours` renames values.
 */
export function appendKnn(
  builder: GraphBuilder,
  weights: HeadWeights,
  pair: { readonly strong: number; readonly weak: number },
  input: InputNames,
): { winRate: string; quality: string; declareNeighbours: () => void } {
  const held = neighboursOf(weights, 3)
  const [k = 1, temperature = 1, prior = 0] = held.kernel
  const all = cosines(builder, held, input)
  const count = Math.min(k + 1, held.n)
  const [top = ''] = builder.nodeOutputs('TopK', [all, builder.integers([count])], 2, {
    axis: { int: 1 },
  })
  const edge = builder.node('ReduceMin', [top], { axes: { ints: [1] }, keepdims: { int: 1 } })
  const exponential = (value: string): string => {
    const from = builder.node('Sub', [value, doubles(builder, [1])])
    return builder.node('Exp', [builder.node('Div', [from, doubles(builder, [temperature])])])
  }
  // the difference is positive for rows nearer than the edge, and is clamped to 0 for the others
  const above = builder.node('Sub', [exponential(all), exponential(edge)])
  const weight = builder.node('Max', [above, doubles(builder, [0])])
  return {
    ...weighScores(builder, held, pair, weight, doubles(builder, [prior])),
    declareNeighbours: () => declareNeighbours(builder, { similarity: all, weight }, held.n),
  }
}
