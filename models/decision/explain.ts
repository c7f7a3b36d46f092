import type { NeighbourWeights } from '../bundle/graph-head.ts'
import type { NeighbourRows } from '../bundle/neighbours-file.ts'
import type { Embeddings } from '../encoders/embeddings.ts'
import { type LinearHead, linearLogits, sigmoid } from '../families/linear-head.ts'
import type { Explanation } from './decision.ts'

/** How many features an explanation names unless told otherwise. */
const TOP = 10

/**
 * What each feature of one prompt added, the largest first. For `pair` and `bradley-terry` in log-odds
 * of the win rate. For `success` in the difference of success rates: each head's sigmoid shared out
 * over its features in proportion to their logits, which is integrated gradients (Sundararajan et al.
 * 2017) from an empty prompt, so that all of them add up to the difference from an empty prompt.
 */
export function explainLinear(
  head: LinearHead,
  embeddings: Embeddings,
  names: ReadonlyMap<number, string> | undefined,
  top: number = TOP,
): Explanation {
  const slope = logitSlopes(head, embeddings)
  const features: { name: string; contribution: number }[] = []
  eachValue(embeddings, (index, value) => {
    let contribution = 0
    for (let k = 0; k < head.outputs; k++) {
      if (slope[k] !== 0)
        contribution += slope[k]! * value * head.weights[index * head.outputs + k]!
    }
    if (contribution !== 0) {
      features.push({ name: names?.get(index) ?? `dimension ${index}`, contribution })
    }
  })
  features.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
  return { features: features.slice(0, top) }
}

/** What one unit of each logit adds to what is explained. */
function logitSlopes(head: LinearHead, embeddings: Embeddings): Float64Array {
  const slope = new Float64Array(head.outputs)
  if (head.link === 'pair') {
    slope[0] = 1
    return slope
  }
  if (head.link === 'bradley-terry') {
    slope[head.strong] = 1
    slope[head.weak] = -1
    return slope
  }
  const logits = new Float64Array(head.outputs)
  linearLogits(head, embeddings, 0, logits)
  slope[head.strong] = meanSlope(head.bias[head.strong]!, logits[head.strong]!)
  slope[head.weak] = -meanSlope(head.bias[head.weak]!, logits[head.weak]!)
  return slope
}

/** Mean of the sigmoid's derivative from one logit to another. */
function meanSlope(from: number, to: number): number {
  if (Math.abs(to - from) < 1e-6) return sigmoid(from) * (1 - sigmoid(from))
  return (sigmoid(to) - sigmoid(from)) / (to - from)
}

/** Calls back for each value of the first row that is not 0. */
function eachValue(embeddings: Embeddings, visit: (index: number, value: number) => void): void {
  if (embeddings.kind === 'dense') {
    for (let i = 0; i < embeddings.dimension; i++) visit(i, embeddings.values[i]!)
    return
  }
  for (let j = embeddings.offsets[0]!; j < embeddings.offsets[1]!; j++) {
    visit(embeddings.ids[j]!, embeddings.weights[j]!)
  }
}

/** Parts that a prompt is cut into at the most: each costs one more look of the encoder and the head. */
const MAX_PARTS = 16
/** Characters that all looks together may have: bounds what one explanation costs. */
const MAX_CHARACTERS = 400_000
/** Words of a longer prompt are not told apart one by one. */
const LONG = 10_000
/** Characters of a part that stand in its name. */
const NAME = 60
/** Win rates nearer 0 or 1 than this count as this near. */
const MARGIN = 1e-6

/**
 * What each part of a prompt does to the win rate of a head that says nothing of itself: the log-odds, less
 * those without the part. Parts are words, or runs of words where there are many. They do not add up: what two
 * parts say alike, neither loses where one is left out.
 *
 * @param score calibrated win rates of texts
 */
export async function explainParts(
  prompt: string,
  score: (texts: readonly string[]) => Promise<Float64Array>,
): Promise<Explanation['features']> {
  const parts = partsOf(prompt)
  // what is left must be something to score
  const left = parts
    .map(({ from, to }) => ({ from, to, text: prompt.slice(0, from) + prompt.slice(to) }))
    .filter(({ text }) => /\S/.test(text))
  if (left.length === 0) return []
  const rates = await score([prompt, ...left.map(({ text }) => text)])
  const whole = logOdds(rates[0]!)
  const features = left.map(({ from, to }, i) => ({
    name: nameOf(prompt.slice(from, to)),
    contribution: whole - logOdds(rates[i + 1]!),
  }))
  return features
    .filter(({ contribution }) => contribution !== 0)
    .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
}

