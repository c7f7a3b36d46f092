import { definedOnly } from '../../core/defined.ts'
import { dkwInterval } from '../../core/stats/intervals.ts'
import { gridFrom, shareAt } from './candidates.ts'
import { type CalibrationRecord, type Certificate, promisedBy } from './certificate.ts'
import { type Expected, expectedAt, INTERVAL_LEVEL } from './expected.ts'
import { methodFor } from './methods/registry.ts'
import { type CalibrationRows, checkRows, effectiveSize } from './rows.ts'
import { quantiles } from './shift/two-sample.ts'
import type { ThresholdTarget } from './target.ts'

export interface ThresholdInput extends CalibrationRecord {
  readonly rows: CalibrationRows
  readonly target: ThresholdTarget
  /** name of a method; the target's default otherwise */
  readonly method?: string | undefined
  /** win rates known before looking at the calibration rows' outcomes (validation); the grid is taken from them */
  readonly reference?: Float64Array | undefined
  /** win rates of prompts of the user's traffic; shares are computed on them */
  readonly unlabelled?: Float64Array | undefined
  /** largest possible US dollars of one request */
  readonly costCeiling?: number | undefined
}

export interface CalibratedThreshold {
  readonly threshold: number
  readonly expected: Expected
  readonly certificate: Certificate
}

/** Number of win rate quantiles stored in a certificate, for `weir drift`. */
const KEPT_QUANTILES = 101

/**
 * The threshold that meets the target on these rows, what it is expected to achieve, and what is promised.
 *
 * @throws rows_too_few, option_invalid, calibration_data_short, calibration_needs
 */
export function calibrateThreshold(input: ThresholdInput): CalibratedThreshold {
  const { rows, target, seed, unlabelled } = input
  checkRows(rows)
  if (unlabelled) checkRows({ winRate: unlabelled })
  const method = methodFor(target, rows, input.method)
  const choice = method.choose({
    rows: unlabelled && target.kind === 'strong-share' ? { winRate: unlabelled } : rows,
    target,
    seed,
    grid: gridFrom(input.reference ?? rows.winRate),
    costCeiling: input.costCeiling,
  })
  const { threshold } = choice
  const seen = expectedAt(rows, threshold)
  const expected = unlabelled
    ? {
        ...seen,
        share: dkwInterval(shareAt(unlabelled, threshold), unlabelled.length, INTERVAL_LEVEL),
      }
    : seen
  const certificate: Certificate = definedOnly({
    ...promisedBy(input, target, { ...choice, method: method.name }, rows.winRate.length),
    effective_n: rows.weight && Math.round(effectiveSize(rows)),
    unlabelled_n: unlabelled?.length,
    off_policy: rows.offPolicy,
    expected,
    win_rate_quantiles: quantiles(unlabelled ?? rows.winRate, KEPT_QUANTILES),
  })
  return { threshold, expected, certificate }
}
