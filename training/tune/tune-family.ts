import type { TObject } from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed, type Random } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { takeRows } from '../../models/encoders/embeddings.ts'
import { type FitRouterOptions, fitHead, type PreparedRows } from '../fit-router.ts'
import { pairRows, winRateLoss } from '../trainers/pair-rows.ts'
import { loadTrainer } from '../trainers/registry.ts'
import { type Search, type Settings, settingSchemas } from '../trainers/settings.ts'
import type { EncodedSplit } from '../trainers/splits.ts'
import type { PreferenceColumns } from '../trainers/trainer.ts'

export interface TunedFamily {
  readonly family: string
  /** the first trial is the defaults; one loss per rung, the mean log-loss of the pair on the tuning rows */
  readonly trials: readonly Trial<Settings>[]
  /** the part of the train rows used at each rung */
  readonly fractions: readonly number[]
  readonly best: number
  /** the best trial's settings, overridden by those set by hand */
  readonly settings: Settings
  readonly stopped: boolean
}

/**
 * Searches for better hyperparameters of one family by successive halving: seeded draws from the family's
 * search space, with the defaults first, compared only on the validation rows of `prepared`.
 *
 * @param prepared rows of a nested dataset, whose validation split is the tuning half
 */
export async function tuneFamily(
  dataset: Dataset,
  prepared: PreparedRows,
  options: FitRouterOptions,
  count: number,
): Promise<TunedFamily> {
  const { router, signal, onProgress, seed, hyperparameters = {} } = options
  const trainer = await loadTrainer(router)
  const space = searchSpace(trainer.settings, hyperparameters)
  const random = createRandom(deriveSeed(seed, `tune ${router}`))
  const candidates: Settings[] = [{}, ...drawSettings(space, count - 1, random)]
  const rungs = planRungs(candidates.length)
  const total = rungs.reduce((sum, rung) => sum + rung.trials, 0)
  const parts = rungs.map(({ fraction }) =>
    partOfRows(prepared.train, fraction, deriveSeed(seed, 'tune rows')),
  )
  const { checkpoint: _, onProgress: __, ...quiet } = options
  let done = 0
  let least = Number.POSITIVE_INFINITY
  const result = await successiveHalving(
    candidates,
    async (settings, rung) => {
      const loss = await lossOf(
        dataset,
        { ...prepared, train: parts[rung]! },
        { ...quiet, hyperparameters: { ...settings, ...hyperparameters } },
      )
      if (rung === rungs.length - 1) least = Math.min(least, loss)
      const note = `log-loss ${loss.toFixed(4)}${least < Infinity ? ` (best ${least.toFixed(4)})` : ''}`
      onProgress?.({ stage: `tuning ${router}`, done: ++done, total, note })
      return loss
    },
    signal,
  )
  return {
    family: router,
    ...result,
    fractions: rungs.map(({ fraction }) => fraction),
    settings: { ...candidates[result.best], ...hyperparameters },
  }
}

/** NaN for settings that cannot be fitted, or whose fit the signal cut short. */
async function lossOf(
  dataset: Dataset,
  prepared: PreparedRows,
  options: FitRouterOptions,
): Promise<number> {
  try {
    const { family, pair, weights, heldOut, validation } = await fitHead(dataset, prepared, options)
    const { winRate } = family.forward(heldOut ?? weights, pair, validation.embeddings)
    return winRateLoss(winRate, pairRows(validation, { models: dataset.models, ...pair }))
  } catch (error) {
    const unfit = error instanceof WeirError && UNFIT.includes(error.code)
    if (unfit || options.signal?.aborted) return Number.NaN
    throw error
  }
}

const UNFIT: readonly string[] = ['training_diverged', 'rows_too_few']

/** A seeded part of a split's prompts with the observations on them; a larger part contains every smaller one. */
function partOfRows(split: EncodedSplit, fraction: number, seed: number): EncodedSplit {
  const n = split.embeddings.rows
  const size = Math.ceil(n * fraction)
  if (size >= n) return split
  const order = createRandom(seed).shuffle(Int32Array.from({ length: n }, (_, i) => i))
  const rows = order.slice(0, size).sort()
  const { preferences, outcomes } = split
  return {
    prompts: rows.map((row) => split.prompts[row]!),
    embeddings: takeRows(split.embeddings, rows),
    ...(preferences ? { preferences: votesOn(preferences, rows, n) } : {}),
    ...(outcomes ? { outcomes: { scores: scoresOf(outcomes.scores, rows, n) } } : {}),
  }
}

function votesOn(votes: PreferenceColumns, rows: Int32Array, n: number): PreferenceColumns {
  const place = new Int32Array(n).fill(-1)
  rows.forEach((row, i) => {
    place[row] = i
  })
  const kept = [...votes.prompt.keys()].filter((i) => place[votes.prompt[i]!]! >= 0)
  const take = (column: Int32Array): Int32Array => Int32Array.from(kept, (i) => column[i]!)
  return {
    prompt: Int32Array.from(kept, (i) => place[votes.prompt[i]!]!),
    modelA: take(votes.modelA),
    modelB: take(votes.modelB),
    label: Float32Array.from(kept, (i) => votes.label[i]!),
    weight: Float32Array.from(kept, (i) => votes.weight[i]!),
  }
}