/** Runs of whole words, as equal in number as can be, that make up the prompt; fewer of a long one. */
function partsOf(prompt: string): { readonly from: number; readonly to: number }[] {
  const starts = prompt.length <= LONG ? wordStarts(prompt) : spreadStarts(prompt)
  const most = Math.min(MAX_PARTS, Math.max(2, Math.floor(MAX_CHARACTERS / prompt.length)))
  const count = Math.min(starts.length, most)
  return Array.from({ length: count }, (_, i) => ({
    from: starts[Math.floor((i * starts.length) / count)]!,
    to: starts[Math.floor(((i + 1) * starts.length) / count)] ?? prompt.length,
  }))
}

const wordStarts = (prompt: string): number[] =>
  [...prompt.matchAll(/\S+/g)].map(({ index }) => index)

/** Starts of words near equally spaced places, without a look at every word. */
function spreadStarts(prompt: string): number[] {
  const starts = new Set<number>()
  for (let k = 0; k < MAX_PARTS; k++) {
    const blank = /\s\S/g
    blank.lastIndex = Math.floor((k * prompt.length) / MAX_PARTS)
    const found = k === 0 ? { index: -1 } : blank.exec(prompt)
    if (found) starts.add(found.index + 1)
  }
  return [...starts]
}

function nameOf(text: string): string {
  const one = text
    .slice(0, 4 * NAME)
    .trim()
    .replace(/\s+/g, ' ')
  return one.length <= NAME ? `“${one}”` : `“${[...one].slice(0, NAME).join('')}…”`
}

function logOdds(rate: number): number {
  const p = Math.min(Math.max(rate, MARGIN), 1 - MARGIN)
  return Math.log(p / (1 - p))
}

/** How many neighbours an explanation names unless told otherwise. */
const TOP_NEIGHBOURS = 10

/**
 * The training rows that counted most for one prompt, with their share of all that counted. The win rate that
 * neighbours give is the sum of weight x win rate over the named ones, `others` and `prior`, whose weights sum
 * to 1: the formula of `scoreByNeighbours`, written for the pair. It is the head's own: a probability
 * calibration, or an ensemble's other member, works on it afterwards.
 *
 * @param texts the start of each row's prompt, where the bundle keeps it
 */
export function explainNeighbours(
  { similarity, weight }: NeighbourWeights,
  rows: NeighbourRows,
  texts: readonly string[] | undefined,
  top: number = TOP_NEIGHBOURS,
): Pick<Explanation, 'neighbours' | 'neighbourhood'> {
  const total = weight.reduce((sum, each) => sum + each, rows.prior.weight)
  const rate = (row: number): number => (1 + rows.scores[2 * row]! - rows.scores[2 * row + 1]!) / 2
  const counted = [...weight.keys()].filter((row) => weight[row]! > 0)
  // rows of equal weight in the order they were trained in, so that the same prompt always names the same
  counted.sort((a, b) => weight[b]! - weight[a]! || a - b)
  const named = counted.slice(0, top)
  const neighbours = named.map((row) => ({
    prompt_hash: rows.hashes[row]!,
    similarity: similarity[row]!,
    weight: weight[row]! / total,
    win_rate: rate(row),
    ...(rows.observed === 'outcomes'
      ? { strong: rows.scores[2 * row]!, weak: rows.scores[2 * row + 1]! }
      : {}),
    ...(texts ? { text: texts[row]! } : {}),
  }))
  let mass = 0
  let won = 0
  for (const row of counted.slice(top)) {
    mass += weight[row]!
    won += weight[row]! * rate(row)
  }
  const prior = { weight: rows.prior.weight / total, win_rate: rows.prior.win_rate }
  const others = {
    count: counted.length - named.length,
    weight: mass / total,
    win_rate: mass > 0 ? won / mass : rows.prior.win_rate,
  }
  const winRate =
    neighbours.reduce((sum, each) => sum + each.weight * each.win_rate, 0) +
    others.weight * others.win_rate +
    prior.weight * prior.win_rate
  return { neighbours, neighbourhood: { win_rate: winRate, others, prior } }
}
