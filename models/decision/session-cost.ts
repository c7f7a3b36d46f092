import type { ChoiceRule } from '../bundle/choice-rule.ts'
import { type Price, ratesFor } from '../prices.ts'
import { choiceOrder, firstOrder } from './choice.ts'

/**
 * What the next turns of a session cost with a model, where providers keep prompts in a cache: tokens that the
 * model has read not long ago are cheap, and a model that is switched to must read everything.
 */

/** What a model has read of a session, and when. */
export interface WarmPrefix {
  /** tokens of the prompt and answer that it read or wrote last */
  readonly tokens: number
  /** milliseconds since then */
  readonly ageMs: number
}

export interface SessionTurn {
  /** of the next prompt */
  readonly promptTokens: number
  /** expected, of an answer */
  readonly answerTokens: number
  /** how much a prompt grows from turn to turn, the answer included */
  readonly growthTokens: number
  /** turns that are expected still to come, the next one included; at least 1 */
  readonly turns: number
  /** milliseconds for which a provider keeps a prompt after it was last read */
  readonly lifetimeMs: number
}

/** Providers cache prompts from this many tokens on. */
const LEAST_CACHED = 1024

/**
 * US dollars for one turn.
 *
 * @param readTokens of the prompt, from the provider's cache
 */
export function turnCost(
  price: Price,
  promptTokens: number,
  answerTokens: number,
  readTokens: number,
): number {
  const {
    input,
    output,
    cached_input: read = input,
    cache_write: write = input,
  } = ratesFor(price, promptTokens)
  const cached = promptTokens < LEAST_CACHED ? 0 : Math.min(readTokens, promptTokens)
  // prompts below the least are not written either
  const rate = promptTokens < LEAST_CACHED ? input : write
  return (cached * read + (promptTokens - cached) * rate + answerTokens * output) / 1e6
}

/** Tokens of a prompt that a model reads from its cache. */
export const warmTokens = (warm: WarmPrefix | undefined, lifetimeMs: number): number =>
  warm && warm.ageMs < lifetimeMs ? warm.tokens : 0

/**
 * US dollars for a turn, as the mean of the turns still to come: the first with what the model has in its cache
 * now, the others with all but what was added, as it then has read it.
 */
export function sessionTurnCost(
  price: Price,
  warm: WarmPrefix | undefined,
  { promptTokens, answerTokens, growthTokens, turns, lifetimeMs }: SessionTurn,
): number {
  let dollars = turnCost(price, promptTokens, answerTokens, warmTokens(warm, lifetimeMs))
  let prompt = promptTokens
  for (let turn = 1; turn < turns; turn++) {
    const before = prompt
    prompt += growthTokens
    dollars += turnCost(price, prompt, answerTokens, before)
  }
  return dollars / turns
}

/**
 * The win rate from which the strong model is asked in a session. A router's threshold trades win rate for dollars
 * where both models are in the same state; where one has the conversation in its cache and the other has not,
 * the same trade gives `threshold` times the ratio of what the strong one costs more: 0 where it is the cheaper one
 * now, at most 1.
 *
 * @param even dollars of a turn with both models' caches as the warmer one's is. @param now as they are
 */
export function sessionThreshold(
  threshold: number,
  even: { readonly strong: number; readonly weak: number },
  now: { readonly strong: number; readonly weak: number },
): number {
  const difference = even.strong - even.weak
  if (difference <= 0) return threshold
  return Math.min(1, Math.max(0, (threshold * (now.strong - now.weak)) / difference))
}

/** A model, with what it has in its cache. */
export interface SessionModel {
  readonly price: Price
  readonly warm: WarmPrefix | undefined
  /** expected tokens of its answers, hidden reasoning included; the turn's if absent */
  readonly answerTokens?: number | undefined
  /** dollars that waiting for an answer counts as */
  readonly waitUsd?: number | undefined
}

/** A model among several. */
export interface SessionCandidate extends SessionModel {
  /** expected quality of its answers in the turns to come, in [0, 1], less what it loses by taking the session over */
  readonly quality: number
}

/**
 * The candidate for the next turn, as its index: the router's rule (the largest quality - lambda * cost, or the cheapest
 * within a loss), with costs as the means of the turns to come.
 */
export function chooseAmongInSession(
  rule: ChoiceRule,
  candidates: readonly SessionCandidate[],
  turn: SessionTurn,
): number {
  const quality = candidates.map((one) => one.quality)
  const costs = candidates.map((one) => turnCostOf(one, turn))
  return choiceOrder(rule, quality, costs, undefined, firstOrder(candidates.length))[0]!
}

const turnCostOf = (
  { price, answerTokens, warm, waitUsd = 0 }: SessionModel,
  turn: SessionTurn,
): number =>
  waitUsd +
  sessionTurnCost(price, warm, answerTokens === undefined ? turn : { ...turn, answerTokens })

export interface SessionState {
  /** the router's, for the next turn */
  readonly winRate: number
  /** mean of the win rates of the turns before */
  readonly meanWinRate: number
  /** the router's threshold, for requests that stand alone */
  readonly threshold: number
  /** which model answered last */
  readonly last: 'strong' | 'weak'
  /** win rate that a model loses by taking the conversation over */
  readonly switchLoss: number
  readonly strong: SessionModel
  readonly weak: SessionModel
  readonly turn: SessionTurn
}

/**
 * The model for the next turn: the strong one if the win rate of the turns to come, which are taken to be like those
 * before, reaches the session's threshold; a switch must gain what it loses besides.
 */
export function chooseInSession(state: SessionState): 'strong' | 'weak' {
  const { winRate, meanWinRate, threshold, last, switchLoss, strong, weak, turn } = state
  const { turns, lifetimeMs } = turn
  const expected = (winRate + (turns - 1) * meanWinRate) / turns
  const read = (model: SessionModel): number => warmTokens(model.warm, lifetimeMs)
  const both = { tokens: Math.max(read(strong), read(weak)), ageMs: 0 }
  const even = (model: SessionModel): number => turnCostOf({ ...model, warm: both }, turn)
  const limit = sessionThreshold(
    threshold,
    { strong: even(strong), weak: even(weak) },
    { strong: turnCostOf(strong, turn), weak: turnCostOf(weak, turn) },
  )
  return expected >= (last === 'strong' ? limit - switchLoss : limit + switchLoss)
    ? 'strong'
    : 'weak'
}
