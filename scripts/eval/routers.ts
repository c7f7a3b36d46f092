import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { PartialInterval } from '../../core/stats/intervals.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { pairLabels } from '../../data/pair.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import { textOf } from '../../models/encoders/context.ts'
import type { EncoderArtifact } from '../../models/encoders/encoder.ts'
import { RECIPES, type Recipe, wholeText } from '../../models/reading/recipe.ts'
import { readDataset, withContextKeys } from '../../training/choose-recipe.ts'
import { evaluateRouters } from '../../training/evaluate/evaluate-routers.ts'
import type { EvaluationReport } from '../../training/evaluate/report/report.ts'
import type { ReadDataset } from '../../training/fit-router.ts'
import { standings } from '../../training/tune/tune.ts'
import { interruptSignal } from '../terminal/interrupt.ts'
import { openTerminal, score, table } from '../terminal/terminal.ts'
import { keptEncoder } from './encoder-store.ts'
import { contenderOf, contendersOf, type FoldResult, fitFold, openFoldStore } from './fit-fold.ts'
import { list } from './logs.ts'
import {
  foldOf,
  HELD_OUT,
  openSet,
  type RouterSet,
  routerSets,
  withCategory,
} from './router-sets.ts'

/**
 * `npm run eval:routers`: mean APGR of every family, k-fold by stem. In each fold the families are fitted on
 * the other folds alone, including the encoder; `chosen` is in each fold the first of them, as listed, that
 * is within one standard error of the least log-loss on the validation rows inside them: the ensemble, unless
 * another is clearly better. Baselines without training are shown on the same rows. A stopped run continues
 * where it was: a fold's results stay in the cache folder until the code that fits changes. `--context` also
 * measures sets with categories with the category declared. "over the prior" is the paired difference to the prior
 * of the row's category, which is fitted out of fold as well.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sets: { type: 'string', default: '' },
    folds: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1,2,3' },
    routers: {
      type: 'string',
      default: 'ensemble:lexical+use-lite,classifier',
    },
    shuffle: { type: 'boolean', default: false },
    context: { type: 'boolean', default: false },
  },
})
const folds = Number(options.folds)
const seeds = list(options.seeds).map(Number)
const routers = list(options.routers)
const terminal = openTerminal()
const signal = interruptSignal()
const CHOSEN = 'chosen'
const contenders = [...new Set(routers.flatMap(contendersOf))]
const names = contenders.length > 1 ? [...contenders, CHOSEN] : contenders
const store = await openFoldStore(join(cacheFolder(process.env), 'eval', 'folds'))

interface Row {
  readonly set: string
  readonly router: string
  /** APGR: mean over the seeds, with the first seed's bootstrap interval around it */
  readonly apgr: PartialInterval
  readonly seeds: readonly number[]
  /** its APGR minus the category prior's, paired by prompt: mean over the seeds, with the first seed's interval */
  readonly overPrior?: PartialInterval | undefined
  /** expected calibration error of raw win rates, first seed */
  readonly ece?: number | undefined
}

const rows: Row[] = []
const found = routerSets(list(options.sets), terminal.note)
const { folder } = found
const sets = options.context ? withCategory(found.sets) : found.sets
for (const set of sets) {
  const dataset = options.shuffle
    ? shuffled(await openSet(folder, set, 'all'))
    : await openSet(folder, set, 'all')
  const measured = await measure(set, dataset)
  rows.push(...measured)
  terminal.endProgress()
  terminal.note(shown(measured))
}
const figures = Object.fromEntries(
  rows.filter(({ router }) => router === CHOSEN).map(({ set, apgr }) => [set, apgr.value]),
)
if (options.json) terminal.json({ folds, seeds, rows, figures })
else terminal.print(shown(rows))

async function measure(set: RouterSet, dataset: Dataset): Promise<Row[]> {
  const encoders = new Map<string, EncoderArtifact>()
  const read = readDataset(dataset, recipeOf(set))
  const texts = read.prompts.map(textOf)
  for (const router of routers) {
    const name = contenderOf(router).encoder.replace('lexical+', '')
    if (name === 'lexical' || encoders.has(name)) continue
    encoders.set(name, await keptEncoder(name, texts, terminal.onProgress))
  }
  const reports: EvaluationReport[] = []
  for (const seed of seeds) {
    const winRates = new Map<string, Float64Array>()
    for (const name of names) {
      winRates.set(name, new Float64Array(dataset.prompts.length))
    }
    for (let fold = 0; fold < folds; fold++) {
      const { split } = foldOf(dataset, { fold, folds, seed, labels: set.labels })
      await scoreFold(
        set,
        { ...read, split },
        {
          encoders,
          winRates,
          seed,
          signal,
          note: `${set.name}, seed ${seed}, fold ${fold + 1} of ${folds}`,
        },
      )
    }
    reports.push(await judge(set, dataset, winRates, seed))
  }
  return names
    .map((name): Row => {
      const all = reports.map((report) => report.routers.find((r) => r.name === name)!)
      return {
        ...meanRow(
          set.name,
          name,
          all.map(({ apgr }) => apgr),
        ),
        overPrior: meanInterval(all.map(({ versus }) => versus.category_prior ?? NONE)),
        ece: all[0]!.reliability?.ece,
      }
    })
    .concat(
      Object.entries(reports[0]!.baselines).map(([name, baseline]) =>
        meanRow(set.name, `(${name.replace('_', ' ')})`, [baseline.apgr]),
      ),
    )
}

