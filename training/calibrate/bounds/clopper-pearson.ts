import { betaQuantile, binomialCdf } from '../../../core/stats/beta.ts'
import { type BoundTest, meanOf } from './bounds.ts'

/** Exact upper limit of a proportion with k of n (Clopper and Pearson 1934), one-sided at 1 - delta. */
export function clopperPearsonUpper(k: number, n: number, delta: number): number {
  return k >= n ? 1 : betaQuantile(1 - delta, k + 1, n - k)
}

/** The exact binomial test, for values that are either `low` or `high`. */
export const clopperPearson: BoundTest = {
  name: 'clopper-pearson',
  values: 'binary',
  rejects(values, { mean, low, high, delta }) {
    const n = values.length
    const width = high - low
    const limit = (mean - low) / width
    if (limit >= 1) return true
    if (limit < 0) return false
    const successes = Math.round(((meanOf(values) - low) / width) * n)
    return binomialCdf(successes, n, limit) <= delta
  },
}
