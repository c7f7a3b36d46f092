import type { Dataset } from '../data/dataset.ts'
import { pairLabels } from '../data/pair.ts'
import { WeirError } from '../models/errors.ts'
import { evaluateRouters, MIN_EVALUATION_ROWS } from './evaluate/evaluate-routers.ts'
import type { Interval } from './evaluate/interval.ts'
import { type FitRouterOptions, fitRouter } from './fit-router.ts'
import { type Contender, type Standing, standings } from './one-standard-error.ts'
import { winRateLosses } from './trainers/pair-rows.ts'

export const AUTO = 'auto'

/** One family of the table that `--router auto` prints. */
export interface AutoRow extends Standing {
  /** on the rows held back for the comparison */
  readonly apgr: Interval
}

export interface AutoChoice {
  readonly family: string
  readonly rows: readonly AutoRow[]
  /** families that could not be fitted to this log, and why */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

const VALIDATION = 1
const COMPARISON = 2

/**
 * Fits the families side by side and takes the simplest within one standard error of the best. Half of the
 * validation rows stop and tune each family, the other half compares them, so that no family is judged
 * on rows it was tuned on; the caller then fits the winner with all of them.
 *
 * @throws what the simplest family throws, where none can be fitted
 */
export async function chooseFamily(
  dataset: Dataset,
  options: FitRouterOptions,
): Promise<AutoChoice> {
  const nested = nest(dataset)
  const held = [...nested.split.keys()].filter((row) => nested.split[row] === COMPARISON)
  const winRates: { name: string; winRate: Float64Array }[] = []
  const skipped: { name: string; reason: string }[] = []
  const names = familiesFor(options)
  for (const [done, name] of names.entries()) {
    options.onProgress?.({ stage: 'comparing families', done, total: names.length, note: name })
    try {
      const fitted = await fitRouter(nested, { ...options, router: name, hyperparameters: {} })
      const texts = held.map((row) => dataset.prompts[row]!)
      const { embeddings } = await fitted.encoder.encoder.encode(texts, options.signal)
      const { winRate } = fitted.family.forward(fitted.weights, fitted.pair, embeddings)
      winRates.push({ name, winRate })
    } catch (error) {
      const own = error instanceof WeirError && error.code === 'rows_too_few'
      if (!own || done === names.length - 1) throw error
      skipped.push({ name, reason: error.message })
    }
  }
  return { ...(await compare(dataset, options, held, winRates)), skipped }
}

/** Simplest first, of those that can read the encoder. */
function familiesFor({ encoder, besideLexical }: FitRouterOptions): string[] {
  return encoder && besideLexical ? ['classifier', 'ensemble'] : ['classifier', 'knn', 'mf']
}

function nest(dataset: Dataset): Dataset {
  let seen = 0
  const split = dataset.split.map((of) => {
    if (of === COMPARISON) return COMPARISON + 1
    if (of !== VALIDATION) return of
    return seen++ % 2 === 0 ? VALIDATION : COMPARISON
  })
  return { ...dataset, split }
}

async function compare(
  dataset: Dataset,
  options: FitRouterOptions,
  held: readonly number[],
  scored: readonly { name: string; winRate: Float64Array }[],
): Promise<Omit<AutoChoice, 'skipped'>> {
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
  const order = standings(contenders)
  const apgr = await intervals(dataset, options, held, rows, y, scored)
  return {
    family: order.find(({ chosen }) => chosen)!.name,
    rows: order.map((standing) => ({ ...standing, apgr: apgr.get(standing.name) ?? NONE })),
  }
}

const NONE: Interval = { value: null, low: null, high: null }

async function intervals(
  dataset: Dataset,
  options: FitRouterOptions,
  held: readonly number[],
  rows: readonly number[],
  y: readonly number[],
  scored: readonly { name: string; winRate: Float64Array }[],
): Promise<ReadonlyMap<string, Interval>> {
  if (rows.length < MIN_EVALUATION_ROWS) return new Map()
  const report = await evaluateRouters({
    routers: scored.map(({ name, winRate }) => ({ name, winRate: rows.map((i) => winRate[i]!) })),
    prompts: rows.map((row) => dataset.prompts[held[row]!]!),
    labels: { y },
    seed: options.seed,
    replicates: 500,
    signal: options.signal,
  })
  return new Map(report.routers.map(({ name, apgr }) => [name, apgr]))
}
