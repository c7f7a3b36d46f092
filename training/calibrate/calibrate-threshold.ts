import { dkwInterval } from '../../core/stats/intervals.ts'
import { gridFrom, shareAt } from './candidates.ts'
import type { CalibrationData, Certificate } from './certificate.ts'
import { type Expected, expectedAt, INTERVAL_LEVEL } from './expected.ts'
import { methodFor } from './methods/registry.ts'
import { type CalibrationRows, checkRows, effectiveSize } from './rows.ts'
import { quantiles } from './shift/two-sample.ts'
import type { Target } from './target.ts'

export interface ThresholdInput {
  readonly rows: CalibrationRows
  readonly target: Target
  /** a method by name, else the target's default */
  readonly method?: string
  /** win rates known before the calibration rows' outcomes were looked at (validation): the grid comes from them */
  readonly reference?: Float64Array
  /** win rates of prompts of one's own traffic: shares are those of them */
  readonly unlabelled?: Float64Array
  readonly seed: number
  /** largest possible US dollars of one request */
  readonly costCeiling?: number
  /** where the rows' dollars come from, in words */
  readonly costBasis?: string
  readonly data?: CalibrationData
  readonly date?: string
}

export interface CalibratedThreshold {
  readonly threshold: number
  readonly expected: Expected
  readonly certificate: Certificate
}

/** Quantiles of the win rates that a certificate keeps, for `weir drift`. */
const KEPT_QUANTILES = 101

/**
 * The threshold that meets the target on these rows, what it is expected to do, and what is promised.
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
    ...(input.costCeiling === undefined ? {} : { costCeiling: input.costCeiling }),
  })
  const { threshold, promise, bound, tested } = choice
  const seen = expectedAt(rows, threshold)
  const expected = unlabelled
    ? {
        ...seen,
        share: dkwInterval(shareAt(unlabelled, threshold), unlabelled.length, INTERVAL_LEVEL),
      }
    : seen
  const certificate: Certificate = {
    target,
    method: method.name,
    promise,
    ...(bound && { bound }),
    n: rows.winRate.length,
    ...(rows.weight && { effective_n: Math.round(effectiveSize(rows)) }),
    ...(unlabelled && { unlabelled_n: unlabelled.length }),
    ...(tested !== undefined && { tested }),
    seed,
    assumptions: [...choice.assumptions],
    ...(input.costBasis && { cost_basis: input.costBasis }),
    expected,
    win_rate_quantiles: quantiles(unlabelled ?? rows.winRate, KEPT_QUANTILES),
    ...(input.data && { data: input.data }),
    ...(input.date && { date: input.date }),
  }
  return { threshold, expected, certificate }
}
