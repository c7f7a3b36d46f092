import { binomialCdf } from '../../../core/stats/beta.ts'
import { type BoundTest, meanOf } from './bounds.ts'

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
