import type { CalibrationMap } from '../../../models/calibration-map.ts'

const ITERATIONS = 60
/** L2 penalty towards the identity, in rows: keeps the fit finite on separable rows. */
const PRIOR_ROWS = 1
/** Minimum slope, since a map must be increasing. */
const LEAST = 1e-3
const MARGIN = 1e-6

/** Platt's map: sigmoid(slope * logit(p) + intercept), by Newton's method on the log-loss with soft labels. */
export function fitPlatt(winRate: Float64Array, y: Float64Array): CalibrationMap {
  const logit = winRate.map((p) => logOf(p) - logOf(1 - p))
  const [slope, intercept] = fitLogistic([logit], y, [1])
  if (slope! >= LEAST) return { method: 'platt', slope: slope!, intercept: intercept! }
  return { method: 'platt', slope: LEAST, intercept: flatIntercept(logit, LEAST, y) }
}

/** The beta map (Kull, Silva Filho and Flach 2017); as in the paper, a negative coefficient is removed. */
export function fitBeta(winRate: Float64Array, y: Float64Array): CalibrationMap {
  const up = winRate.map(logOf)
  const down = winRate.map((p) => -logOf(1 - p))
  let [a, b, intercept] = fitLogistic([up, down], y, [1, 1]) as [number, number, number]
  if (a < LEAST) {
    ;[b, intercept] = fitLogistic([down], y, [1]) as [number, number]
    a = LEAST
  } else if (b < LEAST) {
    ;[a, intercept] = fitLogistic([up], y, [1]) as [number, number]
    b = LEAST
  }
  return { method: 'beta', a: Math.max(a, LEAST), b: Math.max(b, LEAST), intercept }
}

const logOf = (p: number): number => Math.log(Math.max(p, MARGIN))

/** Coefficients of the features, then the intercept; the prior pulls the coefficients towards `towards`. */
function fitLogistic(
  features: readonly Float64Array[],
  y: Float64Array,
  towards: readonly number[],
): number[] {
  const k = features.length
  const n = y.length
  const theta = [...towards, 0]
  for (let step = 0; step < ITERATIONS; step++) {
    const gradient = new Float64Array(k + 1)
    const hessian = Array.from({ length: k + 1 }, () => new Float64Array(k + 1))
    for (let j = 0; j <= k; j++) {
      gradient[j] = PRIOR_ROWS * (theta[j]! - (towards[j] ?? 0))
      hessian[j]![j] = PRIOR_ROWS
    }
    for (let i = 0; i < n; i++) {
      let logit = theta[k]!
      for (let j = 0; j < k; j++) logit += theta[j]! * features[j]![i]!
      const p = 1 / (1 + Math.exp(-logit))
      const curvature = Math.max(p * (1 - p), 1e-9)
      for (let j = 0; j <= k; j++) {
        const at = j < k ? features[j]![i]! : 1
        gradient[j]! += (p - y[i]!) * at
        for (let l = 0; l <= j; l++) {
          hessian[j]![l]! += curvature * at * (l < k ? features[l]![i]! : 1)
        }
      }
    }
    const change = solve(hessian, gradient)
    let largest = 0
    for (let j = 0; j <= k; j++) {
      // a Newton step far from the optimum may overshoot
      const bounded = Math.max(-5, Math.min(5, change[j]!))
      theta[j]! -= bounded
      largest = Math.max(largest, Math.abs(bounded))
    }
    if (largest < 1e-10) break
  }
  return theta
}

/** The intercept, for a fixed slope, at which the mean prediction is the labels' mean. */
function flatIntercept(logit: Float64Array, slope: number, y: Float64Array): number {
  const offset = logit.map((value) => slope * value)
  let mean = 0
  for (const value of y) mean += value / y.length
  let low = -20
  let high = 20
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2
    let sum = 0
    for (const value of offset) sum += 1 / (1 + Math.exp(-(value + middle)))
    if (sum / y.length < mean) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Solves a positive definite system by Cholesky, reading only the lower triangle. */
function solve(matrix: readonly Float64Array[], right: Float64Array): Float64Array {
  const n = right.length
  const factor = matrix.map((row) => row.slice())
  for (let j = 0; j < n; j++) {
    for (let l = 0; l < j; l++) factor[j]![j]! -= factor[j]![l]! ** 2
    factor[j]![j] = Math.sqrt(factor[j]![j]!)
    for (let i = j + 1; i < n; i++) {
      for (let l = 0; l < j; l++) factor[i]![j]! -= factor[i]![l]! * factor[j]![l]!
      factor[i]![j]! /= factor[j]![j]!
    }
  }
  const x = right.slice()
  for (let i = 0; i < n; i++) {
    for (let l = 0; l < i; l++) x[i]! -= factor[i]![l]! * x[l]!
    x[i]! /= factor[i]![i]!
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let l = i + 1; l < n; l++) x[i]! -= factor[l]![i]! * x[l]!
    x[i]! /= factor[i]![i]!
  }
  return x
}
