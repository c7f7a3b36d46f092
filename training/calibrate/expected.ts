import Type from 'typebox'
import {
  clearRatioInterval,
  dkwInterval,
  Interval,
  meanInterval,
  sideOf,
} from '../../core/stats/intervals.ts'
import { errorFloor } from '../ope/error-floor.ts'
import type { Coefficient } from '../ope/sensitivity.ts'
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

export function expectedAt(rows: CalibrationRows, threshold: number): Expected {
  const { winRate, gain, weak, weight, singles } = rows
  const level = INTERVAL_LEVEL
  const floor = singles && errorFloor(singles)
  const isSent = (i: number): boolean => winRate[i]! >= threshold
  const widen = (interval: Interval, of: Coefficient): Interval => {
    const weighted: Coefficient = (i, model) => (weight?.[i] ?? 1) * of(i, model)
    // of a mean over some rows every end is defined
    return (floor?.widen(interval, weighted) ?? interval) as Interval
  }
  const share = shareAt(winRate, threshold, weight)
  const expected: Expected = { share: dkwInterval(share, effectiveSize(rows), level) }
  if (gain) {
    const kept = gain.map((value, i) => (isSent(i) ? value : 0))
    const quality = weak ? kept.map((value, i) => value + weak[i]!) : kept
    const whole = meanInterval(gain, weight, level)
    expected.quality = widen(
      meanInterval(quality, weight, level),
      weak ? (i, model) => (isSent(i) === (model === 0) ? 1 : 0) : (i) => (isSent(i) ? 1 : 0),
    )
    expected.loss = widen(meanInterval(netLoss(rows, threshold), weight, level), (i) =>
      isSent(i) ? 0 : 1,
    )
    const { low, high } = widen(whole, () => 1)
    const pgr =
      sideOf({ low, high }) !== 'open' ? clearRatioInterval(kept, gain, weight, level) : undefined
    if (pgr) {
      expected.pgr = widen(pgr, (i) => (Number(isSent(i)) - pgr.value) / whole.value)
    }
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
