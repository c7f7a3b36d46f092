import Type from 'typebox'
import { type CalibrationMap, calibrate } from '../../../models/calibration-map.ts'
import { Interval } from '../interval.ts'
import { calibrationError } from './calibration-error.ts'
import { crossCalibrated, fitCalibrationMap } from './fit.ts'

/** Fewer labelled rows than this say too little of probabilities; the map stays as it was. */
export const LEAST_PROBABILITY_ROWS = 200

/** What probability calibration did; errors after it are out of fold. */
export const ProbabilityReport = Type.Object({
  method: Type.String(),
  rows: Type.Integer(),
  ece_before: Interval,
  ece_after: Interval,
  /** what a perfectly calibrated router would show at this n, by chance alone */
  ece_perfect: Type.Number(),
  brier_before: Type.Number(),
  brier_after: Type.Number(),
  /** cross-validated, by method */
  log_loss: Type.Record(Type.String(), Type.Number()),
})
export type ProbabilityReport = Type.Static<typeof ProbabilityReport>

/** Fits the map on raw win rates and gains (s - w), and reports what it did. */
export function calibrateProbabilities(
  raw: Float64Array,
  gain: Float64Array,
  seed: number,
): { map: CalibrationMap; report: ProbabilityReport } {
  const y = gain.map((value) => (1 + value) / 2)
  const { map, method, logLoss } = fitCalibrationMap(raw, y, { seed })
  const before = calibrationError(raw, y, seed)
  const after = calibrationError(crossCalibrated(raw, y, { seed }), y, seed)
  return {
    map,
    report: {
      method,
      rows: raw.length,
      ece_before: before.ece,
      ece_after: after.ece,
      ece_perfect: after.perfect,
      brier_before: before.brier,
      brier_after: after.brier,
      log_loss: logLoss,
    },
  }
}

export const calibrateAll = (map: CalibrationMap, raw: Float64Array): Float64Array =>
  raw.map((winRate) => calibrate(map, winRate))
