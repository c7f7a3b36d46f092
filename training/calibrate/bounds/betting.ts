import { normalDensity, normalQuantile } from '../../../core/stats/normal.ts'
import type { BoundTest, TestOptions } from './bounds.ts'

/**
 * Betting test for a bounded mean (Waudby-Smith and Ramdas 2024, arXiv 2010.09686): a gambler bets that the
 * values fall below `mean`, and the test rejects once the capital has grown 1/delta-fold. By Ville's
 * inequality that happens with probability at most delta if the true mean is higher, whatever the bets. The
 * bets here are chosen for a known number of rows: they replicate a digital option on the sum (Kulldorff
 * 1993, Browne 1999), so that no capital is wasted on overshooting 1/delta and the power comes close to that
 * of the normal test, which has no finite-sample guarantee.
 */
export const betting: BoundTest = {
  name: 'betting',
  values: 'bounded',
  rejects(values, { mean, high, delta }: TestOptions) {
    const n = values.length
    const room = high - mean
    if (room <= 0) return true
    // delta times the capital: rejects at 1
    let won = delta
    let squares = room * room * PRIOR_ROWS * PRIOR_SPREAD
    for (let i = 0; i < n; i++) {
      const spread = Math.sqrt((squares / (i + PRIOR_ROWS)) * (n - i))
      const stake = Math.min(hedge(won) / spread, (LARGEST_STAKE * won) / room)
      const excess = mean - values[i]!
      won += stake * excess
      if (won >= 1) return true
      if (won < RUIN) return false
      squares += excess * excess
    }
    return false
  },
}

/** The predictable plug-in bets of the paper (its section 3, as used by Bates et al. 2021), for comparison. */
export const bettingPlugIn: BoundTest = {
  name: 'betting-plug-in',
  values: 'bounded',
  rejects(values, { mean, low, high, delta }: TestOptions) {
    const n = values.length
    const width = high - low
    const limit = (mean - low) / width
    if (limit >= 1) return true
    const goal = Math.log(1 / delta)
    let capital = 0
    let sum = 0.5
    let squares = 0.25
    for (let i = 0; i < n; i++) {
      const variance = squares / (i + 1)
      const stake = Math.min(1, Math.sqrt((2 * goal) / (n * variance)))
      const value = (values[i]! - low) / width
      capital += Math.log1p(-stake * (value - limit))
      if (capital >= goal) return true
      sum += value
      const centre = sum / (i + 2)
      squares += (value - centre) * (value - centre)
    }
    return false
  },
}

/** Second moment before any row, as a share of the squared range, and the number of rows it counts for. */
const PRIOR_SPREAD = 0.25
const PRIOR_ROWS = 1
/** Largest share of the capital that may be lost on one row. */
const LARGEST_STAKE = 0.95
const RUIN = 1e-9

const STEPS = 4096
const HEDGE = Float64Array.from({ length: STEPS + 1 }, (_, i) =>
  i === 0 || i === STEPS ? 0 : normalDensity(normalQuantile(i / STEPS)),
)

/** density(quantile(u)): the change of a digital option's price with one standard deviation of the sum. */
function hedge(u: number): number {
  const at = u * STEPS
  const below = Math.floor(at)
  return HEDGE[below]! + (at - below) * (HEDGE[below + 1]! - HEDGE[below]!)
}
