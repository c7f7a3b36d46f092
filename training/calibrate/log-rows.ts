import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { type PairLabels, pairLabels } from '../../data/pair.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import type { Bundle } from '../../models/bundle/read.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import type { Router } from '../../models/router.ts'
import {
  completePrompts,
  type Expectations,
  expectedCosts,
  type LogTable,
  logTable,
} from '../evaluate/log/model-table.ts'
import { type RequestCosts, requestCosts, roleOf } from '../evaluate/log/request-costs.ts'
import { embedAll, scoreAll, scoreQualities, type Watch } from '../evaluate/log/router-scores.ts'
import { freshRows } from '../evaluate/log/unseen-rows.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import {
  calibrateAll,
  calibrateProbabilities,
  LEAST_PROBABILITY_ROWS,
  type ProbabilityReport,
} from './probability/report.ts'
import { type CalibrationRows, LEAST_ROWS } from './rows.ts'
import { densityRatio } from './shift/density-ratio.ts'

export interface GatherOptions extends Watch {
  readonly candidates: readonly Candidate[]
  readonly seed: number
  /** whether numbers are tested in sequence, on a grid that must be fixed in advance */
  readonly sequential: boolean
  /** keeps the bundle's probability calibration as it is */
  readonly keepProbabilities?: boolean | undefined
  /** prompts of the mix that the rows are re-weighted towards */
  readonly targetPrompts?: readonly string[] | undefined
}

/** The rows of a log that a bundle may be calibrated on; arrays hold indices into the labelled rows. */
interface FreshLog {
  readonly rows: Int32Array
  /** where numbers are tested in sequence: rows whose outcomes play no part, which fix the grid */
  readonly grid: Int32Array | undefined
  /** the prompts of `rows`, as indices into the dataset's */
  readonly prompts: Int32Array
  /** of these prompts */
  readonly hashes: readonly string[]
  readonly data: CalibrationData
}

/** Win rates of the rows as the new version will give them, and what the log says of both models there. */
export interface GatheredRows extends Pick<FreshLog, 'hashes' | 'data'> {
  readonly rows: CalibrationRows
  readonly reference: Float64Array | undefined
  readonly map: CalibrationMap
  readonly probability: ProbabilityReport | undefined
  readonly costBasis: string | undefined
}

/** The rows for the threshold between the strong and the weak model; `router` gives raw win rates. */
export async function gatherRows(
  router: Router,
  source: Bundle,
  dataset: Dataset,
  options: GatherOptions,
): Promise<GatheredRows> {
  const { candidates, seed } = options
  const strong = roleOf(candidates, 'strong')
  const weak = roleOf(candidates, 'weak')
  const labels = pairLabels(dataset, strong.model, weak.model)
  const { rows, grid, prompts, hashes, data } = await freshLog(source, dataset, labels.prompt, {
    ...options,
    mostSetAside: MOST_SET_ASIDE,
  })
  const scoreRows = async (of: Int32Array): Promise<Float64Array> =>
    (await scoreAll(router, textsOf(dataset, labels.prompt, of), options)).winRate
  const raw = await scoreRows(rows)
  const costs = requestCosts(dataset, prompts, strong, weak)
  const labelled = labelledRows(labels, rows, raw, costs)
  const fitted =
    options.keepProbabilities || rows.length < LEAST_PROBABILITY_ROWS
      ? undefined
      : calibrateProbabilities(raw, labelled.gain!, seed)
  const map = fitted?.map ?? source.manifest.calibration
  const weight = options.targetPrompts && (await shiftWeights(router, dataset, prompts, options))
  return {
    rows: { ...labelled, winRate: calibrateAll(map, raw), ...(weight && { weight }) },
    reference: grid && calibrateAll(map, await scoreRows(grid)),
    map,
    probability: fitted?.report,
    costBasis: costs?.basis,
    hashes,
    data,
  }
}

/** What a log says of every candidate on the same prompts, and what the router expects of them. */
export interface GatheredTable extends Pick<FreshLog, 'hashes' | 'data'> {
  readonly table: LogTable
  readonly expected: Expectations
  readonly reference: Expectations | undefined
}

