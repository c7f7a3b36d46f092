import { createRandom, deriveSeed } from '../../../core/random.ts'
import { Z_95 } from '../../../core/stats/normal.ts'
import { doublyRobust, selfNormalised, standardErrorOf } from '../../../training/ope/estimators.ts'
import { type LoggedOutcomes, thresholdPolicy } from '../../../training/ope/logged.ts'

import type { LoopTable } from './routers.ts'

/** Off-policy estimates over simulated logs of one table. */
export interface OpeFigures {
  readonly runs: number
  /** root mean squared error against what the logged requests would have earned */
  readonly rmse: { readonly naive: number; readonly snips: number; readonly robust: number }
  /** the same against the mean over all prompts the logs were drawn from */
  readonly population: { readonly naive: number; readonly snips: number; readonly robust: number }
  /** share of the 95% intervals that contain the population's value */
  readonly coverage: number
  /** share of runs whose best-looking threshold is within a point of the best one */
  readonly picked: number
  /** the same if a strong call costs `price` */
  readonly pickedNet: number
  readonly price: number
}

export interface OpeOptions {
  readonly seed: number
  readonly runs: number
  /** decisions per log */
  readonly rows: number
  readonly epsilon: number
}

/** Shares that the ten candidate thresholds send strong; the serving router sends half. */
const SHARES = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
const NEAR = 0.01

/** Epsilon-greedy logs of the serving router; the candidate at ten thresholds is valued on each. */
export function simulateOpe(table: LoopTable, options: OpeOptions): OpeFigures {
  const { runs, rows, epsilon } = options
  const n = table.strong.length
  const served = quantile(table.serving.winRate, 0.5)
  const thresholds = SHARES.map((share) => quantile(table.candidate.winRate, 1 - share))
  const gap = mean(table.strong) - mean(table.weak)
  const worth = (threshold: number, price: number, over: Iterable<number>): number => {
    let sum = 0
    let count = 0
    for (const i of over) {
      const strong = table.candidate.winRate[i]! >= threshold
      sum += strong ? table.strong[i]! - price : table.weak[i]!
      count++
    }
    return sum / count
  }
  const everyone = Array.from({ length: n }, (_, i) => i)
  const truth = (price: number): number[] =>
    thresholds.map((threshold) => worth(threshold, price, everyone))
  const free = truth(0)
  const net = truth(gap)
  const errors = { naive: 0, snips: 0, robust: 0 }
  const wide = { naive: 0, snips: 0, robust: 0 }
  let covered = 0
  let picked = 0
  let pickedNet = 0
  for (let run = 0; run < runs; run++) {
    const random = createRandom(deriveSeed(options.seed, `ope ${run}`))
    const drawn = Int32Array.from({ length: rows }, () => random.int(n))
    const log = epsilonGreedyLog(table, drawn, served, epsilon, () => random.next())
    const winRate = Float64Array.from(drawn, (i) => table.candidate.winRate[i]!)
    const values: number[] = []
    const netValues: number[] = []
    thresholds.forEach((threshold, t) => {
      const policy = thresholdPolicy(winRate, threshold)
      const robust = doublyRobust(log, policy)
      const here = worth(threshold, 0, drawn)
      const estimates = {
        naive: agreeingMean(log, policy),
        snips: selfNormalised(log, policy).value,
        robust: robust.value,
      }
      for (const name of ['naive', 'snips', 'robust'] as const) {
        errors[name] += (estimates[name] - here) ** 2
        wide[name] += (estimates[name] - free[t]!) ** 2
      }
      const half = Z_95 * standardErrorOf(robust)
      if (Math.abs(robust.value - free[t]!) <= half) covered++
      values.push(robust.value)
      const strong = winRate.reduce((sum, w) => sum + (w >= threshold ? 1 : 0), 0) / rows
      netValues.push(robust.value - gap * strong)
    })
    if (isNear(values, free)) picked++
    if (isNear(netValues, net)) pickedNet++
  }
  const total = runs * SHARES.length
  const root = (sums: typeof errors): typeof errors => ({
    naive: Math.sqrt(sums.naive / total),
    snips: Math.sqrt(sums.snips / total),
    robust: Math.sqrt(sums.robust / total),
  })
  return {
    runs,
    rmse: root(errors),
    population: root(wide),
    coverage: covered / total,
    picked: picked / runs,
    pickedNet: pickedNet / runs,
    price: gap,
  }
}

/** A server's log: the router's choice, except that `epsilon` of the requests are decided by a fair coin. */
export function epsilonGreedyLog(
  table: LoopTable,
  drawn: Int32Array,
  threshold: number,
  epsilon: number,
  next: () => number,
): LoggedOutcomes {
  const n = drawn.length
  const action = new Int32Array(n)
  const propensity = new Float64Array(2 * n)
  const reward = new Float64Array(n)
  const prior = new Float64Array(2 * n)
  const features = new Float64Array(4 * n)
  drawn.forEach((i, row) => {
    const greedy = table.serving.winRate[i]! >= threshold ? 1 : 0
    propensity[2 * row + greedy] = 1 - epsilon / 2
    propensity[2 * row + 1 - greedy] = epsilon / 2
    action[row] = next() < epsilon / 2 ? 1 - greedy : greedy
    reward[row] = action[row] === 1 ? table.strong[i]! : table.weak[i]!
    const { quality } = table.candidate
    prior.set([quality[2 * i + 1]!, quality[2 * i]!], 2 * row)
    features.set([quality[2 * i]!, quality[2 * i + 1]!], 4 * row)
    features.set(table.serving.quality.subarray(2 * i, 2 * i + 2), 4 * row + 2)
  })
  return { n, actions: 2, action, propensity, reward, prior, features, featureCount: 4 }
}

function agreeingMean(log: LoggedOutcomes, policy: Float64Array): number {
  let sum = 0
  let count = 0
  for (let i = 0; i < log.n; i++) {
    if (policy[2 * i + log.action[i]!] !== 1) continue
    sum += log.reward[i]!
    count++
  }
  return sum / count
}

const isNear = (estimates: readonly number[], truth: readonly number[]): boolean =>
  truth[estimates.indexOf(Math.max(...estimates))]! >= Math.max(...truth) - NEAR

export function quantile(values: Float64Array, at: number): number {
  const sorted = values.toSorted()
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))]!
}

export const mean = (values: Float64Array): number =>
  values.reduce((sum, x) => sum + x, 0) / values.length
