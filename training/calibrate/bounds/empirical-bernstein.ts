import { type BoundTest, meanOf } from './bounds.ts'

/** Upper limit of the mean of values in [low, high] at 1 - delta (Maurer and Pontil 2009, theorem 4). */
export function empiricalBernsteinUpper(
  values: Float64Array,
  low: number,
  high: number,
  delta: number,
): number {
  const n = values.length
  if (n < 2) return high
  const mean = meanOf(values)
  let squares = 0
  for (let i = 0; i < n; i++) squares += (values[i]! - mean) ** 2
  const log = Math.log(2 / delta)
  const slack =
    Math.sqrt((2 * (squares / (n - 1)) * log) / n) + (7 * (high - low) * log) / (3 * (n - 1))
  return Math.min(high, mean + slack)
}

export const empiricalBernstein: BoundTest = {
  name: 'empirical-bernstein',
  values: 'bounded',
  rejects: (values, { mean, low, high, delta }) =>
    empiricalBernsteinUpper(values, low, high, delta) <= mean,
}
