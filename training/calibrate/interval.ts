import Type from 'typebox'
import { normalQuantile } from '../../core/stats/normal.ts'

export const Interval = Type.Object({
  value: Type.Number(),
  low: Type.Number(),
  high: Type.Number(),
})
export type Interval = Type.Static<typeof Interval>

/** Half width of the Dvoretzky-Kiefer-Wolfowitz band (Massart 1990): holds for every threshold at once. */
export function dkwHalfWidth(n: number, level: number): number {
  return Math.sqrt(Math.log(2 / (1 - level)) / (2 * n))
}

/** A share with its DKW interval, so it stays valid for a threshold picked on the same rows. */
export function shareInterval(share: number, n: number, level: number): Interval {
  const half = dkwHalfWidth(n, level)
  return { value: share, low: Math.max(0, share - half), high: Math.min(1, share + half) }
}

/**
 * Mean of n values with its large-sample interval; with weights, the self-normalised mean and the
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

/**
 * Ratio of two means over the same rows, by the delta method; undefined where the denominator is not
 * clear of 0 at this level.
 */
export function ratioInterval(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
  level: number,
): Interval | undefined {
  const base = meanInterval(denominator, weights, level)
  if (base.low <= 0 && base.high >= 0) return undefined
  const ratio = meanInterval(numerator, weights, level).value / base.value
  const residual = Float64Array.from(
    denominator,
    (value, i) => (numerator[i]! - ratio * value) / base.value,
  )
  const spread = meanInterval(residual, weights, level)
  const half = spread.high - spread.value
  return { value: ratio, low: ratio - half, high: ratio + half }
}
