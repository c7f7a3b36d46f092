import Type from 'typebox'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { Interval } from '../../../core/stats/intervals.ts'
import { type CalibrationMap, calibrate } from '../../../models/calibration-map.ts'
import { reliabilityOf } from '../../evaluate/metrics/reliability.ts'
import { crossCalibrated, fitCalibrationMap } from './fit.ts'

/** Minimum number of labelled rows for fitting probabilities; with fewer the map stays unchanged. */
export const LEAST_PROBABILITY_ROWS = 200

/** Result of the probability calibration; errors after it are out of fold. */
export const ProbabilityReport = Type.Object({
  method: Type.String(),
  rows: Type.Integer(),
  ece_before: Interval,
  ece_after: Interval,
  /** the error that a perfectly calibrated router would show at this n, by chance alone */
  ece_perfect: Type.Number(),
  /** absent if one model answered most prompts: it needs each prompt's label, not their mean */
  brier_before: Type.Optional(Type.Number()),
  brier_after: Type.Optional(Type.Number()),
  /** cross-validated, by method */
  log_loss: Type.Record(Type.String(), Type.Number()),
})
export type ProbabilityReport = Type.Static<typeof ProbabilityReport>

/**
 * Fits the map on raw win rates and gains (s - w), and reports its effect.
 *
 * @param estimated whether gains are estimates from single answers, which are noisy and unbounded
 */
export function calibrateProbabilities(
  raw: Float64Array,
  gain: Float64Array,
  seed: number,
  estimated = false,
): { map: CalibrationMap; report: ProbabilityReport } {
  const y = gain.map((value) => (1 + value) / 2)
  const options = { seed, noisy: estimated }
  const { map, method, logLoss } = fitCalibrationMap(raw, y, options)
  const before = calibrationError(raw, y, seed)
  const after = calibrationError(crossCalibrated(raw, y, options), y, seed)
  return {
    map,
    report: {
      method,
      rows: raw.length,
      ece_before: before.ece,
      ece_after: after.ece,
      ece_perfect: after.perfect,
      ...(!estimated && { brier_before: before.brier, brier_after: after.brier }),
      log_loss: logLoss,
    },
  }
}

export const calibrateAll = (map: CalibrationMap, raw: Float64Array): Float64Array =>
  raw.map((winRate) => calibrate(map, winRate))

export interface CalibrationError {
  /** expected calibration error over 15 equal-mass bins, with its bootstrap interval */
  readonly ece: Interval
  /** the error that a perfectly calibrated router would show at this n, by chance alone */
  readonly perfect: number
  readonly brier: number
}

const REPLICATES = 200

/** Calibration error of win rates, on rows that neither the router nor the map was fitted on. */
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
  // a resample adds noise a second time, which the basic interval subtracts again
  const at = (share: number): number => replicates[Math.round(share * (REPLICATES - 1))]!
  const low = Math.max(0, 2 * ece - at((1 + level) / 2))
  const high = Math.max(ece, 2 * ece - at((1 - level) / 2))
  return { ece: { value: ece, low: Math.min(low, ece), high }, perfect, brier: brier.value! }
}