function recipeOf({ recipe = 'last', context, interactions }: RouterSet): Recipe {
  const read = withContextKeys(RECIPES.find(({ name }) => name === recipe)!, context)
  return interactions ? { ...read, interactions: 'plain' } : read
}

async function scoreFold(
  set: RouterSet,
  dataset: ReadDataset,
  given: {
    readonly encoders: ReadonlyMap<string, EncoderArtifact>
    readonly winRates: ReadonlyMap<string, Float64Array>
    readonly seed: number
    readonly signal: AbortSignal
    readonly note: string
  },
): Promise<void> {
  const held = [...dataset.split.keys()].filter((row) => dataset.split[row] === HELD_OUT)
  const put = (name: string, { winRate }: FoldResult): void => {
    for (const [place, row] of held.entries()) given.winRates.get(name)![row] = winRate[place]!
  }
  const results = new Map<string, FoldResult>()
  for (const [done, router] of routers.entries()) {
    terminal.onProgress({ stage: given.note, done, total: routers.length, note: router })
    const key = [given.note, options.shuffle, set, dataset.hashes.length, router]
    const made = await store.keep(key, () => fitFold(set, dataset, router, given))
    for (const name of contendersOf(router)) results.set(name, made[name]!)
  }
  for (const [name, result] of results) put(name, result)
  if (contenders.length === 1) return
  const standing = standings(Array.from(results, ([name, { losses }]) => ({ name, losses })))
  put(CHOSEN, results.get(standing.find(({ chosen }) => chosen)!.name)!)
}

async function judge(
  set: RouterSet,
  dataset: Dataset,
  winRates: ReadonlyMap<string, Float64Array>,
  seed: number,
): Promise<EvaluationReport> {
  const { label, strong, weak } = pairLabels(dataset, set.strong, set.weak)
  return evaluateRouters({
    routers: Array.from(winRates, ([name, winRate]) => ({ name, winRate })),
    prompts: dataset.prompts.map(wholeText),
    categories: dataset.categories,
    labels: { y: label, ...(strong && weak && { strong, weak }) },
    // the interval is of the first seed
    replicates: seed === seeds[0] ? 500 : 50,
    seed,
    signal,
  })
}

function meanRow(set: string, router: string, apgrs: readonly PartialInterval[]): Row {
  const seeds = apgrs.map(({ value }) => value ?? Number.NaN)
  return { set, router, apgr: meanInterval(apgrs), seeds }
}

const NONE: PartialInterval = { value: null, low: null, high: null }

/** The mean over the seeds, with the first seed's interval around it. */
function meanInterval(seeds: readonly PartialInterval[]): PartialInterval {
  const [first = NONE] = seeds
  if (first.value === null) return NONE
  const value = seeds.reduce((sum, one) => sum + (one.value ?? Number.NaN), 0) / seeds.length
  const shifted = (end: number | null): number | null =>
    end === null ? null : end + value - first.value!
  return { value, low: shifted(first.low), high: shifted(first.high) }
}

/** The pair's labels shuffled over prompts: nothing is left to learn. */
function shuffled(dataset: Dataset): Dataset {
  const n = dataset.prompts.length
  const m = dataset.models.length
  const order = Array.from({ length: n }, (_, i) => (i * 7919 + 13) % n)
  const { outcomes, preferences } = dataset
  return {
    ...dataset,
    ...(outcomes && {
      outcomes: {
        scores: Float32Array.from(
          order.flatMap((row) => [...outcomes.scores.subarray(m * row, m * (row + 1))]),
        ),
      },
    }),
    ...(preferences && {
      preferences: { ...preferences, prompt: preferences.prompt.map((row) => order[row]!) },
    }),
  }
}

function shown(some: readonly Row[]): string {
  const bar = new Map(sets.map((set) => [set.name, set]))
  return table([
    [
      'set',
      'router',
      'APGR',
      '95% interval',
      'over the prior',
      'by seed',
      'ECE',
      'published',
      'bar',
    ],
    ...some.map(({ set, router, apgr, overPrior, seeds: each, ece }) => [
      set,
      router,
      score(apgr.value ?? Number.NaN),
      intervalOf(apgr),
      overPrior?.value == null ? '' : `${score(overPrior.value)} ${intervalOf(overPrior)}`,
      each.length > 1 ? each.map(score).join(' ') : '',
      ece === undefined ? '' : score(ece),
      scored(bar.get(set)?.published),
      scored(bar.get(set)?.bar),
    ]),
  ])
}

function intervalOf({ low, high }: PartialInterval): string {
  return low === null ? '' : `[${score(low)}, ${score(high ?? Number.NaN)}]`
}

function scored(value: number | undefined): string {
  return value === undefined ? '' : score(value)
}
