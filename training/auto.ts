import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import type { PartialInterval } from '../core/stats/intervals.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { pairLabels } from '../data/pair.ts'
import { textOf } from '../models/encoders/context.ts'
import type { Embeddings } from '../models/encoders/embeddings.ts'
import type { Encoder } from '../models/encoders/encoder.ts'
import { evaluateRouters, MIN_EVALUATION_ROWS } from './evaluate/evaluate-routers.ts'
import {
  type FitRouterOptions,
  type FittedRouter,
  fitHead,
  type PreparedRows,
  prepareRows,
  type ReadDataset,
} from './fit-router.ts'
import { foldSplits } from './fold-splits.ts'
import type { NamedEncoder, TrainEncoder } from './train-encoder.ts'
import { winRateLosses } from './trainers/pair-rows.ts'
import { loadTrainer } from './trainers/registry.ts'
import { encodeSplit } from './trainers/splits.ts'
import type { Trainer } from './trainers/trainer.ts'
import { type Contender, nestValidation, type Standing, standings } from './tune/tune.ts'
import { type TunedFamily, tuneFamily } from './tune/tune-family.ts'

export const AUTO = 'auto'

/** Minutes that a comparison may take where none are asked for. */
export const DEFAULT_MINUTES = 10

/** What `--router auto` prefers: the best win rates, or the simplest router that is not clearly worse. */
export type Preference = 'quality' | 'latency'

export interface AutoOptions {
  readonly prefer?: Preference | undefined
  /** of comparing routers, the last fit included; DEFAULT_MINUTES by default */
  readonly minutes?: number | undefined
  /** a router whose decision takes longer is not chosen while there is another */
  readonly maxMs?: number | undefined
  /** when the time began, by `performance.now()`; now by default */
  readonly started?: number | undefined
  /** compared as well, each opened when its turn comes; who gives them closes them */
  readonly encoders?: readonly NamedEncoder[] | undefined
  /** 1: half of validation; more: out of so many folds of train and validation. By the log's size if absent */
  readonly folds?: number | undefined
}

/** One router of the table that `--router auto` prints. */
export interface AutoRow extends Standing {
  /** measured on the rows held back for the comparison */
  readonly apgr: PartialInterval
  /** about how long a decision takes on this machine, on one thread */
  readonly ms: number
}

export interface AutoChoice {
  readonly family: string
  /** the chosen one of `encoders`; absent for the encoder that was given, or `lexical` */
  readonly encoder?: TrainEncoder | undefined
  readonly rows: readonly AutoRow[]
  /** what the routers were compared on: folds, or 1 for half of validation; and prompts */
  readonly folds: number
  readonly compared: number
  readonly minutes: { readonly taken: number; readonly of: number }
  /** routers that could not be fitted to this log or in this time, and why */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** the search within each family, where one was asked for */
  readonly tuned: readonly TunedFamily[]
  /** true where the signal came before all routers were fitted: the choice is among those that were */
  readonly stopped: boolean
}

/** Fewer rows of half of validation tell families apart too poorly: all rows are compared, out of fold. */
const LEAST_COMPARED = 1000
const FOLDS = 4
const COMPARED = SPLITS.indexOf('calibration')

interface Contestant {
  readonly name: string
  readonly family: string
  readonly encoder?: NamedEncoder | undefined
}

/**
 * Fits routers side by side and returns the best one, or with `prefer: 'latency'` the simplest within one standard
 * error of the best; of those within `maxMs`, if there are any. Routers are compared, simplest first, as long as the
 * winner can still be fitted within `minutes`; one that is under way when no more time is left is left out. Half of
 * the validation rows stop and tune each, the other half compares them, so that none is compared on rows it was tuned
 * on. Where that half is small (and nothing is tuned), they are compared on all train and validation rows, by fits
 * without the fold. The caller then fits the winner with all validation rows.
 *
 * @param trials number of settings tried within each family; with 1 only its defaults
 * @throws the simplest router's error, if none can be fitted
 */
