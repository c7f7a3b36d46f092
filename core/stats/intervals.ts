import Type from 'typebox'
import { betaQuantile } from './beta.ts'
import { normalQuantile, Z_95 } from './normal.ts'

/** A figure with its interval. */
export const Interval = Type.Object({
  value: Type.Number(),
  low: Type.Number(),
  high: Type.Number(),
})
export type Interval = Type.Static<typeof Interval>

/** A figure with its 95% interval, each null if undefined; the report explains why. */
export interface PartialInterval {
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
}

export const UNDEFINED_INTERVAL: PartialInterval = { value: null, low: null, high: null }

/** On which side of a reference an interval lies; `open` if it holds the reference or has no bounds. */
export type Side = 'above' | 'below' | 'open'

/**
 * The one decision behind every sentence that calls something better, worse or not told apart: `above` only if the
 * whole interval lies above the reference, `below` only if all of it lies below. With 95% intervals each of the two
 * is said wrongly at most once in forty. NaN counts as no bound.
 */
export function sideOf({ low, high }: Pick<PartialInterval, 'low' | 'high'>, reference = 0): Side {
  if (low === null || high === null || Number.isNaN(low) || Number.isNaN(high)) return 'open'
  if (low > reference) return 'above'
  return high < reference ? 'below' : 'open'
}

/**
 * Mean of n values with its large-sample normal interval; with weights, the self-normalised mean and the
 * linearised variance of that ratio.
 */
export function meanInterval(
  values: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  level: number,
): Interval {
  const n = values.length
  let total = 0
  let sum = 0
  for (let i = 0; i < n; i++) {
    const w = weights ? weights[i]! : 1
    total += w
    sum += w * values[i]!
  }
  const mean = sum / total
  let squares = 0
  for (let i = 0; i < n; i++) {
    const deviation = (weights ? weights[i]! : 1) * (values[i]! - mean)
    squares += deviation * deviation
  }
  const error = Math.sqrt((squares * n) / Math.max(1, n - 1)) / total
  const half = normalQuantile((1 + level) / 2) * error
  return { value: mean, low: mean - half, high: mean + half }
}

/** A mean with its 95% interval, as far as defined: no mean for 0 values, no bounds for 1. */
export function sampleMeanInterval(values: ArrayLike<number>): PartialInterval {
  if (values.length === 0) return UNDEFINED_INTERVAL
  const interval = meanInterval(values, undefined, 0.95)
  return values.length === 1 ? { value: interval.value, low: null, high: null } : interval
}

/** Ratio of two means over the same rows, with the interval of its linearisation (delta method). */
export function ratioInterval(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  level: number,
): Interval {
  const base = meanInterval(denominator, weights, level).value
  const ratio = meanInterval(numerator, weights, level).value / base
  const residual = Float64Array.from(
    denominator,
    (value, i) => (numerator[i]! - ratio * value) / base,
  )
  const spread = meanInterval(residual, weights, level)
  const half = spread.high - spread.value
  return { value: ratio, low: ratio - half, high: ratio + half }
}

/** Like `ratioInterval`; undefined if the interval of the denominator's mean contains 0. */
export function clearRatioInterval(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  level: number,
): Interval | undefined {
  const base = meanInterval(denominator, weights, level)
  if (base.low <= 0 && base.high >= 0) return undefined
  return ratioInterval(numerator, denominator, weights, level)
}

/** A share k of n with Wilson's 95% interval (1927), which stays within [0, 1]. */
export function wilsonInterval(k: number, n: number): PartialInterval {
  if (n === 0) return UNDEFINED_INTERVAL
  const p = k / n
  const z2 = Z_95 ** 2
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n)
  const half = (Z_95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))
  return { value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

/**
 * A share with the half width of the Dvoretzky-Kiefer-Wolfowitz band (Massart 1990). It holds for every
 * threshold simultaneously, so it stays valid for a threshold chosen on the same n rows.
 */
export function dkwInterval(share: number, n: number, level: number): Interval {
  const half = Math.sqrt(Math.log(2 / (1 - level)) / (2 * n))
  return { value: share, low: Math.max(0, share - half), high: Math.min(1, share + half) }
}

/** Exact upper limit of a proportion with k of n (Clopper and Pearson 1934), one-sided at 1 - delta. */
export function clopperPearsonUpper(k: number, n: number, delta: number): number {
  return k >= n ? 1 : betaQuantile(1 - delta, k + 1, n - k)
}

/**
 * Percentile interval from bootstrap replicates (Efron and Tibshirani 1993, ch. 13). A replicate in which the
 * figure was undefined (NaN) could have had any value, so it counts at both ends.
 */
export function percentileInterval(
  value: number,
  replicates: Float64Array,
  level = 0.95,
): PartialInterval {
  const defined = replicates.filter((x) => !Number.isNaN(x)).sort()
  const missing = replicates.length - defined.length
  const tail = ((1 - level) / 2) * (replicates.length + missing)
  return {
    value: orNull(value),
    low: orNull(quantileOfSorted(defined, tail - missing)),
    high: orNull(quantileOfSorted(defined, defined.length - (tail - missing))),
  }
}

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null)

/** The value with `count` (may be fractional) of the sorted values below it; NaN if out of range. */
function quantileOfSorted(sorted: Float64Array, count: number): number {
  if (sorted.length === 0 || count < 0 || count > sorted.length) return Number.NaN
  const position = Math.min(Math.max(count - 0.5, 0), sorted.length - 1)
  const floor = Math.floor(position)
  const upper = sorted[Math.min(floor + 1, sorted.length - 1)]!
  return sorted[floor]! + (position - floor) * (upper - sorted[floor]!)
}

/** Standard deviation of the defined replicates: the figure's standard error (Welford 1962). */
export function standardError(replicates: Float64Array): number {
  let n = 0
  let mean = 0
  let squares = 0
  for (const x of replicates) {
    if (Number.isNaN(x)) continue
    n += 1
    const step = x - mean
    mean += step / n
    squares += step * (x - mean)
  }
  return n > 1 ? Math.sqrt(squares / (n - 1)) : Number.NaN
}