/** The rows for a rule among many models: those on which every candidate was observed. */
export async function gatherTable(
  router: Router,
  source: Bundle,
  dataset: Dataset,
  options: GatherOptions,
): Promise<GatheredTable> {
  const { candidates } = options
  const models = candidates.map(({ model }) => model)
  const complete = completePrompts(dataset, models)
  const { rows, grid, prompts, hashes, data } = await freshLog(source, dataset, complete, {
    ...options,
    needed: `, each with the outcomes of all ${models.length} candidates`,
    leftOut: { incomplete: dataset.prompts.length - complete.length },
  })
  const expect = async (of: Int32Array): Promise<Expectations> => {
    const texts = textsOf(dataset, complete, of)
    return {
      quality: await scoreQualities(router, texts, options),
      costs: expectedCosts(candidates, texts),
    }
  }
  const expected = await expect(rows)
  return {
    table: logTable(dataset, prompts, candidates),
    expected,
    reference: grid && (await expect(grid)),
    hashes,
    data,
  }
}

interface FreshLogOptions {
  readonly seed: number
  readonly sequential: boolean
  readonly mostSetAside?: number
  /** what a row must have, for the error where there are too few */
  readonly needed?: string
  /** other rows that could not be used, by why */
  readonly leftOut?: Readonly<Record<string, number>>
}

/** @param prompt of each labelled row, as an index into the dataset's */
async function freshLog(
  source: Bundle,
  dataset: Dataset,
  prompt: Int32Array,
  {
    seed,
    sequential,
    mostSetAside = Number.POSITIVE_INFINITY,
    needed = '',
    leftOut,
  }: FreshLogOptions,
): Promise<FreshLog> {
  const { split } = source.manifest.data
  const fresh = freshRows(dataset, { prompt }, await source.dataHashes(), split)
  if (fresh.rows.length < LEAST_ROWS) {
    const known = Object.values(fresh.leftOut).reduce((sum, rows) => sum + rows, 0)
    throw new WeirError('rows_too_few', {
      expected: LEAST_ROWS,
      what: `to calibrate on${needed} (${known} more were left out: the router was made from them, or they are kept for its test)`,
      got: fresh.rows.length,
    })
  }
  const inAdvance = sequential && fresh.validation.length >= LEAST_GRID_ROWS
  const aside = sequential && !inAdvance ? setAside(fresh.rows, seed, mostSetAside) : undefined
  const rows = aside?.rows ?? fresh.rows
  const prompts = Int32Array.from(rows, (row) => prompt[row]!)
  const hashes = Array.from(prompts, (at) => dataset.hashes[at]!)
  const others = { grid: aside?.grid.length ?? 0, ...leftOut }
  return {
    rows,
    grid: inAdvance ? fresh.validation : aside?.grid,
    prompts,
    hashes,
    data: calibrationData(dataset.manifest.sources, hashes, {
      ...fresh.leftOut,
      ...Object.fromEntries(Object.entries(others).filter(([, count]) => count > 0)),
    }),
  }
}

/** A grid needs scores whose outcomes play no part: the router's validation rows, else rows set aside. */
const LEAST_GRID_ROWS = 100
const SET_ASIDE = 0.1
const MOST_SET_ASIDE = 500

/** A tenth of the rows, at random, to fix the grid; the rest ascending. */
export function setAside(
  all: Int32Array,
  seed: number,
  most: number,
): { rows: Int32Array; grid: Int32Array } {
  const shuffled = createRandom(deriveSeed(seed, 'grid')).shuffle(all.slice())
  const aside = Math.max(1, Math.min(most, Math.round(shuffled.length * SET_ASIDE)))
  return { rows: shuffled.subarray(aside).sort(), grid: shuffled.subarray(0, aside) }
}

async function shiftWeights(
  router: Router,
  dataset: Dataset,
  prompts: Int32Array,
  options: GatherOptions,
): Promise<Float64Array> {
  const texts = Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
  const calibration = await embedAll(router, texts, options)
  const target = await embedAll(router, options.targetPrompts!, options)
  return (await densityRatio(calibration, target, options.seed, options.signal)).weight
}

/** What the log says of the given rows, beside the router's win rates for them. */
function labelledRows(
  labels: PairLabels,
  rows: Int32Array,
  winRate: Float64Array,
  costs: RequestCosts | undefined,
): CalibrationRows {
  const { strong, weak } = labels
  const scored = strong && weak && rows.every((row) => !Number.isNaN(strong[row]! + weak[row]!))
  // two scores as the log has them; a float32 label would round their difference
  const gain = Float64Array.from(rows, (row) =>
    scored ? strong[row]! - weak[row]! : 2 * labels.label[row]! - 1,
  )
  return {
    winRate,
    gain,
    ...(scored && { weak: Float64Array.from(rows, (row) => weak[row]!) }),
    ...(costs && { strongCost: costs.strong, weakCost: costs.weak }),
  }
}

/** The texts of the given rows' prompts. */
const textsOf = (dataset: Dataset, prompt: Int32Array, rows: Int32Array): string[] =>
  Array.from(rows, (row) => dataset.prompts[prompt[row]!]!)
