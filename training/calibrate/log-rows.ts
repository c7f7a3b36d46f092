import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import { LEAST_HUMAN_LABELS } from '../../core/stats/judged-mean.ts'
import { type Dataset, seenHash } from '../../data/dataset/dataset.ts'
import type { JudgedPair } from '../../data/dataset/judged.ts'
import { type PairLabels, pairLabels } from '../../data/pair.ts'
import { type Candidate, isBlunt, roleOf } from '../../models/bundle/manifest.ts'
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
import { type RequestCosts, requestCosts } from '../evaluate/log/request-costs.ts'
import { embedAll, scoreAll, scoreQualities, type Watch } from '../evaluate/log/router-scores.ts'
import { rowsOfPrompts } from '../evaluate/log/scored-log.ts'
import { freshRows } from '../evaluate/log/unseen-rows.ts'
import { correctedPrompts, judgedPair } from '../ope/corrected-judge.ts'
import { withJudgedEstimates } from '../ope/judged-estimates.ts'
import { withPairEstimates } from '../ope/pair-estimates.ts'
import { singleEvidence } from '../ope/sensitivity.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import {
  calibrateAll,
  calibrateProbabilities,
  LEAST_PROBABILITY_ROWS,
  type ProbabilityReport,
} from './probability/report.ts'
import { type CalibrationRows, LEAST_ROWS, type OffPolicy } from './rows.ts'
import { densityRatio } from './shift/density-ratio.ts'

export interface GatherOptions extends Watch {
  readonly candidates: readonly Candidate[]
  readonly seed: number
  /** whether numbers are tested in sequence, on a grid that must be fixed in advance */
  readonly sequential: boolean
  /** keeps the bundle's probability calibration unchanged */
  readonly keepProbabilities?: boolean | undefined
  /** prompts of the mix that the rows are re-weighted to resemble */
  readonly targetPrompts?: readonly string[] | undefined
}

/** The rows of a log that a bundle may be calibrated on; arrays hold indices into the labelled rows. */
interface FreshLog {
  readonly rows: Int32Array
  /** if numbers are tested in sequence: the rows that fix the grid, whose outcomes are not used */
  readonly grid: Int32Array | undefined
  /** the prompts of `rows`, as indices into the dataset's prompts */
  readonly prompts: Int32Array
  /** hashes of these prompts */
  readonly hashes: readonly string[]
  readonly data: CalibrationData
}

/** Win rates of the rows as the new version will compute them, with the outcomes of both models. */
export interface GatheredRows extends Pick<FreshLog, 'hashes' | 'data'> {
  readonly rows: CalibrationRows
  readonly reference: Float64Array | undefined
  readonly map: CalibrationMap
  readonly probability: ProbabilityReport | undefined
  readonly costBasis: string | undefined
}

/**
 * The rows for the threshold between the strong and the weak model; `router` gives raw win rates. Where one model
 * answered most prompts, their outcomes are estimates.
 *
 * @throws overlap_missing
 */
