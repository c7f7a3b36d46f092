import type { Candidate } from '../bundle/manifest.ts'
import { choiceOrder, firstOrder } from './choose.ts'
import { expectedCost } from './expected-cost.ts'
import { type ChoiceRule, pairThreshold } from './rule.ts'

/** One candidate in the order in which they should be tried. */
export interface Ranked {
  /** its place in the manifest */
  readonly index: number
  readonly candidate: Candidate
  readonly allowed: boolean
  readonly score: number
  /** expected US dollars of this request */
  readonly cost: number
}

export interface Ranking {
  readonly ranked: Ranked[]
  /** what the rule asks of the win rate of the strong model over the weak one, on this prompt */
  readonly threshold: number
}

/** All candidates by the rule, what the request does not allow last. */
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
    costs[k] = expectedCost(candidate, promptCharacters) ?? 0
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
      cost: costs[index]!,
    })),
    threshold: pairThreshold(rule, costs[strong]!, costs[weak]!),
  }
}
