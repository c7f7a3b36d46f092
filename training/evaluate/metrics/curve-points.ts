import type { SortedRouter, Spend } from './curve-pass.ts'

import type { ScoreOrder } from './score-order.ts'

/** Number of steps of the strong share at which every curve and its band are drawn. */
export const GRID_STEPS = 100
/** Number of thresholds that the report's slider can stop at. */
const SLIDER_STEPS = 400

/** Added to the highest score: above it, no prompt goes strong. */
const ABOVE_ALL = 1e-6

/** A router's thresholds and their effects, thinned out for a chart. Columns have equal length. */
export interface CurvePoints {
  /** lowest win rate that is still sent strong */
  readonly threshold: number[]
  readonly share: number[]
  /** mean gain over all-weak, in score units */
  readonly gain: number[]
  /** US dollars per 1,000 requests; absent if costs are not known */
  readonly dollars?: number[]
}

/**
 * The curve at GRID_STEPS + 1 even strong shares, with the percentile band over bootstrap replicates: PGR,
 * where each draw is divided by its own gap, if the gap's interval excludes 0; otherwise mean gain over
 * all-weak.
 */
export interface CurveBand {
  readonly value: number[]
  readonly low: number[]
  readonly high: number[]
}

export function curvePoints(
  scores: ArrayLike<number>,
  { order, groupEnd }: ScoreOrder,
  gain: ArrayLike<number>,
  spend: Spend | undefined,
  threshold = Number.NaN,
): CurvePoints {
  const n = order.length
  // the router's threshold is always among the points
  const kept = (i: number): boolean =>
    scores[order[i]!]! >= threshold && !(scores[order[i + 1]!]! >= threshold)
  const points = { threshold: [] as number[], share: [0], gain: [0], dollars: [] as number[] }
  points.threshold.push(scores[order[0]!]! + ABOVE_ALL)
  let spent = 0
  if (spend) for (const cost of spend.weak) spent += cost
  points.dollars.push((1000 * spent) / n)
  let sum = 0
  let next = 1
  for (let i = 0; i < n; i++) {
    const prompt = order[i]!
    sum += gain[prompt]!
    if (spend) spent += spend.strong[prompt]! - spend.weak[prompt]!
    if (!groupEnd[i]) continue
    if (i + 1 < n && (i + 1) * SLIDER_STEPS < next * n && !kept(i)) continue
    next = Math.floor(((i + 1) * SLIDER_STEPS) / n) + 1
    points.threshold.push(scores[prompt]!)
    points.share.push((i + 1) / n)
    points.gain.push(sum / n)
    points.dollars.push((1000 * spent) / n)
  }
  const { dollars, ...rest } = points
  return spend ? { ...rest, dollars } : rest
}

/**
 * Gain at even strong shares of a weighted sample (counts in the order of the scores) divided by `unit`,
 * linear between thresholds; written into `out` (GRID_STEPS + 1).
 */
export function gainOnGrid(
  { groupEnd, gain }: SortedRouter,
  counts: Uint8Array,
  drawn: number,
  unit: number,
  out: Float64Array,
): void {
  out.fill(0)
  let sent = 0
  let recovered = 0
  let step = 1
  for (let i = 0, groupCount = 0, groupGain = 0; i < gain.length; i++) {
    const count = counts[i]!
    groupCount += count
    groupGain += count * gain[i]!
    if (groupEnd[i] === 0 || groupCount === 0) continue
    while (step <= GRID_STEPS && (step / GRID_STEPS) * drawn <= sent + groupCount) {
      const part = ((step / GRID_STEPS) * drawn - sent) / groupCount
      out[step] = (recovered + part * groupGain) / unit
      step += 1
    }
    sent += groupCount
    recovered += groupGain
    groupCount = 0
    groupGain = 0
  }
}
