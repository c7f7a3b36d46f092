import { GraphBuilder } from '../onnx/builder.ts'
import type { Family, GraphInput } from './family.ts'
import { declareInput } from './linear-graph.ts'
import { heldRows, type Kernel, neighboursOf, scoreByNeighbours } from './neighbours.ts'
import {
  cosines,
  declareNeighbours,
  declareOutputs,
  doubles,
  weighScores,
} from './neighbours-graph.ts'

const GAMMA = 10

/**
 * Similarity-weighted Bradley-Terry (Ong et al. 2024, sec. 4.2): the comparison on each training prompt has
 * weight 10 * 10^(cosine / largest cosine); ties count half. For two models the weighted maximum likelihood
 * is the weighted share of wins, so nothing is fitted per request. `kernel`: the prior's weight (0 as
 * published).
 */
export const sw: Family = {
  name: 'sw',
  input: 'either',
  forward(weights, pair, embeddings) {
    const held = neighboursOf(weights, 1)
    return scoreByNeighbours(held, similarityWeights(held.kernel[0]!), pair, embeddings)
  },
  neighbours(weights) {
    const held = neighboursOf(weights, 1)
    return heldRows(held, held.kernel[0]!)
  },
  graph(weights, pair, input: GraphInput) {
    const held = neighboursOf(weights, 1)
    const builder = new GraphBuilder()
    const all = cosines(builder, held, declareInput(builder, input))
    const most = builder.node('ReduceMax', [all], { axes: { ints: [1] }, keepdims: { int: 1 } })
    const share = builder.node('Div', [all, builder.node('Max', [most, doubles(builder, [1e-6])])])
    const power = builder.node('Pow', [doubles(builder, [GAMMA]), share])
    const weight = builder.node('Mul', [power, doubles(builder, [GAMMA])])
    const outputs = weighScores(builder, held, pair, weight, doubles(builder, [held.kernel[0]!]))
    declareOutputs(builder, outputs, held.m)
    declareNeighbours(builder, { similarity: all, weight }, held.n)
    return { graph: builder.finish('weir_router') }
  },
}

function similarityWeights(prior: number): Kernel {
  return (similarities) => {
    let most = 1e-6
    for (const c of similarities) most = Math.max(most, c)
    for (let i = 0; i < similarities.length; i++) {
      similarities[i] = GAMMA * GAMMA ** (similarities[i]! / most)
    }
    return prior
  }
}
