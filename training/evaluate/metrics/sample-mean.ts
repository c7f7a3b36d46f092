import { type Interval, UNDEFINED_INTERVAL } from './interval.ts'
import { Z_95 } from './normal.ts'

/** A mean of n values with its normal 95% interval. */
export function meanInterval(values: ArrayLike<number>): Interval {
  const n = values.length
  if (n === 0) return UNDEFINED_INTERVAL
  let sum = 0
  for (let i = 0; i < n; i++) sum += values[i]!
  const value = sum / n
  if (n === 1) return { value, low: null, high: null }
  let squares = 0
  for (let i = 0; i < n; i++) squares += (values[i]! - value) ** 2
  const half = Z_95 * Math.sqrt(squares / (n - 1) / n)
  return { value, low: value - half, high: value + half }
}

/** Sum of `above` over sum of `below` with the interval of its linearisation (delta method). */
export function ratioInterval(above: ArrayLike<number>, below: ArrayLike<number>): Interval {
  const n = above.length
  let a = 0
  let b = 0
  for (let i = 0; i < n; i++) {
    a += above[i]!
    b += below[i]!
  }
  const value = a / b
  let squares = 0
  for (let i = 0; i < n; i++) squares += (above[i]! - value * below[i]!) ** 2
  const half = (Z_95 * Math.sqrt(squares * (n / (n - 1)))) / Math.abs(b)
  return { value, low: value - half, high: value + half }
}

/** A share k of n with Wilson's 95% interval, which stays within [0, 1]. */
export function shareInterval(k: number, n: number): Interval {
  if (n === 0) return UNDEFINED_INTERVAL
  const p = k / n
  const z2 = Z_95 ** 2
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n)
  const half = (Z_95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))
  return { value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}