export async function gatherRows(
  router: Router,
  source: Bundle,
  log: Dataset,
  options: GatherOptions,
): Promise<GatheredRows> {
  const { candidates, seed } = options
  const strong = roleOf(candidates, 'strong')
  const weak = roleOf(candidates, 'weak')
  const pair = { strong: strong.model, weak: weak.model }
  const estimated = await withPairEstimates(log, pair, options)
  const known = pairLabels(estimated, strong.model, weak.model)
  const fresh = await freshLog(source, estimated, known.prompt, {
    ...options,
    mostSetAside: MOST_SET_ASIDE,
  })
  const scoreRows = async (of: Int32Array): Promise<Float64Array> =>
    (await scoreAll(router, textsOf(estimated, known.prompt, of), options)).winRate
  const winRates = await scoreRows(fresh.rows)
  const dataset = await withJudgedEstimates(
    estimated,
    { prompts: fresh.prompts, winRates: [winRates] },
    seed,
  )
  const labels = pairLabels(dataset, strong.model, weak.model)
  const { rows, places } = rowsOfPrompts(labels, fresh.prompts)
  const prompts = Int32Array.from(places, (at) => fresh.prompts[at]!)
  const hashes = Array.from(places, (at) => fresh.hashes[at]!)
  const raw = Float64Array.from(places, (at) => winRates[at]!)
  const dropped = fresh.rows.length - rows.length
  const costs = requestCosts(dataset, prompts, strong, weak)
  const { weight: sampled, ...labelled } =
    judgedRows(judgedPair(log, pair), prompts, raw, costs, options) ??
    labelledRows(labels, rows, raw, costs, dataset, pair.strong)
  const fitted =
    options.keepProbabilities || rows.length < LEAST_PROBABILITY_ROWS
      ? undefined
      : calibrateProbabilities(raw, labelled.gain!, seed, labelled.offPolicy !== undefined)
  const map = fitted?.map ?? source.manifest.calibration
  const shift = options.targetPrompts && (await shiftWeights(router, dataset, prompts, options))
  const weight = shift && sampled ? shift.map((one, i) => one * sampled[i]!) : (shift ?? sampled)
  return {
    rows: { ...labelled, winRate: calibrateAll(map, raw), ...(weight && { weight }) },
    reference: fresh.grid && calibrateAll(map, await scoreRows(fresh.grid)),
    map,
    probability: fitted?.report,
    costBasis: costs?.basis,
    hashes,
    data:
      dropped === 0
        ? fresh.data
        : calibrationData(dataset.manifest.sources, hashes, {
            ...fresh.data.left_out,
            'without overlap': dropped,
          }),
  }
}

/** All prompts of a log that a share may be calibrated on: the router was not made from them, nor is it tested on them. */
export async function freshPrompts(source: Bundle, dataset: Dataset): Promise<string[]> {
  const prompt = Int32Array.from(dataset.prompts.keys())
  const { rows } = freshRows(
    dataset,
    { prompt },
    await source.dataHashes(),
    source.manifest.data.split,
  )
  return textsOf(dataset, prompt, rows)
}

/** The logged outcomes of every candidate on the same prompts, with the router's predictions. */
export interface GatheredTable extends Pick<FreshLog, 'hashes' | 'data'> {
  readonly table: LogTable
  readonly expected: Expectations
  readonly reference: Expectations | undefined
}

/** The rows for a rule among many models: the ones on which every candidate was observed. */
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
  /** what a row must have, for the error if there are too few */
  readonly needed?: string
  /** other rows that could not be used, by reason */
  readonly leftOut?: Readonly<Record<string, number>>
}

/** @param prompt index into the dataset's prompts, one per labelled row */
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
  const hashes = Array.from(prompts, (at) => seenHash(dataset, at))
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

/**
 * The grid must not depend on the outcomes it is tested on: it comes from the validation rows or, if there
 * are fewer of them than this, from rows set aside.
 */
const LEAST_GRID_ROWS = 100
const SET_ASIDE = 0.1
const MOST_SET_ASIDE = 500

/** A random tenth of the rows, to fix the grid, and the remaining rows; both ascending. */
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

/**
 * Rows whose gains are the judge's labels, corrected by people's on the same rows. Undefined if people labelled too few of the
 * rows and nothing is to be promised.
 *
 * @throws calibration_needs if too few are labelled for a promise
 */
