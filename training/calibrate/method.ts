import type { CalibrationRows } from './rows.ts'
import type { Target, TargetKind } from './target.ts'

/** One choice to make: rows, what for, and what was fixed before anyone looked at their outcomes. */
export interface Problem {
  readonly rows: CalibrationRows
  readonly target: Target
  /**
   * Thresholds to test, ascending (from all strong to all weak), fixed without looking at these rows'
   * outcomes. Methods that test a sequence need it; the others take the midpoints between the rows' scores.
   */
  readonly grid: Float64Array
  /** shuffles the rows, so that a bound which reads them in order may take any log's order */
  readonly seed: number
  /** largest possible US dollars of one request, for a bound on dollars */
  readonly costCeiling?: number
}

/**
 * What is promised: `confidence` that the bound holds in all but that share of calibrations,
 * `expectation` that it holds on average over them, `estimate` nothing beyond the intervals.
 */
export type PromiseKind = 'confidence' | 'expectation' | 'estimate'

export interface Bound {
  readonly quantity:
    | 'net loss'
    | 'harm'
    | 'PGR'
    | 'dollars per 1,000 requests'
    | 'share of the best model’s quality'
  /** an upper limit, for PGR and a share a lower one */
  readonly value: number
  readonly confidence?: number
}

export interface Choice {
  readonly threshold: number
  readonly promise: PromiseKind
  readonly bound?: Bound
  /** thresholds tested in sequence, where the method tests one */
  readonly tested?: number
  /** what must be true for the bound to hold, in words */
  readonly assumptions: readonly string[]
}

/** A way to choose a threshold. Every one passes `test/training/calibrate/method-contract.ts`. */
export interface Method {
  readonly name: string
  readonly targets: readonly TargetKind[]
  /** Throws `calibration_data_short` where the promise can't be made with these rows. */
  choose(problem: Problem): Choice
}
