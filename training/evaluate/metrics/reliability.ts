import {
  type PartialInterval,
  sampleMeanInterval,
  UNDEFINED_INTERVAL,
} from '../../../core/stats/intervals.ts'

import { sortScores } from './score-order.ts'

/** Prompts with neighbouring win rates: the mean prediction and the mean outcome. */
export interface ReliabilityBin {
  readonly rows: number
  readonly predicted: number
  readonly observed: PartialInterval
}

/** Calibration error of win rates against y = (1 + s - w) / 2. */
export interface Reliability {
  /** 15 equal-mass bins, mean |predicted - observed| (Naeini et al. 2015; equal mass: Nguyen and O'Connor 2015) */
  readonly ece: number
  /** the error that a perfectly calibrated router would show at this n, by chance alone */
  readonly ece_perfect: number
  /** undefined where only one model answered: it needs the label of each prompt, not their mean */
  readonly brier: PartialInterval
  readonly bins: readonly ReliabilityBin[]
}

const BINS = 15

/** @param estimated whether labels are estimates, which are right only on average over prompts */
export function reliabilityOf(
  winRate: ArrayLike<number>,
  y: ArrayLike<number>,
  estimated = false,
): Reliability {
  const n = winRate.length
  const { order } = sortScores(winRate)
  const bins: ReliabilityBin[] = []
  let ece = 0
  let perfect = 0
  for (let bin = 0; bin < BINS; bin++) {
    const from = Math.round((bin * n) / BINS)
    const to = Math.round(((bin + 1) * n) / BINS)
    if (to === from) continue
    const rows = order.subarray(n - to, n - from) // the order is descending, the bins are ascending
    let predicted = 0
    let squares = 0
    for (const i of rows) {
      predicted += winRate[i]! / rows.length
      squares += (y[i]! - winRate[i]!) ** 2
    }
    const observed = sampleMeanInterval(Float64Array.from(rows, (i) => y[i]!))
    const share = rows.length / n
    ece += share * Math.abs(predicted - observed.value!)
    // the mean |mean of m errors| of spread s is s * sqrt(2 / (pi m)); the bin's bias is not noise
    const spread = Math.max(0, squares / rows.length - (predicted - observed.value!) ** 2)
    perfect += share * Math.sqrt((2 * spread) / (Math.PI * rows.length))
    bins.push({ rows: rows.length, predicted, observed })
  }
  return {
    ece,
    ece_perfect: perfect,
    brier: estimated
      ? UNDEFINED_INTERVAL
      : sampleMeanInterval(Float64Array.from(winRate, (p, i) => (p - y[i]!) ** 2)),
    bins,
  }
}