export function judgedRows(
  pair: JudgedPair | undefined,
  prompts: Int32Array,
  winRate: Float64Array,
  costs: RequestCosts | undefined,
  { sequential }: Pick<GatherOptions, 'sequential'>,
): CalibrationRows | undefined {
  if (!pair) return undefined
  const corrected = correctedPrompts(pair, prompts)
  const { labels } = corrected
  if (!corrected.values) {
    if (!sequential) return undefined
    throw new WeirError('calibration_needs', {
      target: 'a promise from the labels of a judge',
      needed: `at least ${LEAST_HUMAN_LABELS} labels of people on the ${prompts.length} prompts that it is made from, which have ${labels} (weir label; or collect further prompts for it, which may all be used)`,
    })
  }
  const { values, low, high, weights } = corrected
  return {
    winRate,
    gain: values.map((value) => 2 * value - 1),
    ...(costs && { strongCost: costs.strong, weakCost: costs.weak }),
    ...(weights.some((one) => one !== weights[0]) && { weight: weights }),
    offPolicy: {
      estimator: 'prediction-powered',
      gain_low: 2 * low - 1 - ROUNDING,
      gain_high: 2 * high - 1 + ROUNDING,
      least_propensity: labels / prompts.length,
      labels,
    },
  }
}

/** The logged outcomes of the given rows, with the router's win rates for them. */
export function labelledRows(
  labels: PairLabels,
  rows: Int32Array,
  winRate: Float64Array,
  costs: RequestCosts | undefined,
  dataset: Dataset,
  strongModel: string,
): CalibrationRows {
  const { strong, weak } = labels
  const isScored = (row: number): boolean =>
    strong !== undefined && weak !== undefined && !Number.isNaN(strong[row]! + weak[row]!)
  const scored = rows.every(isScored)
  // the difference of the two logged scores; a float32 label would round it
  const gain = Float64Array.from(rows, (row) =>
    isScored(row) ? strong![row]! - weak![row]! : 2 * labels.label[row]! - 1,
  )
  const offPolicy = offPolicyOf(labels, rows, dataset)
  const prompts = Int32Array.from(rows, (row) => labels.prompt[row]!)
  const singles = offPolicy && singleEvidence(dataset, prompts, strongModel)?.rows
  return {
    winRate,
    gain,
    ...(scored && { weak: Float64Array.from(rows, (row) => weak![row]!) }),
    ...(costs && { strongCost: costs.strong, weakCost: costs.weak }),
    ...(offPolicy && { offPolicy }),
    ...(singles && { singles }),
  }
}

/** Limits of the rows' estimated gains; undefined if both models answered all of them. */
function offPolicyOf(
  { prompt, estimated }: PairLabels,
  rows: Int32Array,
  { estimates }: Dataset,
): OffPolicy | undefined {
  if (!estimates || !estimated) return undefined
  const { propensity, predicted, response, summary } = estimates
  let [low, high, least, single] = [-1, 1, 1, 0]
  for (const row of rows) {
    if (estimated[row] !== 1) continue
    const at = prompt[row]!
    const [e, s, w] = [propensity[at]!, predicted[2 * at]!, predicted[2 * at + 1]!]
    const ofStrong = e * (response?.[2 * at] ?? 1)
    const ofWeak = (1 - e) * (response?.[2 * at + 1] ?? 1)
    single++
    least = Math.min(least, ofStrong, ofWeak)
    // the strong model answered 1 or the weak one 0; the strong one 0 or the weak one 1
    high = Math.max(high, s - w + (1 - s) / ofStrong, s - w + w / ofWeak)
    low = Math.min(low, s - w - s / ofStrong, s - w - (1 - w) / ofWeak)
  }
  if (single === 0) return undefined
  return {
    estimator: 'doubly robust, cross-fitted',
    propensities: summary.propensities,
    // a little wider, because scores were rounded to float32
    gain_low: low - ROUNDING,
    gain_high: high + ROUNDING,
    least_propensity: least,
    ...(isBlunt(summary) && { blunt: true }),
    single,
  }
}

const ROUNDING = 1e-4

/** The texts of the given rows' prompts. */
const textsOf = (dataset: Dataset, prompt: Int32Array, rows: Int32Array): string[] =>
  Array.from(rows, (row) => dataset.prompts[prompt[row]!]!)
