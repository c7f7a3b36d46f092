import { createRandom, deriveSeed } from '../../../core/random.ts'
import { doublyRobust } from '../../../training/ope/estimators.ts'
import { differenceOf, intervalOf } from '../../../training/ope/evaluate-policy.ts'
import { thresholdPolicy } from '../../../training/ope/logged.ts'
import { fitRewardModel } from '../../../training/ope/reward-model.ts'
import { epsilonGreedyLog, mean, quantile } from './ope.ts'
import type { LoopTable } from './routers.ts'

export interface MonthWeek {
  readonly week: number
  readonly weak: number
  readonly promoted: boolean
  readonly threshold: number
  readonly net: { readonly frozen: number; readonly loop: number; readonly oracle: number }
  readonly strong: { readonly frozen: number; readonly loop: number }
}

export interface MonthFigures {
  readonly weeks: readonly MonthWeek[]
  readonly net: { readonly frozen: number; readonly loop: number; readonly oracle: number }
  /** promotions whose true net value was below the serving router's, by more than their interval allowed */
  readonly worse: number
  readonly promotions: number
}

const WEEKS = 4
const PER_WEEK = 7500
const EPSILON = 0.05
/** candidates: the retrained router at thresholds that send these shares strong */
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/**
 * A month of traffic. Hard prompts become more frequent week by week, and from the third week on the weak
 * model is a new one, which succeeds on a third of the old one's failures. Each week's log is evaluated
 * off-policy; a candidate is promoted only if its net value exceeds the serving one's with an interval that
 * excludes 0, Bonferroni over the candidates.
 */
export function simulateMonth(table: LoopTable, seed: number): MonthFigures {
  const random = createRandom(deriveSeed(seed, 'month'))
  const n = table.strong.length
  const price = mean(table.strong) - mean(table.weak)
  const newWeak = table.weak.map((w) => (w < 0.5 && random.next() < 1 / 3 ? 1 : w))
  const hard = Array.from(table.serving.winRate.keys()).sort(
    (a, b) => table.serving.winRate[b]! - table.serving.winRate[a]!,
  )
  const frozen = { router: table.serving, threshold: quantile(table.serving.winRate, 0.5) }
  let serving = frozen
  const weeks: MonthWeek[] = []
  let worse = 0
  let promotions = 0
  for (let week = 1; week <= WEEKS; week++) {
    const weak = week >= 3 ? newWeak : table.weak
    const drift = 0.1 * week
    const drawn = Int32Array.from({ length: PER_WEEK }, () =>
      random.next() < drift ? hard[random.int(Math.floor(n / 4))]! : random.int(n),
    )
    const netOf = (winRate: Float64Array, threshold: number): number => {
      let sum = 0
      for (const i of drawn) {
        sum += winRate[i]! >= threshold ? table.strong[i]! - price : weak[i]!
      }
      return sum / PER_WEEK
    }
    const share = (winRate: Float64Array, threshold: number): number =>
      drawn.reduce((sum, i) => sum + (winRate[i]! >= threshold ? 1 : 0), 0) / PER_WEEK
    const loop = serving
    const options = SHARES.map((at) => quantile(table.candidate.winRate, 1 - at))
    const oracle = Math.max(...options.map((at) => netOf(table.candidate.winRate, at)))
    const log = epsilonGreedyLog(
      { ...table, weak, serving: loop.router },
      drawn,
      loop.threshold,
      EPSILON,
      () => random.next(),
    )
    const reward = log.reward.map((r, row) => r - (log.action[row] === 1 ? price : 0))
    const prior = log.prior!.map((q, at) => q - (at % 2 === 1 ? price : 0))
    const priced = { ...log, reward, prior }
    const model = fitRewardModel(priced)
    const valued = (winRate: Float64Array, threshold: number) =>
      doublyRobust(
        priced,
        thresholdPolicy(
          Float64Array.from(drawn, (i) => winRate[i]!),
          threshold,
        ),
        model,
      )
    const own = valued(loop.router.winRate, loop.threshold)
    let best: { threshold: number; low: number; high: number; value: number } | undefined
    for (const threshold of options) {
      const difference = differenceOf(valued(table.candidate.winRate, threshold), own)
      const { value, low, high } = intervalOf(difference, 1 - 0.05 / SHARES.length)
      if (low! > 0 && (!best || value! > best.value)) {
        best = { threshold, value: value!, low: low!, high: high! }
      }
    }
    weeks.push({
      week,
      weak: mean(Float64Array.from(drawn, (i) => weak[i]!)),
      promoted: best !== undefined,
      threshold: loop.threshold,
      net: {
        frozen: netOf(frozen.router.winRate, frozen.threshold),
        loop: netOf(loop.router.winRate, loop.threshold),
        oracle,
      },
      strong: {
        frozen: share(frozen.router.winRate, frozen.threshold),
        loop: share(loop.router.winRate, loop.threshold),
      },
    })
    if (best) {
      promotions++
      const truth =
        netOf(table.candidate.winRate, best.threshold) - netOf(loop.router.winRate, loop.threshold)
      if (truth < Math.min(0, best.low)) worse++
      serving = { router: table.candidate, threshold: best.threshold }
    }
  }
  const total = (name: 'frozen' | 'loop' | 'oracle'): number =>
    weeks.reduce((sum, { net }) => sum + net[name] / WEEKS, 0)
  return {
    weeks,
    net: { frozen: total('frozen'), loop: total('loop'), oracle: total('oracle') },
    worse,
    promotions,
  }
}
