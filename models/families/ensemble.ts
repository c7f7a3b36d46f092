import type { Family, GraphInput, HeadWeights } from '../family.ts'
import { sigmoid } from '../linear-head.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import { classifier, foldClassifier } from './classifier.ts'
import { declareInput } from './graph-input.ts'
import { appendKnn, knn } from './knn.ts'
import { appendLinear } from './linear-graph.ts'
import { declareOutputs, doubles } from './neighbours-graph.ts'
import { tensorOf } from './tensor-of.ts'

const MEMBERS = ['classifier', 'knn'] as const
type Member = (typeof MEMBERS)[number]

/** Win rates nearer 0 or 1 than this count as this near, so that no member can decide alone. */
const MARGIN = 1e-4

/**
 * A classifier and its training prompts' neighbours: winRate = sigmoid(sum of a_k logit(winRate_k)). Tensors:
 * the members' own under `classifier.` and `knn.`, and `mix` [2], the a_k. Quality is the members' mean by
 * mix; a pair head has none, and then the ensemble has none.
 */
export const ensemble: Family = {
  name: 'ensemble',
  input: 'either',
  forward(weights, pair, embeddings) {
    const mix = mixOf(weights)
    const linear = classifier.forward(memberWeights(weights, 'classifier'), pair, embeddings)
    const near = knn.forward(memberWeights(weights, 'knn'), pair, embeddings)
    const winRate = linear.winRate.map((rate, row) =>
      sigmoid(mix[0] * clippedLogit(rate) + mix[1] * clippedLogit(near.winRate[row]!)),
    )
    if (!linear.quality) return { winRate }
    const share = mix[0] / (mix[0] + mix[1])
    const quality = linear.quality.map(
      (value, i) => share * value + (1 - share) * near.quality![i]!,
    )
    return { winRate, quality }
  },
  neighbours: (weights) => knn.neighbours!(memberWeights(weights, 'knn')),
  graph(weights, pair, input: GraphInput) {
    const mix = mixOf(weights)
    const builder = new GraphBuilder()
    const names = declareInput(builder, input)
    const head = foldClassifier(memberWeights(weights, 'classifier'), pair)
    const linear = appendLinear(builder, head, names)
    const near = appendKnn(builder, memberWeights(weights, 'knn'), pair, names)
    const wide = (value: string): string => builder.node('Cast', [value], { to: { int: 11 } })
    const logits = [wide(linear.winRate), near.winRate].map((rate, i) =>
      builder.node('Mul', [logitNode(builder, rate), doubles(builder, [mix[i]!])]),
    )
    const winRate = builder.node('Sigmoid', [builder.node('Add', logits)])
    if (!linear.quality) {
      const narrow = builder.node('Cast', [winRate], { to: { int: 1 } })
      builder.output(narrow, 'float32', ['batch'], 'win_rate')
    } else {
      const share = mix[0] / (mix[0] + mix[1])
      const quality = builder.node('Add', [
        builder.node('Mul', [wide(linear.quality), doubles(builder, [share])]),
        builder.node('Mul', [near.quality, doubles(builder, [1 - share])]),
      ])
      declareOutputs(builder, { winRate, quality }, weights.models.length)
    }
    near.declareNeighbours()
    return { graph: builder.finish('weir_router') }
  },
}

/** One member's tensors under their own names. */
export function memberWeights({ models, tensors }: HeadWeights, member: Member): HeadWeights {
  const prefix = `${member}.`
  const own = Object.entries(tensors).filter(([name]) => name.startsWith(prefix))
  return {
    models,
    tensors: Object.fromEntries(own.map(([name, tensor]) => [name.slice(prefix.length), tensor])),
  }
}

export function ensembleWeights(
  members: Readonly<Record<Member, HeadWeights>>,
  mix: readonly [number, number],
): HeadWeights {
  const named = MEMBERS.flatMap((member) =>
    Object.entries(members[member].tensors).map(
      ([name, tensor]) => [`${member}.${name}`, tensor] as const,
    ),
  )
  return {
    models: members.classifier.models,
    tensors: {
      ...Object.fromEntries(named),
      mix: { shape: [2], values: Float32Array.from(mix) },
    },
  }
}

const mixOf = (weights: HeadWeights): readonly [number, number] => {
  const { values } = tensorOf(weights, 'mix', [2])
  return [values[0]!, values[1]!]
}

export function clippedLogit(rate: number): number {
  const p = Math.min(Math.max(rate, MARGIN), 1 - MARGIN)
  return Math.log(p / (1 - p))
}

function logitNode(builder: GraphBuilder, rate: string): string {
  const low = builder.node('Max', [rate, doubles(builder, [MARGIN])])
  const p = builder.node('Min', [low, doubles(builder, [1 - MARGIN])])
  const rest = builder.node('Sub', [doubles(builder, [1]), p])
  return builder.node('Log', [builder.node('Div', [p, rest])])
}
