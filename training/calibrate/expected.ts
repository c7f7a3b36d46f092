import Type from 'typebox'
import {
  clearRatioInterval,
  dkwInterval,
  Interval,
  meanInterval,
} from '../../core/stats/intervals.ts'
import { shareAt } from './candidates.ts'
import { type CalibrationRows, effectiveSize } from './rows.ts'

/** What a threshold achieves on the calibration rows, each figure with its interval (95% unless stated). */
export const Expected = Type.Object({
  share: Interval,
  /** mean score of the answers given; from preferences, gain over always-weak */
  quality: Type.Optional(Interval),
  /** net quality loss against always-strong, in score units */
  loss: Type.Optional(Interval),
  /** share of the gap between weak and strong that is kept; absent if the gap's interval contains 0 */
  pgr: Type.Optional(Interval),
  /** US dollars per 1,000 requests */
  dollars: Type.Optional(Interval),
})
export type Expected = Type.Static<typeof Expected>

export const INTERVAL_LEVEL = 0.95

export function expectedAt(
  rows: CalibrationRows,
  threshold: number,
  level = INTERVAL_LEVEL,
): Expected {
  const { winRate, gain, weak, weight } = rows
  const share = shareAt(winRate, threshold, weight)
  const expected: Expected = { share: dkwInterval(share, effectiveSize(rows), level) }
  if (gain) {
    const kept = gain.map((value, i) => (winRate[i]! >= threshold ? value : 0))
    const quality = weak ? kept.map((value, i) => value + weak[i]!) : kept
    expected.quality = meanInterval(quality, weight, level)
    expected.loss = meanInterval(netLoss(rows, threshold), weight, level)
    const pgr = clearRatioInterval(kept, gain, weight, level)
    if (pgr) expected.pgr = pgr
  }
  const cost = costAt(rows, threshold)
  if (cost) {
    expected.dollars = meanInterval(
      cost.map((value) => value * 1000),
      weight,
      level,
    )
  }
  return expected
}

/** (s - w) * 1[sent weak], n values in [-1, 1]. */
export function netLoss(rows: CalibrationRows, threshold: number): Float64Array {
  return rows.gain!.map((gain, i) => (rows.winRate[i]! >= threshold ? 0 : gain))
}

/** max(0, s - w) * 1[sent weak]: with 0/1 outcomes, 1 where only the strong model gets it right. */
export function harm(rows: CalibrationRows, threshold: number): Float64Array {
  return rows.gain!.map((gain, i) => (rows.winRate[i]! >= threshold ? 0 : Math.max(0, gain)))
}

/** US dollars of each request at this threshold; undefined if costs are not known. */
export function costAt(rows: CalibrationRows, threshold: number): Float64Array | undefined {
  const { winRate, strongCost, weakCost } = rows
  if (!strongCost || !weakCost) return undefined
  return winRate.map((score, i) => (score >= threshold ? strongCost[i]! : weakCost[i]!))
}
