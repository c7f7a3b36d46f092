/** A figure with its 95% interval; null where it is undefined, and the report says why. */
export interface Interval {
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
}

export const UNDEFINED_INTERVAL: Interval = { value: null, low: null, high: null }

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null)

/**
 * Percentile interval from bootstrap replicates (Efron and Tibshirani 1993, ch. 13). A replicate in which the figure
 * was undefined (NaN) could have been anything, so it counts at both ends.
 */
export function percentileInterval(
  value: number,
  replicates: Float64Array,
  level = 0.95,
): Interval {
  const defined = replicates.filter((x) => !Number.isNaN(x)).sort()
  const missing = replicates.length - defined.length
  const tail = ((1 - level) / 2) * (replicates.length + missing)
  return {
    value: orNull(value),
    low: orNull(quantileOfSorted(defined, tail - missing)),
    high: orNull(quantileOfSorted(defined, defined.length - (tail - missing))),
  }
}

/** The value with `count` (may be fractional) of the sorted values below it; NaN outside. */
function quantileOfSorted(sorted: Float64Array, count: number): number {
  if (sorted.length === 0 || count < 0 || count > sorted.length) return Number.NaN
  const position = Math.min(Math.max(count - 0.5, 0), sorted.length - 1)
  const floor = Math.floor(position)
  const upper = sorted[Math.min(floor + 1, sorted.length - 1)]!
  return sorted[floor]! + (position - floor) * (upper - sorted[floor]!)
}

/** Standard deviation of the defined replicates: the figure's standard error. */
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
