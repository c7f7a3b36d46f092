import { createRandom, deriveSeed } from '../../../models/random.ts'
import { reliabilityOf } from '../../evaluate/reliability.ts'
import type { Interval } from '../interval.ts'

export interface CalibrationError {
  /** expected calibration error over 15 equal-mass bins, with its bootstrap interval */
  readonly ece: Interval
  /** what a perfectly calibrated router would show at this n, by chance alone */
  readonly perfect: number
  readonly brier: number
}

const REPLICATES = 200

/** How far win rates can be taken at their word, on rows that neither router nor map was fitted on. */
export function calibrationError(
  winRate: Float64Array,
  y: Float64Array,
  seed: number,
  level = 0.95,
): CalibrationError {
  const { ece, ece_perfect: perfect, brier } = reliabilityOf(winRate, y)
  const random = createRandom(deriveSeed(seed, 'calibration error'))
  const n = winRate.length
  const replicates = new Float64Array(REPLICATES)
  const p = new Float64Array(n)
  const label = new Float64Array(n)
  for (let run = 0; run < REPLICATES; run++) {
    for (let i = 0; i < n; i++) {
      const at = random.int(n)
      p[i] = winRate[at]!
      label[i] = y[at]!
    }
    replicates[run] = reliabilityOf(p, label).ece
  }
  replicates.sort()
  // a resample adds its own noise once more, which the basic interval takes off again
  const at = (share: number): number => replicates[Math.round(share * (REPLICATES - 1))]!
  const low = Math.max(0, 2 * ece - at((1 + level) / 2))
  const high = Math.max(ece, 2 * ece - at((1 - level) / 2))
  return { ece: { value: ece, low: Math.min(low, ece), high }, perfect, brier: brier.value! }
}
