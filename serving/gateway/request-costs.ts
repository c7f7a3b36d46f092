import { type Price, ratesFor } from '../../models/prices.ts'
import type { Usage } from '../upstreams/upstream.ts'
import type { Attempt } from './contracts.ts'

/** US dollars for the tokens that were billed. */
export function usageCost(price: Price, usage: Usage): number {
  const { inputTokens, outputTokens, cachedInputTokens = 0, cacheWriteTokens = 0 } = usage
  const rates = ratesFor(price, inputTokens)
  const { input, output, cached_input = input, cache_write = input } = rates
  return (
    (inputTokens * input +
      cachedInputTokens * (cached_input - input) +
      cacheWriteTokens * (cache_write - input) +
      outputTokens * output) /
    1e6
  )
}

/** One request's attempts and their cost: each attempt once, whatever its outcome. */
export class RequestCosts {
  readonly attempts: Attempt[] = []
  private readonly price: (model: string) => Price | undefined

  constructor(price: (model: string) => Price | undefined) {
    this.price = price
  }

  add(attempt: Omit<Attempt, 'costUsd'>): Attempt {
    const price = this.price(attempt.model)
    const costUsd = price && attempt.usage ? usageCost(price, attempt.usage) : undefined
    // field by field: a spread object costs a microsecond
    const { model, upstream, milliseconds, outcome, usage } = attempt
    const priced = { model, upstream, milliseconds, outcome, usage, costUsd }
    this.attempts.push(priced)
    return priced
  }

  /** US dollars of all attempts; undefined if one that answered has no price or no token count. */
  get costUsd(): number | undefined {
    let sum = 0
    let answered = false
    for (const { outcome, costUsd } of this.attempts) {
      if (costUsd !== undefined) sum += costUsd
      else if (outcome === 'answered') return undefined
      if (outcome === 'answered') answered = true
    }
    return answered ? sum : undefined
  }

  /**
   * What the most expensive of these models would have cost for the tokens that `model` used, less what was
   * spent.
   */
  savedUsd(model: string, instead: readonly string[]): number | undefined {
    const { costUsd } = this
    const usage = this.attempts.findLast(
      (attempt) => attempt.model === model && attempt.outcome === 'answered',
    )?.usage
    if (costUsd === undefined || !usage) return undefined
    let dearest: number | undefined
    for (const name of instead) {
      const price = this.price(name)
      if (!price) continue
      dearest = Math.max(dearest ?? 0, usageCost(price, usage))
    }
    return dearest === undefined ? undefined : dearest - costUsd
  }
}
