import { WeirError } from '../../core/errors.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import type { Price } from '../../models/prices.ts'

export const roleOf = (candidates: readonly Candidate[], role: Candidate['role']): Candidate =>
  candidates.find((candidate) => candidate.role === role)!

/** The candidates with some prices replaced. Refuses a price of a model that is none of them. */
export function withPrices(
  candidates: readonly Candidate[],
  prices: ReadonlyMap<string, Price> | undefined,
): Candidate[] {
  for (const model of prices?.keys() ?? []) {
    if (!candidates.some((candidate) => candidate.model === model)) {
      const known = candidates.map((candidate) => candidate.model)
      throw new WeirError('option_invalid', {
        option: '--price',
        expected: `one of ${known.join(', ')}`,
        got: model,
      })
    }
  }
  return candidates.map((candidate) => {
    const price = prices?.get(candidate.model)
    return price ? { ...candidate, price } : candidate
  })
}
