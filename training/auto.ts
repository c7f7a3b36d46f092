import { WeirError } from '../core/errors.ts'
import type { PartialInterval } from '../core/stats/intervals.ts'
import type { Dataset } from '../data/dataset/dataset.ts'
import { pairLabels } from '../data/pair.ts'
import { textOf } from '../models/encoders/context.ts'
import type { Embeddings } from '../models/encoders/embeddings.ts'
import { evaluateRouters, MIN_EVALUATION_ROWS } from './evaluate/evaluate-routers.ts'
import { type FitRouterOptions, fitHead, type PreparedRows, prepareRows } from './fit-router.ts'
import { winRateLosses } from './trainers/pair-rows.ts'
import { loadTrainer } from './trainers/registry.ts'
import { encodeSplit } from './trainers/splits.ts'
import type { Trainer } from './trainers/trainer.ts'
import { type Contender, nestValidation, type Standing, standings } from './tune/tune.ts'

import { type TunedFamily, tuneFamily } from './tune/tune-family.ts'

export const AUTO = 'auto'

/** What `--router auto` prefers: the best win rates, or the simplest family that is not clearly worse. */
export type Preference = 'quality' | 'latency'

export interface AutoOptions {
  readonly prefer?: Preference | undefined
  /** of comparing families, the last fit included; no limit by default */
  readonly minutes?: number | undefined
}

/** One family of the table that `--router auto` prints. */
export interface AutoRow extends Standing {
  /** measured on the rows held back for the comparison */
  readonly apgr: PartialInterval
}

export interface AutoChoice {
  readonly family: string
  readonly rows: readonly AutoRow[]
  /** families that could not be fitted to this log, and why */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** the search within each family, where one was asked for */
  readonly tuned: readonly TunedFamily[]
  /** true where the signal came before all families were fitted: the choice is among those that were */
  readonly stopped: boolean
}

/**
 * Fits the families side by side and returns the best one, or with `prefer: 'latency'` the simplest within one
 * standard error of the best. With `minutes`, families are compared, simplest first, as long as the winner can still
 * be fitted in time: the longest fit so far is set aside for it. Half of
 * the validation rows stop and tune each family, the other half compares the families, so that no family is
 * compared on rows it was tuned on. The caller then fits the winner with all validation rows.
 *
 * @param trials number of settings tried within each family; with 1 only its defaults
 * @throws the simplest family's error, if no family can be fitted
 */
export async function chooseFamily(
  dataset: Dataset,
  options: FitRouterOptions & AutoOptions,
  trials = 1,
): Promise<AutoChoice> {
  const started = performance.now()
  const budget = (options.minutes ?? Number.POSITIVE_INFINITY) * 60_000
  let longest = 0
  const { dataset: nested, compared } = nestValidation(dataset)
  const rowsFor = rowsByInput(nested, options)
  const winRates: { name: string; winRate: Float64Array }[] = []
  const skipped: { name: string; reason: string }[] = []
  const tuned: TunedFamily[] = []
  const names = familiesFor(options)
  for (const [done, name] of names.entries()) {
    options.onProgress?.({ stage: 'comparing families', done, total: names.length, note: name })
    const spent = performance.now() - started
    if (winRates.length > 0 && spent + 2 * longest > budget) {
      skipped.push({ name, reason: `the ${options.minutes} minutes would not have been enough` })
      continue
    }
    // hyperparameters set by hand belong to the family that is fitted in the end
    const own = { ...options, router: name, hyperparameters: {} }
    try {
      const { prepared, asked } = await rowsFor((await loadTrainer(name)).input)
      if (trials > 1) tuned.push(await tuneFamily(nested, prepared, own, trials))
      const settings = tuned.find(({ family }) => family === name)?.settings ?? {}
      const fitted = await fitHead(nested, prepared, { ...own, hyperparameters: settings })
      const { winRate } = fitted.family.forward(fitted.weights, fitted.pair, asked)
      winRates.push({ name, winRate })
      longest = Math.max(longest, performance.now() - started - spent)
    } catch (error) {
      if (options.signal?.aborted && winRates.length > 0) break
      const small = error instanceof WeirError && error.code === 'rows_too_few'
      if (!small || (done === names.length - 1 && winRates.length === 0)) throw error
      skipped.push({ name, reason: error.message })
    }
  }
  const stopped = options.signal?.aborted ?? false
  const { signal: _, ...unwatched } = options
  const choice = await compare(dataset, stopped ? unwatched : options, compared, winRates)
  return { ...choice, skipped, tuned, stopped }
}

/** The families that can read the encoder, simplest first. */
function familiesFor({ encoder, besideLexical }: FitRouterOptions): string[] {
  return encoder && besideLexical
    ? ['classifier', 'kernel', 'ensemble']
    : ['classifier', 'knn', 'mf', 'mlp']
}

/** Rows for fitting and rows for comparing, in each form that a family reads, encoded once. */
function rowsByInput(nested: Dataset, options: FitRouterOptions) {
  const known = new Map<string, Promise<{ prepared: PreparedRows; asked: Embeddings }>>()
  return (input: Trainer['input']) => {
    const form = options.encoder ? 'given' : input
    const made =
      known.get(form) ??
      prepareRows(nested, input, options).then(async (prepared) => {
        const { encoder } = prepared.encoder
        const compared = await encodeSplit(nested, 'calibration', encoder, options.signal)
        return { prepared, asked: compared.embeddings }
      })
    known.set(form, made)
    return made
  }
}

async function compare(
  dataset: Dataset,
  options: FitRouterOptions & AutoOptions,
  held: readonly number[],
  scored: readonly { name: string; winRate: Float64Array }[],
): Promise<Pick<AutoChoice, 'family' | 'rows'>> {
  const labels = pairLabels(dataset, options.strong, options.weak)
  const place = new Map(Array.from(labels.prompt, (prompt, i) => [prompt, i]))
  const rows = [...held.keys()].filter((row) => place.has(held[row]!))
  const label = rows.map((row) => place.get(held[row]!)!)
  const y = label.map((i) => labels.label[i]!)
  const observed = { rows: Int32Array.from(rows), y: Float64Array.from(y) }
  const contenders: Contender[] = scored.map(({ name, winRate }) => ({
    name,
    losses: winRateLosses(winRate, observed),
  }))
  const near = standings(contenders)
  const order =
    options.prefer === 'latency' ? near : near.map((row) => ({ ...row, chosen: row.above === 0 }))
  const apgr = await intervals(dataset, options, held, rows, y, scored)
  return {
    family: order.find(({ chosen }) => chosen)!.name,
    rows: order.map((standing) => ({ ...standing, apgr: apgr.get(standing.name) ?? NONE })),
  }
}

const NONE: PartialInterval = { value: null, low: null, high: null }

async function intervals(
  dataset: Dataset,
  options: FitRouterOptions,
  held: readonly number[],
  rows: readonly number[],
  y: readonly number[],
  scored: readonly { name: string; winRate: Float64Array }[],
): Promise<ReadonlyMap<string, PartialInterval>> {
  if (rows.length < MIN_EVALUATION_ROWS) return new Map()
  const report = await evaluateRouters({
    routers: scored.map(({ name, winRate }) => ({ name, winRate: rows.map((i) => winRate[i]!) })),
    prompts: rows.map((row) => textOf(dataset.prompts[held[row]!]!)),
    labels: { y },
    seed: options.seed,
    replicates: 500,
    signal: options.signal,
  })
  return new Map(report.routers.map(({ name, apgr }) => [name, apgr]))
}
