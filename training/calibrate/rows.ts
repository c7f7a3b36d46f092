import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { type SingleRows, takeSingleRows } from '../ope/sensitivity.ts'
import { describeTarget, type Target } from './target.ts'

/**
 * The observations of n calibration prompts. Every array has n elements; columns that were not observed are
 * absent.
 */
export interface CalibrationRows {
  /** the router's score, in [0, 1] */
  readonly winRate: Float64Array
  /** s - w with outcomes, 2 * label - 1 with preferences; in [-1, 1] */
  readonly gain?: Float64Array
  /** the weak model's score; absent for preferences, where quality is relative to the weak model's 0 */
  readonly weak?: Float64Array
  /** US dollars of the request if the strong (or the weak) model answered it */
  readonly strongCost?: Float64Array
  readonly weakCost?: Float64Array
  /** weight of the row, 1 on average (a density ratio); absent if every row counts 1 */
  readonly weight?: Float64Array
  /**
   * present if gains and weak scores are estimates, because one model answered most prompts: they then lie
   * outside [-1, 1] and [0, 1], and are right only on average over prompts
   */
  readonly offPolicy?: OffPolicy
  /** what such estimates rest on, row by row; present beside `offPolicy` if they are of single answers */
  readonly singles?: SingleRows
}

/** What estimated gains rest on: single answers, or a judge that people corrected. Part of a certificate. */
export const OffPolicy = Type.Object({
  estimator: Type.Union([
    Type.Literal('doubly robust, cross-fitted'),
    Type.Literal('prediction-powered'),
  ]),
  /** of single answers */
  propensities: Type.Optional(
    Type.Union([
      Type.Literal('logged'),
      Type.Literal('estimated'),
      Type.Literal('logged and estimated'),
    ]),
  ),
  /** limits of the estimated gain of any prompt, by its propensity and its predicted scores */
  gain_low: Type.Number(),
  gain_high: Type.Number(),
  /**
   * prompts with a smaller probability of being sent to the other model are left out: nothing is clipped. Of a
   * corrected judge: the share of the prompts that people labelled
   */
  least_propensity: Type.Number(),
  /** true if propensities are estimated of an assignment that depends much on the prompt */
  blunt: Type.Optional(Type.Boolean()),
  /** calibration prompts that one model answered */
  single: Type.Optional(Type.Integer()),
  /** calibration prompts that people labelled */
  labels: Type.Optional(Type.Integer()),
})
export type OffPolicy = Type.Static<typeof OffPolicy>

/** Minimum number of rows for choosing a threshold. */
export const LEAST_ROWS = 30

/** Checks lengths, NaN and ranges. Throws `option_invalid` naming the column and the row. */
export function checkRows(rows: CalibrationRows): void {
  const n = rows.winRate.length
  if (n < LEAST_ROWS)
    throw new WeirError('rows_too_few', { expected: LEAST_ROWS, what: 'to calibrate', got: n })
  checkColumn('win rate', rows.winRate, n, 0, 1)
  const { gain_low: least, gain_high: most } = rows.offPolicy ?? { gain_low: -1, gain_high: 1 }
  checkColumn('gain', rows.gain, n, Math.min(-1, least), Math.max(1, most))
  // estimates of single rows may lie anywhere; only their means are scores and dollars
  const [low, high] = rows.offPolicy ? [-Infinity, Infinity] : [0, 1]
  checkColumn('weak score', rows.weak, n, low, high)
  checkColumn('strong cost', rows.strongCost, n, low, Infinity)
  checkColumn('weak cost', rows.weakCost, n, low, Infinity)
  checkColumn('weight', rows.weight, n, 0, Infinity)
}

function checkColumn(
  name: string,
  values: Float64Array | undefined,
  n: number,
  low: number,
  high: number,
): void {
  if (!values) return
  const refuse = (expected: string, got: unknown): never => {
    throw new WeirError('option_invalid', {
      option: `the calibration rows' ${name}`,
      expected,
      got,
    })
  }
  if (values.length !== n) refuse(`${n} values`, values.length)
  for (let i = 0; i < n; i++) {
    const value = values[i]!
    if (!(value >= low && value <= high) || Math.abs(value) === Infinity) {
      refuse(`a number from ${low} to ${high}`, `${value} in row ${i}`)
    }
  }
}

/** (sum w)^2 / sum w^2: the number of equally weighted rows that carry as much information. */
export function effectiveSize(rows: CalibrationRows): number {
  if (!rows.weight) return rows.winRate.length
  let sum = 0
  let squares = 0
  for (const weight of rows.weight) {
    sum += weight
    squares += weight * weight
  }
  return squares > 0 ? (sum * sum) / squares : 0
}

/** The gains, for a target that needs outcomes. Throws `calibration_needs` if the rows have none. */
export function gainOf(rows: CalibrationRows, target: Target): Float64Array {
  if (rows.gain) return rows.gain
  throw new WeirError('calibration_needs', {
    target: describeTarget(target),
    needed: 'outcomes or preferences of both models',
  })
}

/** Both models' costs, for a target in dollars. Throws `calibration_needs` if the rows have none. */
export function costsOf(
  rows: CalibrationRows,
  target: Target,
): { readonly strong: Float64Array; readonly weak: Float64Array } {
  if (rows.strongCost && rows.weakCost) return { strong: rows.strongCost, weak: rows.weakCost }
  throw new WeirError('calibration_needs', {
    target: describeTarget(target),
    needed:
      'prices of both models: costs in the log, prices in the bundle, or --price model=input/output',
  })
}

/** The given rows, in the given order. */
export function takeCalibrationRows(
  rows: CalibrationRows,
  indices: ArrayLike<number>,
): CalibrationRows {
  const take = (values: Float64Array): Float64Array =>
    Float64Array.from(indices, (index) => values[index]!)
  const { offPolicy, singles, ...columns } = rows
  const taken: Record<string, Float64Array> = {}
  for (const [name, values] of Object.entries(columns)) if (values) taken[name] = take(values)
  return {
    winRate: take(rows.winRate),
    ...taken,
    ...(offPolicy && { offPolicy }),
    ...(singles && { singles: takeSingleRows(singles, indices) }),
  }
}
