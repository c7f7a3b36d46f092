import { createRandom, deriveSeed } from '../../models/random.ts'
import { type Interval, percentileInterval } from '../../training/evaluate/interval.ts'
import { bestMixture, bestSingle, type Point } from '../../training/many/frontier.ts'
import type { ModelTable } from '../../training/many/model-table.ts'

/** By router, then seed, then budget: the model of every prompt, chosen while it was held out. */
export type Choices = ReadonlyMap<string, Int32Array[][]>

/** One router at one budget: means over the seeds, intervals over prompts. */
export interface ManyRow {
  readonly router: string
  /** of the best model's cost */
  readonly share: number
  /** realised, a request */
  readonly cost: number
  readonly quality: number
  readonly seeds: readonly number[]
  /** above the best single model, or mixture, at the budget or at what was spent, whichever is more */
  readonly aboveSingle: Interval
  readonly aboveMixture: Interval
}

/** Budgets and references are those of all the prompts; the router's choices never saw their outcomes. */
export function manyRows(
  choices: Choices,
  truth: ModelTable,
  singles: readonly Point[],
  budgets: readonly number[],
  replicates: number,
): ManyRow[] {
  const best = singles.reduce((a, b) => (b.quality > a.quality ? b : a))
  return [...choices].flatMap(([router, bySeed]) =>
    budgets.map((share, budget) => {
      const m = truth.models.length
      const taken = bySeed.map((each) => each[budget]!)
      const mean = (values: Float64Array): Float64Array =>
        Float64Array.from({ length: truth.rows }, (_, i) =>
          taken.reduce((sum, models) => sum + values[i * m + models[i]!]! / taken.length, 0),
        )
      const score = mean(truth.scores)
      const cost = meanOf(mean(truth.costs))
      const room = Math.max(cost, share * best.cost)
      const gain = pairedIntervals(score, truth, singles, room, replicates)
      return {
        router,
        share,
        cost,
        quality: meanOf(score),
        seeds: taken.map(
          (models) => models.reduce((sum, k, i) => sum + truth.scores[i * m + k]!, 0) / truth.rows,
        ),
        ...gain,
      }
    }),
  )
}

/** References are fixed once: a model, or two models with a share, whose scores are then paired by prompt. */
function pairedIntervals(
  score: Float64Array,
  truth: ModelTable,
  singles: readonly Point[],
  room: number,
  replicates: number,
): { aboveSingle: Interval; aboveMixture: Interval } {
  const m = truth.models.length
  const column = (k: number): Float64Array =>
    Float64Array.from({ length: truth.rows }, (_, i) => truth.scores[i * m + k]!)
  const quality = bestSingle(singles, room)
  const single = column(singles.findIndex((p) => p.quality === quality && p.cost <= room))
  const target = bestMixture(singles, room)
  const mixture = mixtureColumn(singles, room, target, column) ?? single
  const interval = (reference: Float64Array): Interval => {
    const differences = score.map((value, i) => value - reference[i]!)
    const random = createRandom(deriveSeed(1, 'many models'))
    const counts = new Uint8Array(differences.length)
    const means = Float64Array.from({ length: replicates }, () => {
      random.resample(counts)
      let sum = 0
      for (let i = 0; i < counts.length; i++) sum += counts[i]! * differences[i]!
      return sum / counts.length
    })
    return percentileInterval(meanOf(differences), means)
  }
  return { aboveSingle: interval(single), aboveMixture: interval(mixture) }
}

function mixtureColumn(
  singles: readonly Point[],
  room: number,
  target: number,
  column: (k: number) => Float64Array,
): Float64Array | undefined {
  for (const [low, from] of singles.entries()) {
    if (from.cost > room) continue
    for (const [high, to] of singles.entries()) {
      if (to.cost <= room || to.quality <= from.quality) continue
      const share = (room - from.cost) / (to.cost - from.cost)
      if (from.quality + share * (to.quality - from.quality) !== target) continue
      const [a, b] = [column(low), column(high)]
      return a.map((value, i) => (1 - share) * value + share * b[i]!)
    }
  }
  return undefined
}

function meanOf(values: Float64Array): number {
  let sum = 0
  for (const value of values) sum += value
  return sum / values.length
}
