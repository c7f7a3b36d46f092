import type { NeighbourWeights } from '../bundle/graph-head.ts'
import type { NeighbourRows } from '../bundle/neighbours-file.ts'
import { fieldName, fieldsOf, framed, textOf } from '../encoders/context.ts'
import type { Embeddings } from '../encoders/embeddings.ts'
import type { Encoder } from '../encoders/encoder.ts'
import { type LinearHead, linearLogits, sigmoid } from '../families/linear-head.ts'
import type { Explanation } from './decision.ts'

/** Default number of features in an explanation. */
const TOP = 10

/**
 * The contribution of each feature of one prompt, largest first. For `pair` and `bradley-terry`: in log-odds
 * of the win rate. For `success`: in the difference of success rates, where each head's sigmoid is divided
 * among its features in proportion to their logits. These are integrated gradients (Sundararajan et al. 2017)
 * from an empty prompt, so they add up to the difference from an empty prompt.
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

/** How much one unit of each logit adds to the explained quantity. */
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

/** Mean of the sigmoid's derivative between two logits. */
function meanSlope(from: number, to: number): number {
  if (Math.abs(to - from) < 1e-6) return sigmoid(from) * (1 - sigmoid(from))
  return (sigmoid(to) - sigmoid(from)) / (to - from)
}

/** Calls `visit` for each non-zero value of the first row. */
function eachValue(embeddings: Embeddings, visit: (index: number, value: number) => void): void {
  if (embeddings.kind === 'dense') {
    for (let i = 0; i < embeddings.dimension; i++) visit(i, embeddings.values[i]!)
    return
  }
  for (let j = embeddings.offsets[0]!; j < embeddings.offsets[1]!; j++) {
    visit(embeddings.ids[j]!, embeddings.weights[j]!)
  }
}

/** Maximum number of parts per prompt; each part costs one more run of the encoder and the head. */
const MAX_PARTS = 16
/** Maximum total characters over all these runs; bounds the cost of one explanation. */
const MAX_CHARACTERS = 400_000
/** In prompts longer than this many characters, individual words are not found. */
const LONG = 10_000
/** Maximum characters of a part's text in its name. */
const NAME = 60
/** Win rates are clamped this far from 0 and 1. */
const MARGIN = 1e-6

/**
 * The effect of each part of a prompt on the win rate, for heads that cannot explain themselves: the log-odds
 * of the whole prompt minus those without the part. Parts are words; of a prompt with many, its sentences and
 * lines, or runs of words where it has one. The
 * effects do not add up: if two parts carry the same information, removing either one changes little.
 *
 * @param score calibrated win rates of texts
 */
export async function explainParts(
  prompt: string,
  score: (texts: readonly string[]) => Promise<Float64Array>,
): Promise<Explanation['features']> {
  const parts = partsOf(prompt)
  // the remaining text must not be empty
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

/**
 * The effect of each field of a reading on the win rate, like that of its parts: the log-odds with it minus those
 * without. None if the encoder reads no fields.
 *
 * @param winRates calibrated win rates of readings
 */
export async function explainFields(
  reading: string,
  encoder: Pick<Encoder, 'fieldNames'>,
  winRates: (readings: readonly string[]) => Promise<Float64Array>,
): Promise<Explanation['features']> {
  const names = encoder.fieldNames
  const fields = fieldsOf(reading)
  const given = [...fields.keys()].filter((i) => fields[i] !== '' && names?.[i] !== undefined)
  if (!names || given.length === 0) return []
  const without = given.map((i) => framed(fields.with(i, ''), textOf(reading)))
  const rates = await winRates([reading, ...without])
  const whole = logOdds(rates[0]!)
  return given
    .map((i, at) => ({
      name: fieldName(names[i]!, fields[i]!),
      contribution: whole - logOdds(rates[at + 1]!),
    }))
    .filter(({ contribution }) => contribution !== 0)
}

/** Splits the prompt into words, sentences, or runs of them as equal in number as possible; fewer for a long prompt. */
function partsOf(prompt: string): { readonly from: number; readonly to: number }[] {
  const starts = prompt.length <= LONG ? unitStarts(prompt) : spreadStarts(prompt)
  const most = Math.min(MAX_PARTS, Math.max(2, Math.floor(MAX_CHARACTERS / prompt.length)))
  const count = Math.min(starts.length, most)
  return Array.from({ length: count }, (_, i) => ({
    from: starts[Math.floor((i * starts.length) / count)]!,
    to: starts[Math.floor(((i + 1) * starts.length) / count)] ?? prompt.length,
  }))
}

/** Where words start, or sentences and lines if there are more words than parts. */
function unitStarts(prompt: string): number[] {
  const words = wordStarts(prompt)
  if (words.length <= MAX_PARTS) return words
  // ends of sentences stand before a blank; Chinese and Japanese ones before anything
  const ends = [...prompt.matchAll(/[.!?…]["'”’)\]]*\s+(?=\S)|[。！？]\s*(?=\S)|\n\s*(?=\S)/g)]
  const first = words[0]!
  const starts = ends.map(({ index, 0: end }) => index + end.length).filter((at) => at > first)
  return starts.length > 0 ? [first, ...starts] : words
}

const wordStarts = (prompt: string): number[] =>
  [...prompt.matchAll(/\S+/g)].map(({ index }) => index)

/** Word starts near equally spaced positions, found without scanning every word. */
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

/** Default number of neighbours in an explanation. */
const TOP_NEIGHBOURS = 10

/**
 * The training rows with the largest weights for one prompt, and their share of the total weight. The
 * neighbours' win rate is the sum of weight x win rate over the listed rows, `others` and `prior`, whose
 * weights sum to 1: the formula of `scoreByNeighbours`, written for the pair. It is the head's raw win rate:
 * a probability calibration or an ensemble's other members are applied afterwards.
 *
 * @param texts the start of each row's prompt, if the bundle stores it
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
  // rows of equal weight stay in training order, so the same prompt always lists the same rows
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
