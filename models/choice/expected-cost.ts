import type { Candidate } from '../bundle/manifest.ts'
import { CHARACTERS_PER_TOKEN, estimateCost } from '../prices.ts'

/**
 * US dollars that a request is expected to cost with this model: by its price with the answer length seen
 * in training (one as long as the prompt where none was), else by what its requests cost on average in the
 * training log. Undefined where neither is known.
 */
export function expectedCost(candidate: Candidate, promptCharacters: number): number | undefined {
  const { price, cost_usd: mean } = candidate
  if (!price) return mean
  return estimateCost(price, promptCharacters, expectedTokens(candidate, promptCharacters))
}

/** Tokens of the answer: a power of the prompt's length where training found one, else the mean. */
export function expectedTokens(candidate: Candidate, promptCharacters: number): number {
  const { output_tokens: mean, output_length: length } = candidate
  if (length) return Math.exp(length.intercept + length.slope * Math.log(promptCharacters + 1))
  return mean ?? promptCharacters / CHARACTERS_PER_TOKEN
}
