import type { HowChosen } from './certificate.ts'
import type { CalibrationRows } from './rows.ts'
import type { TargetKind, ThresholdTarget } from './target.ts'

/** One choice to make: rows, what for, and what was fixed before anyone looked at their outcomes. */
export interface Problem {
  readonly rows: CalibrationRows
  readonly target: ThresholdTarget
  /**
   * Thresholds to test, ascending (from all strong to all weak), fixed without looking at these rows'
   * outcomes. Methods that test a sequence need it; the others take the midpoints between the rows' scores.
   */
  readonly grid: Float64Array
  /** shuffles the rows, so that a bound which reads them in order may take any log's order */
  readonly seed: number
  /** largest possible US dollars of one request, for a bound on dollars */
  readonly costCeiling?: number | undefined
}

/** A threshold and how it was chosen. */
export interface Choice extends Omit<HowChosen, 'method'> {
  readonly threshold: number
}

/** A way to choose a threshold. Every one passes `test/training/calibrate/method-contract.ts`. */
export interface Method {
  readonly name: string
  readonly targets: readonly TargetKind[]
  /** Throws `calibration_data_short` where the promise can't be made with these rows. */
  choose(problem: Problem): Choice
}
