/** What differs between the models behind Anthropic's API, by their names there. */

/**
 * How a model takes `reasoning_effort`: `none` cannot, `budget` by a number of thinking tokens, `adaptive` by
 * `output_config.effort`, with the model deciding how much it thinks.
 */
export type EffortRule = 'none' | 'budget' | 'adaptive'

const RULES: readonly (readonly [pattern: RegExp, rule: EffortRule])[] = [
  [/claude-(v?[12]\b|instant|3-(haiku|sonnet|opus)|3-5)/, 'none'],
  [/claude-(3-7|(opus|sonnet|haiku)-4(-[015])?(-?20\d{6})?(\b|$)(?!-[6-9]))/, 'budget'],
]

/** Models of unknown names are taken for newer than the list. */
export const effortRule = (model: string): EffortRule =>
  RULES.find(([pattern]) => pattern.test(model))?.[1] ?? 'adaptive'

const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16384,
  xhigh: 32768,
  max: 32768,
}
/** Least budget that the API accepts, in tokens. */
const LEAST_BUDGET = 1024

/**
 * Thinking tokens for an effort. They count against `max_tokens`, and at least a quarter of it is left for the
 * answer; undefined if the least budget does not fit.
 */
export function thinkingBudget(effort: string, maxTokens: number | undefined): number | undefined {
  const budget = BUDGETS[effort] ?? BUDGETS.medium!
  if (maxTokens === undefined) return budget
  const room = Math.floor(maxTokens * 0.75)
  return room < LEAST_BUDGET ? undefined : Math.min(budget, room)
}