export async function chooseFamily(
  dataset: ReadDataset,
  options: FitRouterOptions & AutoOptions,
  trials = 1,
): Promise<AutoChoice> {
  const { started = performance.now(), minutes = DEFAULT_MINUTES } = options
  const ends = started + 60_000 * minutes
  const { parts, compared, folds } = comparedParts(dataset, options, trials)
  const all = contestants(options)
  const scored: Scored[] = []
  const skipped: { name: string; reason: string }[] = []
  const tuned: TunedFamily[] = []
  const opened = new Map<string, TrainEncoder>()
  const shared = parts.map(() => new Map<string, Promise<Rows>>())
  const longest = { all: 0, one: 0 }
  const late = `the ${minutes} minutes would not have been enough`
  for (const [done, { name, family, encoder }] of all.entries()) {
    options.onProgress?.({ stage: 'comparing routers', done, total: all.length, note: name })
    const begun = performance.now()
    const first = scored.length === 0
    if (!first && begun + longest.all + longest.one > ends) {
      skipped.push({ name, reason: late })
      continue
    }
    // the first must end, the others while the winner can still be fitted
    const left = Math.max(0, ends - longest.one - begun)
    const timer = first ? undefined : AbortSignal.timeout(Math.min(Math.ceil(left), 2 ** 31 - 1))
    const signals = [options.signal, timer].filter((one) => one !== undefined)
    const signal = signals.length > 0 ? AbortSignal.any(signals) : undefined
    try {
      const other = encoder && (opened.get(encoder.name) ?? (await encoder.open()))
      if (encoder && other) opened.set(encoder.name, other)
      // hyperparameters set by hand belong to the family that is fitted in the end
      const own = { ...options, ...other, router: family, hyperparameters: {}, signal }
      const winRate = new Float64Array(dataset.prompts.length)
      let ms = 0
      for (const [at, part] of parts.entries()) {
        const one = performance.now()
        const rows = await rowsOf(part, own, encoder?.name ?? '', shared[at]!, folds > 1)
        if (trials > 1) tuned.push(await tuneFamily(part, rows.prepared, own, trials))
        const settings = tuned.find((search) => search.family === family)?.settings ?? {}
        const fitted = await fitHead(part, rows.prepared, { ...own, hyperparameters: settings })
        timer?.throwIfAborted()
        const said = fitted.family.forward(fitted.weights, fitted.pair, rows.asked).winRate
        rows.compared.forEach((row, i) => {
          winRate[row] = said[i]!
        })
        longest.one = Math.max(longest.one, performance.now() - one)
        if (at === 0) ms = await decisionMs(fitted, part, other?.uncached)
      }
      scored.push({ name, family, encoder: other, winRate, ms })
      longest.all = Math.max(longest.all, performance.now() - begun)
    } catch (error) {
      if (options.signal?.aborted && scored.length > 0) break
      const reason = timer?.aborted ? late : reasonToSkip(error)
      if (reason === undefined || (done === all.length - 1 && scored.length === 0)) throw error
      skipped.push({ name, reason })
    }
  }
  const stopped = options.signal?.aborted ?? false
  const { signal: _, ...unwatched } = options
  const choice = await compare(dataset, stopped ? unwatched : options, compared, scored)
  return {
    ...choice,
    folds,
    compared: compared.length,
    minutes: { taken: (performance.now() - started) / 60_000, of: minutes },
    ...{ skipped, tuned, stopped },
  }
}

interface Scored {
  readonly name: string
  readonly family: string
  readonly encoder: TrainEncoder | undefined
  /** of the compared prompts, by their row in the dataset */
  readonly winRate: Float64Array
  readonly ms: number
}

const SKIPPED = ['rows_too_few', 'module_missing', 'encoder_unavailable']
const reasonToSkip = (error: unknown): string | undefined =>
  error instanceof WeirError && SKIPPED.includes(error.code) ? error.message : undefined

/** The families that can read each encoder, simplest first. */
function contestants({ encoder, besideLexical, encoders = [] }: FitRouterOptions & AutoOptions) {
  const own =
    encoder && besideLexical
      ? ['classifier', 'kernel', 'ensemble']
      : ['classifier', 'knn', 'mf', 'mlp']
  return [
    ...own.map((family): Contestant => ({ name: family, family })),
    ...encoders.flatMap((other) =>
      (other.name.includes('+') ? ['classifier', 'kernel', 'ensemble'] : ['classifier', 'knn']).map(
        (family): Contestant => ({ name: `${family} on ${other.name}`, family, encoder: other }),
      ),
    ),
  ]
}

/** Datasets whose calibration rows are compared by fits on their train and validation rows, and all those rows. */
function comparedParts(
  dataset: ReadDataset,
  { strong, weak, seed, folds: asked }: FitRouterOptions & AutoOptions,
  trials: number,
): { parts: ReadDataset[]; compared: readonly number[]; folds: number } {
  const nested = nestValidation(dataset)
  const labelled = new Set(pairLabels(dataset, strong, weak).prompt)
  const half = nested.compared.filter((row) => labelled.has(row)).length
  const folds = trials > 1 ? 1 : (asked ?? (half < LEAST_COMPARED ? FOLDS : 1))
  if (folds === 1) {
    const { recipe } = dataset
    const parts = [{ ...nested.dataset, ...definedOnly({ recipe }) }]
    return { parts, compared: nested.compared, folds }
  }
  const { rows, splits } = foldSplits(dataset, { folds, seed })
  return { parts: splits.map((split) => ({ ...dataset, split })), compared: rows, folds }
}

