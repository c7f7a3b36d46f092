import type { Embeddings } from '../encoders/embeddings.ts'
import { GraphBuilder } from '../onnx/builder.ts'
import { classifier, foldClassifier } from './classifier.ts'
import type { Family, GraphInput, HeadWeights, Pair } from './family.ts'
import { appendKernel, kernel } from './kernel.ts'
import { appendKnn, knn } from './knn.ts'
import { appendLinear, declareInput, type InputNames, tensorOf } from './linear-graph.ts'
import type { Scores } from './linear-head.ts'
import { sigmoid } from './linear-head.ts'

import { declareOutputs, doubles } from './neighbours-graph.ts'

/** The members' forward passes. */
export const FORWARD = { classifier, kernel, knn } as const
export type Member = keyof typeof FORWARD
/** In the order of their values in `mix`. */
export const MEMBERS = Object.keys(FORWARD) as readonly Member[]

/** Members' win rates are clamped this far from 0 and 1, so that no member can decide alone. */
const MARGIN = 1e-4

/** One member of the ensemble. */
interface Held {
  readonly name: Member
  /** the weight of its logit */
  readonly share: number
  readonly weights: HeadWeights
  /** indices of the pair among the member's outputs */
  readonly pair: Pair
  /** whether it has a quality for every model, in the ensemble's order */
  readonly hasQuality: boolean
}

/**
 * Combines several families: winRate = sigmoid(sum of a_k logit(winRate_k)). Tensors: the members' tensors
 * under `classifier.`, `kernel.` and `knn.` (an absent member has none), and `mix`, which holds the a_k. The
 * classifier may have heads for only some models, listed by index in `classifier.models`. Quality is the
 * mean, weighted by mix, over the members that have a quality for every model; absent if no member does.
 */
export const ensemble: Family = {
  name: 'ensemble',
  input: 'either',
  forward: (weights, pair, embeddings) => ensembleScores(weights, pair, embeddings),
  neighbours: (weights) => knn.neighbours!(memberWeights(weights, 'knn')),
  graph(weights, pair, input: GraphInput) {
    const builder = new GraphBuilder()
    const names = declareInput(builder, input)
    const members = heldMembers(weights, pair).map((held) => ({
      ...held,
      ...appended(builder, held, names),
    }))
    const logits = members.map(({ winRate, share }) =>
      builder.node('Mul', [logitNode(builder, winRate), doubles(builder, [share])]),
    )
    const winRate = builder.node('Sigmoid', [sumOf(builder, logits)])
    const judges = qualityShares(members)
    if (judges.length === 0) {
      const narrow = builder.node('Cast', [winRate], { to: { int: 1 } })
      builder.output(narrow, 'float32', ['batch'], 'win_rate')
    } else {
      const parts = judges.map(({ member, share }) =>
        builder.node('Mul', [member.quality!, doubles(builder, [share])]),
      )
      declareOutputs(builder, { winRate, quality: sumOf(builder, parts) }, weights.models.length)
    }
    for (const { declareNeighbours } of members) declareNeighbours?.()
    return { graph: builder.finish('weir_router') }
  },
}

/** The ensemble's scores, plus each member's score for the pair. */
export function ensembleScores(
  weights: HeadWeights,
  pair: Pair,
  embeddings: Embeddings,
): Scores & { readonly members: ReadonlyMap<Member, Float64Array> } {
  const held = heldMembers(weights, pair).map((member) => ({
    ...member,
    ...FORWARD[member.name].forward(member.weights, member.pair, embeddings),
  }))
  const winRate = new Float64Array(embeddings.rows)
  for (let row = 0; row < winRate.length; row++) {
    let logit = 0
    for (const member of held) logit += member.share * clippedLogit(member.winRate[row]!)
    winRate[row] = sigmoid(logit)
  }
  const members = new Map(held.map((member) => [member.name, member.winRate]))
  const judges = qualityShares(held)
  if (judges.length === 0) return { winRate, members }
  const quality = new Float64Array(embeddings.rows * weights.models.length)
  for (const { member, share } of judges) {
    for (let i = 0; i < quality.length; i++) quality[i]! += share * member.quality![i]!
  }
  return { winRate, quality, members }
}

/** What a member adds to a graph, as double values. */
interface Appended {
  readonly winRate: string
  readonly quality?: string
  readonly declareNeighbours?: () => void
}

function appended(
  builder: GraphBuilder,
  { name, weights, pair }: Held,
  input: InputNames,
): Appended {
  if (name === 'knn') return appendKnn(builder, weights, pair, input)
  if (name === 'kernel') return appendKernel(builder, weights, pair, input)
  const wide = (value: string): string => builder.node('Cast', [value], { to: { int: 11 } })
  const linear = appendLinear(builder, foldClassifier(weights, pair), input)
  return {
    winRate: wide(linear.winRate),
    ...(linear.quality && { quality: wide(linear.quality) }),
  }
}

/** The members that are present, with their weights. */
function heldMembers(weights: HeadWeights, pair: Pair): Held[] {
  const present = MEMBERS.filter((member) =>
    Object.keys(weights.tensors).some((name) => name.startsWith(`${member}.`)),
  )
  const { values: mix } = tensorOf(weights, 'mix', [present.length])
  return present.map((name, i) => {
    const own = memberWeights(weights, name)
    const some = own.tensors.models?.values
    return {
      name,
      share: mix[i]!,
      weights: own,
      pair: memberPair(own, pair),
      hasQuality: !some || some.length === weights.models.length,
    }
  })
}

/** Indices of the pair among a member's outputs, which may cover only some models. */
export function memberPair({ tensors }: HeadWeights, { strong, weak }: Pair): Pair {
  const some = tensors.models && [...tensors.models.values]
  return some ? { strong: some.indexOf(strong), weak: some.indexOf(weak) } : { strong, weak }
}

/**
 * Members with a quality for every model, and their weights; equal weights if all of these are 0 in the mix.
 */
function qualityShares<T extends Held & { readonly quality?: unknown }>(
  members: readonly T[],
): { readonly member: T; readonly share: number }[] {
  const judges = members.filter(({ hasQuality, quality }) => hasQuality && quality !== undefined)
  const total = judges.reduce((sum, { share }) => sum + share, 0)
  return judges.map((member) => ({
    member,
    share: total > 0 ? member.share / total : 1 / judges.length,
  }))
}

/** One member's tensors, with the member's prefix removed from their names. */
export function memberWeights({ models, tensors }: HeadWeights, member: Member): HeadWeights {
  const prefix = `${member}.`
  const own = Object.entries(tensors).filter(([name]) => name.startsWith(prefix))
  return {
    models,
    tensors: Object.fromEntries(own.map(([name, tensor]) => [name.slice(prefix.length), tensor])),
  }
}

/** @param mix one number per member, in the order of `MEMBERS` */
export function ensembleWeights(
  models: readonly string[],
  members: Readonly<Partial<Record<Member, HeadWeights>>>,
  mix: readonly number[],
): HeadWeights {
  const named = MEMBERS.flatMap((member) =>
    Object.entries(members[member]?.tensors ?? {}).map(
      ([name, tensor]) => [`${member}.${name}`, tensor] as const,
    ),
  )
  const values = Float32Array.from(mix)
  return {
    models,
    tensors: { ...Object.fromEntries(named), mix: { shape: [values.length], values } },
  }
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

const sumOf = (builder: GraphBuilder, values: readonly string[]): string =>
  values.reduce((sum, value) => builder.node('Add', [sum, value]))
