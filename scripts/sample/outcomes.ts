import type { Random } from '../../core/random.ts'
import { estimateCost, type Price } from '../../models/prices.ts'
import type { Draft, Family } from './family.ts'

export const STRONG = 'big-1'
export const WEAK = 'small-1'

/** US dollars per million tokens; as fictional as the models. */
export const PRICES: Readonly<Record<'strong' | 'weak', Price>> = {
  strong: { input: 5, output: 20 },
  weak: { input: 0.2, output: 0.8 },
}

/** How fast success falls once a prompt is harder than a model's skill. */
export const STEEPNESS = 12

export interface Truth {
  readonly pStrong: number
  readonly pWeak: number
}

/** P(right) = .02 + .96 / (1 + e^(-12 (skill - difficulty))), rounded to four places: the simulator's model. */
export function successProbability(skill: number, difficulty: number): number {
  const p = 0.02 + 0.96 / (1 + Math.exp(-STEEPNESS * (skill - difficulty)))
  return Math.round(p * 1e4) / 1e4
}

export function truthOf(family: Family, draft: Draft): Truth {
  return {
    pStrong: successProbability(family.skill.strong, draft.difficulty),
    pWeak: successProbability(family.skill.weak, draft.difficulty),
  }
}

export interface Answer {
  readonly score: 0 | 1
  readonly tokens: number
  readonly cost: number
}

/** One answer: right or wrong by its probability, its length spread around the draft's by about a fifth. */
export function answer(random: Random, draft: Draft, probability: number, price: Price): Answer {
  const score = random.next() < probability ? 1 : 0
  // a bounded spread from sums and products only, so that the sample does not depend on a libm
  const spread = 0.6 + 0.4 * (random.next() + random.next())
  const tokens = Math.max(1, Math.round(draft.answerTokens * spread))
  return {
    score,
    tokens,
    cost: Number(estimateCost(price, draft.prompt.length, tokens).toFixed(8)),
  }
}
