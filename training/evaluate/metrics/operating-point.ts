import {
  type PartialInterval,
  ratioInterval,
  sampleMeanInterval,
  UNDEFINED_INTERVAL,
  wilsonInterval,
} from '../../../core/stats/intervals.ts'
import type { ErrorFloor } from '../../ope/error-floor.ts'
import type { Coefficient } from '../../ope/sensitivity.ts'
import type { Spend } from './curve-pass.ts'
import { mean } from './labels.ts'

/** What a router achieves at its threshold. */
export interface OperatingPoint {
  readonly threshold: number
  /** `default` before any calibration */
  readonly source: 'default' | 'calibrated'
  readonly strong_share: PartialInterval
  /** mean score of the answers given; null if the log holds only preferences */
  readonly quality: PartialInterval
  readonly pgr: PartialInterval
  /** mean score lost compared with always-strong (negative: gained) */
  readonly loss: PartialInterval
  /** US dollars per 1,000 requests, and those of all-strong; null if costs are not known */
  readonly dollars_per_1k: PartialInterval
  readonly strong_dollars_per_1k: number | null
  /** RouterArena's score, if quality and dollars are known */
  readonly router_arena: number | null
}

export interface OperatingInput {
  readonly winRate: ArrayLike<number>
  readonly threshold: { readonly value: number; readonly source: 'default' | 'calibrated' }
  readonly gain: Float64Array
  readonly weak?: ArrayLike<number> | undefined
  readonly spend?: Spend | undefined
  /** false if the interval of strong - weak contains 0 */
  readonly clear: boolean
  /** the least error of means, if gains are estimates of single answers */
  readonly floor?: ErrorFloor | undefined
}

export function operatingPoint(input: OperatingInput): OperatingPoint {
  const { winRate, gain, weak, spend, threshold, floor } = input
  const n = gain.length
  const kept = new Float64Array(n)
  const lost = new Float64Array(n)
  let sent = 0
  const isSent = (i: number): boolean => winRate[i]! >= threshold.value
  const widen = (interval: PartialInterval, of: Coefficient): PartialInterval =>
    floor?.widen(interval, of) ?? interval
  for (let i = 0; i < n; i++) {
    const strong = isSent(i)
    if (strong) sent += 1
    kept[i] = strong ? gain[i]! : 0
    lost[i] = strong ? 0 : gain[i]!
  }
  // prompts with votes only have no score
  const quality = weak
    ? widen(
        sampleMeanInterval(
          kept.map((g, i) => g + weak[i]!).filter((value) => !Number.isNaN(value)),
        ),
        (i, model) => (isSent(i) === (model === 0) ? 1 : 0),
      )
    : UNDEFINED_INTERVAL
  const dollars = spend
    ? sampleMeanInterval(kept.map((_, i) => 1000 * (isSent(i) ? spend.strong[i]! : spend.weak[i]!)))
    : UNDEFINED_INTERVAL
  const pgrOf = (): PartialInterval => {
    const ratio = ratioInterval(kept, gain, undefined, 0.95)
    const base = mean(gain)
    return widen(ratio, (i) => (Number(isSent(i)) - ratio.value) / base)
  }
  return {
    threshold: threshold.value,
    source: threshold.source,
    strong_share: wilsonInterval(sent, n),
    quality,
    pgr: input.clear ? pgrOf() : UNDEFINED_INTERVAL,
    loss: widen(sampleMeanInterval(lost), (i) => (isSent(i) ? 0 : 1)),
    dollars_per_1k: dollars,
    strong_dollars_per_1k: spend ? sampleMeanInterval(spend.strong).value! * 1000 : null,
    router_arena:
      quality.value !== null && dollars.value !== null
        ? routerArenaScore(quality.value, dollars.value)
        : null,
  }
}

const BETA = 0.1
/** US dollars per 1,000 requests of the most expensive and the cheapest router on RouterArena's leaderboard */
const COST_MAX = 200
const COST_MIN = 0.0044

/**
 * RouterArena's score in [0, 1] (Lu et al. 2025, arXiv 2510.00202): the weighted harmonic mean of accuracy
 * and of the position of log2(cost) between the most expensive and the cheapest router. Costs are clipped to
 * that range.
 */
export function routerArenaScore(accuracy: number, dollarsPer1k: number): number {
  const cost = Math.min(COST_MAX, Math.max(COST_MIN, dollarsPer1k))
  const thrift = Math.log2(COST_MAX / cost) / Math.log2(COST_MAX / COST_MIN)
  const below = BETA * accuracy + thrift
  return below > 0 ? ((1 + BETA) * accuracy * thrift) / below : 0
}
