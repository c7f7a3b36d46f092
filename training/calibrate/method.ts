import type { HowChosen } from './certificate.ts'
import type { CalibrationRows } from './rows.ts'
import type { TargetKind, ThresholdTarget } from './target.ts'

/** Input of a method: the rows, the target, and what was fixed before looking at the rows' outcomes. */
export interface Problem {
  readonly rows: CalibrationRows
  readonly target: ThresholdTarget
  /**
   * Thresholds to test, ascending (from all strong to all weak), fixed without looking at these rows'
   * outcomes. Methods that test a sequence use it; the others use the midpoints between the rows' scores.
   */
  readonly grid: Float64Array
  /** seed of the shuffle that makes the order of the log's rows random, for bounds that read rows in order */
  readonly seed: number
  /** largest possible US dollars of one request, for a bound on dollars */
  readonly costCeiling?: number | undefined
}

/** A threshold and how it was chosen. */
export interface Choice extends Omit<HowChosen, 'method'> {
  readonly threshold: number
}

/** A method that chooses a threshold. Every method passes `testing/method-contract.ts`. */
export interface Method {
  readonly name: string
  readonly targets: readonly TargetKind[]
  /** Throws `calibration_data_short` if the promise cannot be made with these rows. */
  choose(problem: Problem): Choice
}
