import { columnMean, type ModelTable } from '../log/model-table.ts'
import type { PricedPath } from './policy-path.ts'

/** One way to answer all prompts: its cost per request, in US dollars, and its mean score. */
export interface Point {
  readonly cost: number
  readonly quality: number
}

/** Every stop of a path on one weighted sample, starting with the number 0. */
export interface PathPoints {
  /** number of stops; the arrays may be longer */
  points: number
  readonly cost: Float64Array
  readonly quality: Float64Array
  /** the rule's number above which a stop begins; 0 for the first */
  readonly value: Float64Array
}

export function emptyPoints(priced: PricedPath): PathPoints {
  const most = priced.path.value.length + 1
  return {
    points: 0,
    cost: new Float64Array(most),
    quality: new Float64Array(most),
    value: new Float64Array(most),
  }
}

/**
 * Walks a path. Changes at the same value are one step, since no rule separates them. Each prompt counts
 * `counts` times.
 */
export function walkPath(
  priced: PricedPath,
  counts: ArrayLike<number> | undefined,
  into: PathPoints,
): PathPoints {
  const { path, startScore, startCost, score, cost } = priced
  let sum = 0
  let spent = 0
  let drawn = 0
  for (let i = 0; i < startScore.length; i++) {
    const count = counts ? counts[i]! : 1
    sum += count * startScore[i]!
    spent += count * startCost[i]!
    drawn += count
  }
  let points = 0
  const stop = (value: number): void => {
    into.value[points] = value
    into.cost[points] = spent / drawn
    into.quality[points] = sum / drawn
    points++
  }
  stop(0)
  for (let k = 0; k < score.length; k++) {
    const count = counts ? counts[path.prompt[k]!]! : 1
    sum += count * score[k]!
    spent += count * cost[k]!
    if (path.value[k + 1] !== path.value[k]) stop(path.value[k]!)
  }
  into.points = points
  return into
}

/** The rule's number in the middle of a stop, so that rounding cannot change a prompt's model. */
export function stopNumber(value: Float64Array, stop: number, points: number): number {
  const from = value[stop]!
  return stop + 1 < points ? (from + value[stop + 1]!) / 2 : 2 * from
}

/**
 * The quality at a cost: that of the first stop, from the best end, that costs no more; NaN if none does.
 */
export function qualityAt({ points, cost, quality }: PathPoints, budget: number): number {
  for (let k = 0; k < points; k++) if (cost[k]! <= budget) return quality[k]!
  return Number.NaN
}

/** The point of each single model. */
export function singlePoints(table: ModelTable, counts?: ArrayLike<number>): Point[] {
  const m = table.models.length
  return table.models.map((_, k) => ({
    cost: columnMean(table.costs, m, k, counts),
    quality: columnMean(table.scores, m, k, counts),
  }))
}

/** Quality of the best of the points that cost no more; NaN if there is none. */
export function bestSingle(points: readonly Point[], budget: number): number {
  let best = Number.NaN
  for (const { cost, quality } of points) if (cost <= budget && !(quality <= best)) best = quality
  return best
}

/**
 * The best quality of a mixture of any two points, each with a share of the prompts, that costs at most the
 * budget (the upper concave hull, made non-decreasing). NaN below the cheapest point.
 */
export function bestMixture(points: readonly Point[], budget: number): number {
  let best = bestSingle(points, budget)
  for (const low of points) {
    if (low.cost > budget) continue
    for (const high of points) {
      if (high.cost <= budget || high.quality <= low.quality) continue
      const share = (budget - low.cost) / (high.cost - low.cost)
      best = Math.max(best, low.quality + share * (high.quality - low.quality))
    }
  }
  return best
}

/** Number of costs over which a mean over a range is computed. */
const STEPS = 50

const gridCost = (from: number, to: number, step: number): number =>
  from + ((to - from) * (step + 0.5)) / STEPS

/** Mean over costs from `from` to `to` of the best mixture's quality. */
export function meanMixture(points: readonly Point[], from: number, to: number): number {
  let sum = 0
  for (let k = 0; k < STEPS; k++) sum += bestMixture(points, gridCost(from, to, k))
  return sum / STEPS
}

/**
 * The same mean of a path's `qualityAt`; where no stop is that cheap, `floor` (the cheapest model's quality)
 * is used.
 */
export function meanQuality(
  { points, cost, quality }: PathPoints,
  from: number,
  to: number,
  floor: number,
): number {
  let sum = 0
  let step = STEPS - 1
  for (let k = 0; k < points && step >= 0; k++) {
    while (step >= 0 && cost[k]! <= gridCost(from, to, step)) {
      sum += quality[k]!
      step--
    }
  }
  return (sum + (step + 1) * floor) / STEPS
}
