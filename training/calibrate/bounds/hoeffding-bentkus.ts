import { binomialCdf } from '../../../core/stats/beta.ts'
import { type BoundTest, meanOf } from './bounds.ts'

/** Hoeffding-Bentkus p-value for values in [0, 1] (Angelopoulos et al. 2021, arXiv 2110.01052, eq. 6). */
export function hoeffdingBentkus(mean: number, n: number, limit: number): number {
  if (limit >= 1) return 0
  if (limit <= 0) return 1
  const at = Math.min(mean, limit)
  const divergence =
    (at > 0 ? at * Math.log(at / limit) : 0) +
    (at < 1 ? (1 - at) * Math.log((1 - at) / (1 - limit)) : 0)
  const hoeffding = Math.exp(-n * divergence)
  // n * mean of 0/1 values is an integer up to rounding, and rounding must not increase it by one
  const bentkus = Math.E * binomialCdf(Math.ceil(n * mean - 1e-9), n, limit)
  return Math.min(1, hoeffding, bentkus)
}

export const hoeffdingBentkusTest: BoundTest = {
  name: 'hoeffding-bentkus',
  values: 'bounded',
  rejects(values, { mean, low, high, delta }) {
    const width = high - low
    const centre = (meanOf(values) - low) / width
    return hoeffdingBentkus(centre, values.length, (mean - low) / width) <= delta
  },
}
