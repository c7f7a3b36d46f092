import { type ChoiceRule, pairThreshold } from '../bundle/choice-rule.ts'
import type { Candidate } from '../bundle/manifest.ts'
import { CHARACTERS_PER_TOKEN, estimateCost } from '../prices.ts'

/**
 * Whether model `a` ranks before model `b` by value: larger q - lambda c first; ties go to the better model,
 * then to the cheaper. So two models of equal value are decided the way a threshold decides a win rate that
 * just reaches it.
 */
const better = (
  lambda: number,
  quality: ArrayLike<number>,
  costs: ArrayLike<number>,
  a: number,
  b: number,
): boolean => {
  const gap = quality[a]! - lambda * costs[a]! - (quality[b]! - lambda * costs[b]!)
  if (gap !== 0) return gap > 0
  const finer = quality[a]! - quality[b]!
  return finer === 0 ? costs[a]! < costs[b]! : finer > 0
}

/**
 * Sorts the candidates into the order in which to try them, in place in `order` (m indices, initially any
 * permutation of the candidates). By value: largest first. Within a loss: the models within it, cheapest
 * first, then the rest, best first. Models with `allowed` = 1 (length m) come before those the request does
 * not allow, and the best model from which a loss is measured is an allowed one.
 *
 * Insertion sort, because m is small; nothing is allocated.
 */
export function choiceOrder(
  rule: ChoiceRule,
  quality: ArrayLike<number>,
  costs: ArrayLike<number>,
  allowed: ArrayLike<number> | undefined,
  order: Int32Array,
): Int32Array {
  let floor = Number.NEGATIVE_INFINITY
  if (rule.kind === 'cheapest-within') {
    for (const k of order) if (!allowed || allowed[k]) floor = Math.max(floor, quality[k]!)
    floor -= rule.loss
  }
  const before = (a: number, b: number): boolean => {
    if (allowed && allowed[a] !== allowed[b]) return allowed[a] === 1
    if (rule.kind === 'best-value') return better(rule.lambda, quality, costs, a, b)
    const within = quality[a]! >= floor
    if (within !== quality[b]! >= floor) return within
    if (!within) return better(0, quality, costs, a, b)
    const cheaper = costs[b]! - costs[a]!
    return cheaper === 0 ? quality[a]! > quality[b]! : cheaper > 0
  }
  for (let i = 1; i < order.length; i++) {
    const item = order[i]!
    let j = i
    for (; j > 0 && before(item, order[j - 1]!); j--) order[j] = order[j - 1]!
    order[j] = item
  }
  return order
}

/** The indices 0 .. m - 1. */
export const firstOrder = (m: number): Int32Array => Int32Array.from({ length: m }, (_, k) => k)

/**
 * Expected cost of the request with this model, in US dollars: from the model's price and the answer length
 * seen in training (or the prompt's length if none was seen), otherwise the average cost of its requests in
 * the training log. Undefined if neither is known.
 */
export function expectedCost(candidate: Candidate, promptCharacters: number): number | undefined {
  const { price, cost_usd: mean } = candidate
  if (!price) return mean
  return estimateCost(price, promptCharacters, expectedTokens(candidate, promptCharacters))
}

/** What a rule weighs: the expected cost and, where calibration set it, the worth of the time that an answer takes. */
export function weighedCost(candidate: Candidate, promptCharacters: number): number | undefined {
  const cost = expectedCost(candidate, promptCharacters)
  return cost === undefined ? undefined : cost + (candidate.wait_usd ?? 0)
}

/** Expected answer tokens: a power of the prompt's length if training fitted one, otherwise the mean. */
export function expectedTokens(candidate: Candidate, promptCharacters: number): number {
  const { output_tokens: mean, output_length: length } = candidate
  if (length) return Math.exp(length.intercept + length.slope * Math.log(promptCharacters + 1))
  return mean ?? promptCharacters / CHARACTERS_PER_TOKEN
}

/** One candidate in the order in which to try them. */
export interface Ranked {
  /** its position in the manifest */
  readonly index: number
  readonly candidate: Candidate
  readonly allowed: boolean
  readonly score: number
  /** expected US dollars of this request */
  readonly cost: number
}

export interface Ranking {
  readonly ranked: Ranked[]
  /** the win rate of the strong model over the weak one that the rule requires for this prompt */
  readonly threshold: number
}

/** All candidates ranked by the rule; those the request does not allow come last. */
export function rankByChoice(
  rule: ChoiceRule,
  candidates: readonly Candidate[],
  quality: Float64Array,
  promptCharacters: number,
  models: readonly string[] | undefined,
): Ranking {
  const m = candidates.length
  const costs = new Float64Array(m)
  const allowed = models ? new Uint8Array(m) : undefined
  let strong = 0
  let weak = 0
  for (let k = 0; k < m; k++) {
    const candidate = candidates[k]!
    costs[k] = weighedCost(candidate, promptCharacters) ?? 0
    if (allowed && models!.includes(candidate.model)) allowed[k] = 1
    if (candidate.role === 'strong') strong = k
    else if (candidate.role === 'weak') weak = k
  }
  const order = choiceOrder(rule, quality, costs, allowed, firstOrder(m))
  return {
    ranked: Array.from(order, (index) => ({
      index,
      candidate: candidates[index]!,
      allowed: allowed?.[index] !== 0,
      score: quality[index]!,
      cost: costs[index]! - (candidates[index]!.wait_usd ?? 0),
    })),
    threshold: pairThreshold(rule, costs[strong]!, costs[weak]!),
  }
}