function scoresOf(scores: Float32Array, rows: Int32Array, n: number): Float32Array {
  const m = scores.length / n
  const taken = new Float32Array(rows.length * m)
  rows.forEach((row, i) => {
    taken.set(scores.subarray(row * m, (row + 1) * m), i * m)
  })
  return taken
}

/** The number of trials of a rung, and the part of the train rows they use. */
export interface Rung {
  readonly trials: number
  readonly fraction: number
}

/** One in this many of a rung's trials goes on to the next. */
const KEPT = 3
/** With less than a ninth of the rows a setting's rank says little about its rank on all of them. */
const MAX_RUNGS = 3

/**
 * Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): all trials on a small part of the rows,
 * the best third of them on three times as many, until the last ones use all rows.
 */
export function planRungs(trials: number): Rung[] {
  const counts = [trials]
  while (counts.length < MAX_RUNGS && counts.at(-1)! > 2) {
    counts.push(Math.max(2, Math.ceil(counts.at(-1)! / KEPT)))
  }
  return counts.map((count, rung) => ({
    trials: count,
    fraction: KEPT ** (rung + 1 - counts.length),
  }))
}

/** A trial with its loss at each rung it reached. */
interface Trial<T> {
  readonly settings: T
  readonly losses: readonly number[]
}

export interface HalvingResult<T> {
  readonly trials: readonly Trial<T>[]
  /** index of the best trial: the lowest loss at the last complete rung */
  readonly best: number
  /** true if the signal ended the search before the last rung was complete */
  readonly stopped: boolean
}

/**
 * Runs the rungs. The first candidate (the defaults) reaches the last rung whatever its losses, so that the
 * winner has beaten it on all rows.
 *
 * @param loss loss of one candidate fitted on that part of the rows; not finite if it could not be fitted
 */
export async function successiveHalving<T>(
  candidates: readonly T[],
  loss: (candidate: T, rung: number, fraction: number) => Promise<number>,
  signal?: AbortSignal,
): Promise<HalvingResult<T>> {
  const losses: number[][] = candidates.map(() => [])
  const rungs = planRungs(candidates.length)
  let alive = candidates.map((_, i) => i)
  let best = 0
  for (const [rung, { trials, fraction }] of rungs.entries()) {
    alive = [0, ...alive.filter((i) => i !== 0)].slice(0, trials)
    for (const i of alive) {
      if (!signal?.aborted) losses[i]!.push(await loss(candidates[i]!, rung, fraction))
      // a fit that the signal cut short is no measurement
      if (signal?.aborted) {
        losses[i]!.length = Math.min(losses[i]!.length, rung)
        const found = rung > 0 ? best : ranked(alive, losses, 0)[0]
        return { trials: zip(candidates, losses), best: found ?? 0, stopped: true }
      }
    }
    alive = ranked(alive, losses, rung)
    best = alive[0] ?? 0
  }
  return { trials: zip(candidates, losses), best, stopped: false }
}

/** Trials with a finite loss at the rung, lowest loss first; among equals, the earlier first. */
function ranked(alive: readonly number[], losses: readonly number[][], rung: number): number[] {
  const at = (i: number): number => losses[i]![rung] ?? Number.NaN
  return alive.filter((i) => Number.isFinite(at(i))).toSorted((a, b) => at(a) - at(b) || a - b)
}

const zip = <T>(candidates: readonly T[], losses: readonly number[][]): Trial<T>[] =>
  candidates.map((settings, i) => ({ settings, losses: losses[i]! }))

/** The hyperparameters of a family that `--tune` searches, except those that were set by hand. */
export function searchSpace(
  schema: TObject,
  fixed: Settings = {},
): readonly (readonly [string, Search])[] {
  return settingSchemas(schema).flatMap(([name, { search }]) =>
    search && !Object.hasOwn(fixed, name) ? [[name, search] as const] : [],
  )
}

/**
 * Points of the space by Latin hypercube sampling (McKay, Beckman and Conover 1979): each setting's range is
 * divided into as many parts as there are points, and each part is used once. Numbers are rounded to three
 * digits, for readability.
 */
export function drawSettings(
  space: readonly (readonly [string, Search])[],
  count: number,
  random: Random,
): Settings[] {
  if (space.length === 0) return []
  const columns = space.map(([name, search]) => {
    const parts = random.shuffle(Array.from({ length: count }, (_, part) => part))
    return { name, values: parts.map((part) => valueAt(search, (part + random.next()) / count)) }
  })
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(columns.map(({ name, values }) => [name, values[i]!])),
  )
}

/** @param at in [0, 1) */
function valueAt(search: Search, at: number): number | string {
  if ('among' in search) return search.among[Math.floor(at * search.among.length)]!
  const { from, to, scale } = search
  const value = scale === 'log' ? from * (to / from) ** at : from + (to - from) * at
  return Number(value.toPrecision(3))
}

/** `1e-5 to 0.03, log` or `32, 64, 128` */
export const describeSearch = (search: Search): string =>
  'among' in search
    ? search.among.join(', ')
    : `${search.from} to ${search.to}${search.scale === 'log' ? ', log' : ''}`
