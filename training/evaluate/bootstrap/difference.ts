import { percentileInterval, standardError } from '../../../core/stats/intervals.ts'
import { detectableDifference, holm, twoSidedP } from '../../../core/stats/significance.ts'
import type { ErrorFloor } from '../../ope/error-floor.ts'
import type { Replicates } from './bootstrap.ts'

/** The least error of means of estimates, and the APGR's coefficient of each prompt's gain. */
export interface Floored {
  readonly floor: ErrorFloor
  readonly coefficients: Float64Array
}

/** APGR of one router minus another's, on the same prompts and the same bootstrap draws. */
export interface Difference {
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  /** two-sided, normal with the bootstrap's standard error */
  readonly p: number | null
  /** smallest difference that these prompts could show with 80% power (two-sided, 5%) */
  readonly detectable: number | null
}

/** Difference between two routers, with p-values corrected over all pairs of the report (Holm). */
export interface Comparison extends Difference {
  readonly a: string
  readonly b: string
  readonly p_holm: number | null
}

interface Measured {
  readonly name: string
  readonly apgr: number
  readonly replicates: Replicates
  readonly floored?: Floored | undefined
}

export function differenceOf(a: Omit<Measured, 'name'>, b: Omit<Measured, 'name'>): Difference {
  const value = a.apgr - b.apgr
  if (Number.isNaN(value)) {
    return { value: null, low: null, high: null, p: null, detectable: null }
  }
  const draws = new Float64Array(a.replicates.apgr.length)
  for (let i = 0; i < draws.length; i++) draws[i] = a.replicates.apgr[i]! - b.replicates.apgr[i]!
  const plain = percentileInterval(value, draws)
  const interval =
    a.floored && b.floored
      ? a.floored.floor.widen(
          plain,
          (i) => a.floored!.coefficients[i]! - b.floored!.coefficients[i]!,
        )
      : plain
  const factor =
    plain.high! > plain.low! ? (interval.high! - interval.low!) / (plain.high! - plain.low!) : 1
  const error = factor * standardError(draws)
  return {
    ...interval,
    p: twoSidedP(value, error),
    detectable: detectableDifference(error),
  }
}

/** Every pair of routers, first minus second. */
export function compareAll(routers: readonly Measured[]): Comparison[] {
  const pairs = routers.flatMap((a, i) => routers.slice(i + 1).map((b) => ({ a, b })))
  const differences = pairs.map(({ a, b }) => differenceOf(a, b))
  const corrected = holm(differences.map((difference) => difference.p ?? 1))
  return pairs.map(({ a, b }, i) => ({
    a: a.name,
    b: b.name,
    ...differences[i]!,
    p_holm: differences[i]!.p === null ? null : corrected[i]!,
  }))
}

interface MeasuredCurve {
  readonly band?: { readonly value: readonly number[] } | undefined
  readonly replicates: Replicates
  readonly floored?: Floored | undefined
}

/**
 * The strong shares, in [0, 1], between which one curve lies below another, by a band of their difference that
 * holds at 97.5% for all shares at once (the greatest studentised deviation over the draws; Efron and Tibshirani
 * 1993, ch. 12). Undefined if there is no such share, or if curves were not drawn.
 */
export function sharesBelow(
  a: MeasuredCurve,
  b: MeasuredCurve,
): { readonly from: number; readonly to: number } | undefined {
  const draws = a.replicates.band.length
  if (!a.band || !b.band || draws < 2 || a.floored) return undefined
  const value = a.band.value.map((at, step) => at - b.band!.value[step]!)
  const drawn = (draw: number, step: number): number =>
    a.replicates.band[draw]![step]! - b.replicates.band[draw]![step]!
  const error = value.map((_, step) =>
    standardError(Float64Array.from({ length: draws }, (__, draw) => drawn(draw, step))),
  )
  const falls = Float64Array.from({ length: draws }, (_, draw) =>
    value.reduce(
      (most, at, step) =>
        error[step]! > 0 ? Math.max(most, (at - drawn(draw, step)) / error[step]!) : most,
      0,
    ),
  ).sort()
  const reach = falls[Math.ceil(0.975 * draws) - 1]!
  const below = value.flatMap((at, step) =>
    error[step]! > 0 && at + reach * error[step]! < 0 ? [step / (value.length - 1)] : [],
  )
  return below.length > 0 ? { from: below[0]!, to: below.at(-1)! } : undefined
}