interface Rows {
  readonly prepared: PreparedRows
  readonly asked: Embeddings
  /** the asked rows in the dataset */
  readonly compared: readonly number[]
}

/** Rows for fitting and rows for comparing, in the form that a family reads, encoded once per part and encoder. */
async function rowsOf(
  part: ReadDataset,
  options: FitRouterOptions,
  encoder: string,
  known: Map<string, Promise<Rows>>,
  folded: boolean,
): Promise<Rows> {
  const { input } = await loadTrainer(options.router)
  const form: Trainer['input'] | 'given' = options.encoder ? 'given' : input
  const key = `${encoder} ${form}`
  // encoders that were fitted on all train prompts have seen a fold's held-out ones
  const own = folded || encoder !== '' ? { ...options, fitted: new Map() } : options
  const made =
    known.get(key) ??
    prepareRows(part, input, own).then(async (prepared) => {
      const held = await encodeSplit(part, 'calibration', prepared.encoder.encoder, options.signal)
      const compared = [...part.split.keys()].filter((row) => part.split[row] === COMPARED)
      return { prepared, asked: held.embeddings, compared }
    })
  known.set(key, made)
  // a fit that was cut short is none to share
  made.catch(() => known.delete(key))
  return made
}

/** Prompts that a decision is timed on, after some that warm it up. */
const WARM = 5
const TIMED = 25

/** The median milliseconds of encoding one prompt and scoring it. */
async function decisionMs(
  { family, weights, pair, encoder }: FittedRouter,
  { prompts }: Dataset,
  uncached: Encoder | undefined,
): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < WARM + TIMED; i++) {
    const text = prompts[(i * 7919) % prompts.length]!
    const begun = performance.now()
    if (uncached) await uncached.encode([textOf(text)])
    const { embeddings } = await encoder.encoder.encode([text])
    family.forward(weights, pair, embeddings)
    if (i >= WARM) times.push(performance.now() - begun)
  }
  return times.sort((a, b) => a - b)[TIMED >> 1]!
}

async function compare(
  dataset: Dataset,
  options: FitRouterOptions & AutoOptions,
  held: readonly number[],
  scored: readonly Scored[],
): Promise<Pick<AutoChoice, 'family' | 'encoder' | 'rows'>> {
  const labels = pairLabels(dataset, options.strong, options.weak)
  const place = new Map(Array.from(labels.prompt, (prompt, i) => [prompt, i]))
  const rows = held.filter((row) => place.has(row))
  const y = rows.map((row) => labels.label[place.get(row)!]!)
  const observed = { rows: Int32Array.from(rows), y: Float64Array.from(y) }
  const contenders: Contender[] = scored.map(({ name, winRate }) => ({
    name,
    losses: winRateLosses(winRate, observed),
  }))
  const near = standings(contenders)
  const chosen = chosenOf(near, scored, options)
  const apgr = await intervals(dataset, options, rows, y, scored)
  const { family, encoder } = scored[chosen]!
  return {
    family,
    ...definedOnly({ encoder }),
    rows: near.map((standing, i) => ({
      ...standing,
      chosen: i === chosen,
      apgr: apgr.get(standing.name) ?? NONE,
      ms: scored[i]!.ms,
    })),
  }
}

/** The best, or the first within one standard error, of the routers that are fast enough; else the fastest. */
export function chosenOf(
  near: readonly Standing[],
  scored: readonly { readonly ms: number }[],
  { prefer, maxMs = Number.POSITIVE_INFINITY }: AutoOptions,
): number {
  const fast = [...near.keys()].filter((i) => scored[i]!.ms <= maxMs)
  if (fast.length === 0) {
    return [...near.keys()].reduce((a, b) => (scored[b]!.ms < scored[a]!.ms ? b : a))
  }
  const best = fast.reduce((a, b) => (near[b]!.loss < near[a]!.loss ? b : a))
  if (prefer !== 'latency') return best
  return fast.find((i) => near[i]!.loss - near[best]!.loss <= near[i]!.error) ?? best
}

const NONE: PartialInterval = { value: null, low: null, high: null }

async function intervals(
  dataset: Dataset,
  options: FitRouterOptions,
  rows: readonly number[],
  y: readonly number[],
  scored: readonly { name: string; winRate: Float64Array }[],
): Promise<ReadonlyMap<string, PartialInterval>> {
  if (rows.length < MIN_EVALUATION_ROWS) return new Map()
  const report = await evaluateRouters({
    routers: scored.map(({ name, winRate }) => ({ name, winRate: rows.map((i) => winRate[i]!) })),
    prompts: rows.map((row) => textOf(dataset.prompts[row]!)),
    labels: { y },
    seed: options.seed,
    replicates: 500,
    signal: options.signal,
  })
  return new Map(report.routers.map(({ name, apgr }) => [name, apgr]))
}
