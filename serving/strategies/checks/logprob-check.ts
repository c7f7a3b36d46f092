import type { CheckSettings } from '../settings.ts'
import type { Check } from './check.ts'

type Settings = Extract<CheckSettings, { kind: 'logprob' }>

/**
 * How likely the model held its own words: exp(mean log p), the geometric mean of its tokens'
 * probabilities (the inverse of perplexity), or exp(min log p), the least of them. Upstreams tell none for
 * calls of tools.
 */
export function logprobCheck(settings: Settings): Pick<Check, 'check' | 'asks'> {
  const { threshold, measure = 'mean', otherwise = 'fail' } = settings
  return {
    asks: { logprobs: true },
    check({ said }) {
      const { logprobs } = said
      if (!logprobs) return { score: null, passed: otherwise === 'pass', reason: 'no_logprobs' }
      const score = measure === 'min' ? leastProbability(logprobs) : geometricMean(logprobs)
      return { score, passed: score >= threshold }
    },
  }
}

export const geometricMean = (logprobs: readonly number[]): number =>
  Math.min(1, Math.exp(logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length))

export const leastProbability = (logprobs: readonly number[]): number =>
  Math.min(1, Math.exp(logprobs.reduce((least, value) => Math.min(least, value), 0)))
