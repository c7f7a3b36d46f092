import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { type PartialInterval, percentileInterval } from '../../../core/stats/intervals.ts'
import { type Dataset, SPLITS, type Split } from '../../../data/dataset/dataset.ts'
import { readLogs } from '../../../data/ingest.ts'
import type { Candidate } from '../../../models/bundle/manifest.ts'
import { estimateCost, type Price } from '../../../models/prices.ts'
import {
  bestMixture,
  bestSingle,
  type Point,
} from '../../../training/evaluate/frontier/frontier.ts'
import type { Expectations, ModelTable } from '../../../training/evaluate/log/model-table.ts'
import { dataFolder } from '../logs.ts'
import { stemCells } from '../router-sets.ts'

/** By router, then seed, then budget: the model of every prompt, chosen while it was held out. */
export type Choices = ReadonlyMap<string, Int32Array[][]>

/** One router at one budget: means over the seeds, intervals over prompts. */
export interface ManyRow {
  readonly router: string
  /** as a fraction of the best model's cost */
  readonly share: number
  /** realised, per request */
  readonly cost: number
  readonly quality: number
  readonly seeds: readonly number[]
  /** above the best single model, or mixture, at the budget or at the actual spending, whichever is more */
  readonly aboveSingle: PartialInterval
  readonly aboveMixture: PartialInterval
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
): { aboveSingle: PartialInterval; aboveMixture: PartialInterval } {
  const m = truth.models.length
  const column = (k: number): Float64Array =>
    Float64Array.from({ length: truth.rows }, (_, i) => truth.scores[i * m + k]!)
  const quality = bestSingle(singles, room)
  const single = column(singles.findIndex((p) => p.quality === quality && p.cost <= room))
  const target = bestMixture(singles, room)
  const mixture = mixtureColumn(singles, room, target, column) ?? single
  const interval = (reference: Float64Array): PartialInterval => {
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

/** A log of many models with a price for each. */
export interface ManySet {
  readonly name: string
  readonly dataset: Dataset
  readonly models: readonly string[]
  /** dollars per million tokens; for open weights, active parameters in billions are used instead */
  readonly prices: ReadonlyMap<string, Price>
}

/** MMLU-Pro's open-weight models in the data folder; undefined if they are missing. */
export async function openWeightSet(): Promise<ManySet | undefined> {
  const folder = dataFolder()
  const log = join(folder, 'mmlu-pro.jsonl.gz')
  const parameters = join(folder, 'active-parameters.json')
  if (!existsSync(log) || !existsSync(parameters)) return undefined
  const billions = JSON.parse(await readFile(parameters, 'utf8')) as Record<string, unknown>
  const prices = new Map(
    Object.entries(billions)
      .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
      .map(([model, active]) => [model, { input: 0, output: active }]),
  )
  const dataset = await readLogs([log], { seed: 1 })
  const models = dataset.models.filter((model) => prices.has(model))
  return { name: 'mmlu_pro_open', dataset, models, prices }
}

export interface FoldOptions {
  readonly fold: number
  readonly folds: number
  readonly seed: number
}

/** Of the training folds' cells one tenth selects and the next two set lambda: dollars vary a lot from prompt to prompt. */
const CALIBRATION_TENTHS = 2

/**
 * The dataset for one fold: its stems held out as test, and of the others the rows that select and those that
 * set the rule, as `weir train` and `weir calibrate` would split them. Each fold sets it on other tenths, so
 * that one with unusual dollars does not affect all folds.
 */
export function manyFold(dataset: Dataset, { fold, folds, seed }: FoldOptions): Dataset {
  const place = (split: Split): number => SPLITS.indexOf(split)
  const split = Uint8Array.from(stemCells(dataset, seed), (cell) => {
    if (cell % folds === fold) return place('test')
    const tenth = (Math.floor(cell / folds) + CALIBRATION_TENTHS * fold) % 10
    if (tenth === 0) return place('validation')
    return place(tenth <= CALIBRATION_TENTHS ? 'calibration' : 'train')
  })
  return { ...dataset, split }
}

const TRAIN = SPLITS.indexOf('train')
/** Weight of the overall mean, in rows, in every category. */
const PRIOR_ROWS = 20

/** The expectation from the category alone: the train rows' means, shrunk a little. */
export function categoryMeans(
  dataset: Dataset,
  candidates: readonly Candidate[],
): (prompts: readonly number[]) => Expectations {
  const m = candidates.length
  const overall = meansOf(dataset, candidates, () => true)
  const names = [...new Set(dataset.categories)]
  const byName = new Map(
    names.map((name) => [
      name,
      meansOf(dataset, candidates, (i) => dataset.categories[i] === name),
    ]),
  )
  const shrunk = (sums: Sums, base: Sums, k: number, of: 'score' | 'cost'): number =>
    (sums[of][k]! + (PRIOR_ROWS * base[of][k]!) / base.rows[k]!) / (sums.rows[k]! + PRIOR_ROWS)
  return (prompts) => {
    const quality = new Float64Array(prompts.length * m)
    const costs = new Float64Array(prompts.length * m)
    prompts.forEach((prompt, i) => {
      const sums = byName.get(dataset.categories[prompt])!
      for (let k = 0; k < m; k++) {
        quality[i * m + k] = shrunk(sums, overall, k, 'score')
        costs[i * m + k] = shrunk(sums, overall, k, 'cost')
      }
    })
    return { quality, costs }
  }
}

interface Sums {
  readonly score: Float64Array
  readonly cost: Float64Array
  readonly rows: Float64Array
}

function meansOf(
  dataset: Dataset,
  candidates: readonly Candidate[],
  keep: (prompt: number) => boolean,
): Sums {
  const m = candidates.length
  const [score, cost, rows] = [0, 0, 0].map(() => new Float64Array(m)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const { scores, tokens } = dataset.outcomes!
  for (let i = 0; i < dataset.prompts.length; i++) {
    if (dataset.split[i] !== TRAIN || !keep(i)) continue
    for (let k = 0; k < m; k++) {
      const value = scores[i * m + k]!
      const length = tokens![i * m + k]!
      if (Number.isNaN(value + length)) continue
      score[k]! += value
      cost[k]! += estimateCost(candidates[k]!.price!, dataset.prompts[i]!.length, length)
      rows[k]! += 1
    }
  }
  return { score, cost, rows }
}
