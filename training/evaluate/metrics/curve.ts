import type { ScoreOrder } from './score-order.ts'

/**
 * What a router recovers as its threshold falls: with `share[k]` of the prompts sent strong, `gain[k]` is the
 * mean over all prompts of (s - w) * 1[sent strong]. It starts at (0, 0), ends at (1, mean gain), and is
 * linear in between: equal scores change together, so a constant router is a straight line.
 */
export interface CostQualityCurve {
  readonly share: Float64Array
  readonly gain: Float64Array
}

/** One point per distinct score, in O(n) after the sort. `gain` is s - w per prompt, in prompt order. */
export function costQualityCurve(
  { order, groupEnd }: ScoreOrder,
  gain: ArrayLike<number>,
): CostQualityCurve {
  const n = order.length
  let points = 1
  for (let i = 0; i < n; i++) points += groupEnd[i]!
  const curve = { share: new Float64Array(points), gain: new Float64Array(points) }
  let sum = 0
  let point = 0
  for (let i = 0; i < n; i++) {
    sum += gain[order[i]!]!
    if (!groupEnd[i]) continue
    point += 1
    curve.share[point] = (i + 1) / n
    curve.gain[point] = sum / n
  }
  return curve
}

/** Mean of s - w over all prompts: the gain of sending every prompt strong. */
export const wholeGain = (curve: CostQualityCurve): number => curve.gain.at(-1)!

/** Area under PGR against strong share, by trapezoids; exact, since the curve is piecewise linear. */
export function apgr(curve: CostQualityCurve): number {
  let area = 0
  for (let k = 1; k < curve.share.length; k++) {
    area += ((curve.share[k]! - curve.share[k - 1]!) * (curve.gain[k]! + curve.gain[k - 1]!)) / 2
  }
  return area / wholeGain(curve)
}

/** Mean gain at a strong share in [0, 1]. */
export function gainAtShare(curve: CostQualityCurve, share: number): number {
  let low = 0
  let high = curve.share.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (curve.share[middle]! <= share) low = middle
    else high = middle
  }
  const width = curve.share[high]! - curve.share[low]!
  const part = width > 0 ? (share - curve.share[low]!) / width : 0
  return curve.gain[low]! + part * (curve.gain[high]! - curve.gain[low]!)
}

/**
 * CPT: the smallest strong share at which PGR first reaches `level` in (0, 1]. The curve need not be
 * monotone, so interpolating the inverse, as np.interp does, would be wrong.
 */
export function callPerformanceThreshold(curve: CostQualityCurve, level: number): number {
  const target = level * wholeGain(curve)
  for (let k = 1; k < curve.share.length; k++) {
    const below = curve.gain[k - 1]!
    const rise = curve.gain[k]! - below
    if (curve.gain[k]! < target) continue
    const part = rise > 0 ? (target - below) / rise : 1
    return curve.share[k - 1]! + part * (curve.share[k]! - curve.share[k - 1]!)
  }
  return 1
}

/**
 * APGR by the protocol of RouteLLM (Ong et al. 2024, arXiv 2406.18665): thresholds at the deciles of the
 * scores (linear interpolation between order statistics), strong where score >= threshold but none at the
 * last, trapezoids between these points only. Equal quantiles, which its pd.qcut refuses, count once.
 */
export function apgrRouteLlm(
  { order }: ScoreOrder,
  scores: ArrayLike<number>,
  gain: ArrayLike<number>,
): number {
  const n = order.length
  const before = new Float64Array(n + 1)
  for (let i = 0; i < n; i++) before[i + 1] = before[i]! + gain[order[i]!]!
  const ascending = (rank: number): number => scores[order[n - 1 - rank]!]!
  const atLeast = (threshold: number): number => {
    let low = 0
    let high = n
    while (low < high) {
      const middle = (low + high) >> 1
      if (scores[order[middle]!]! >= threshold) low = middle + 1
      else high = middle
    }
    return low
  }
  let area = 0
  let sent = n
  let last = ascending(0)
  for (let decile = 1; decile <= 10; decile++) {
    const position = ((n - 1) * decile) / 10
    const floor = Math.floor(position)
    const lower = ascending(floor)
    const upper = ascending(Math.min(floor + 1, n - 1))
    const threshold = lower + (position - floor) * (upper - lower)
    if (threshold === last && decile < 10) continue
    last = threshold
    const now = decile === 10 ? 0 : atLeast(threshold)
    area += ((sent - now) * (before[sent]! + before[now]!)) / 2
    sent = now
  }
  return area / (n * before[n]!)
}
