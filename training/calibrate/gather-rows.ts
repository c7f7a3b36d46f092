import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { type PairLabels, pairLabels } from '../../data/pair.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import type { Bundle } from '../../models/bundle/read.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import type { Router } from '../../models/router.ts'
import { type RequestCosts, requestCosts } from '../evaluate/log/request-costs.ts'
import { roleOf } from './candidate-prices.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import { type FreshRows, freshRows } from './fresh-rows.ts'
import {
  calibrateAll,
  calibrateProbabilities,
  LEAST_PROBABILITY_ROWS,
  type ProbabilityReport,
} from './probability/report.ts'
import { embedAll, scoreAll, type Watch } from './router-scorer.ts'
import { type CalibrationRows, LEAST_ROWS } from './rows.ts'
import { densityRatio } from './shift/density-ratio.ts'

export interface GatherOptions extends Watch {
  readonly candidates: readonly Candidate[]
  readonly seed: number
  /** whether thresholds are tested in sequence, on a grid that must be fixed in advance */
  readonly sequential: boolean
  /** keeps the bundle's probability calibration as it is */
  readonly keepProbabilities?: boolean
  /** prompts of the mix that the rows are re-weighted towards */
  readonly targetPrompts?: readonly string[]
}

/** All that a calibration is made from, win rates as the new version will give them. */
export interface GatheredRows {
  readonly rows: CalibrationRows
  readonly reference?: Float64Array
  readonly map: CalibrationMap
  readonly probability?: ProbabilityReport
  readonly costBasis?: string
  /** of the calibration prompts */
  readonly hashes: readonly string[]
  readonly data: CalibrationData
}

/** Scores the rows of a log that the router has not seen; `router` gives raw win rates. */
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
  const fresh = await freshLabels(source, dataset, labels)
  const { rows, grid, setAside } = options.sequential
    ? withGrid(fresh, seed)
    : { rows: fresh.rows, grid: undefined, setAside: 0 }
  const scoreRows = (of: Int32Array): Promise<Float64Array> =>
    scoreAll(router, textsOf(dataset, labels, of), options)
  const raw = await scoreRows(rows)
  const prompts = Int32Array.from(rows, (row) => labels.prompt[row]!)
  const costs = requestCosts(dataset, prompts, strong, weak)
  const labelled = labelledRows(labels, rows, raw, costs)
  const fitted =
    options.keepProbabilities || rows.length < LEAST_PROBABILITY_ROWS
      ? undefined
      : calibrateProbabilities(raw, labelled.gain!, seed)
  const map = fitted?.map ?? source.manifest.calibration
  const weight = options.targetPrompts && (await shiftWeights(router, dataset, prompts, options))
  const hashes = Array.from(prompts, (prompt) => dataset.hashes[prompt]!)
  return {
    rows: { ...labelled, winRate: calibrateAll(map, raw), ...(weight && { weight }) },
    ...(grid && { reference: calibrateAll(map, await scoreRows(grid)) }),
    map,
    ...(fitted && { probability: fitted.report }),
    ...(costs && { costBasis: costs.basis }),
    hashes,
    data: calibrationData(dataset.manifest.sources, hashes, {
      ...fresh.leftOut,
      ...(setAside > 0 && { grid: setAside }),
    }),
  }
}

async function freshLabels(
  source: Bundle,
  dataset: Dataset,
  labels: PairLabels,
): Promise<FreshRows> {
  const { split } = source.manifest.data
  const fresh = freshRows(dataset, labels, await source.dataHashes(), split)
  if (fresh.rows.length >= LEAST_ROWS) return fresh
  const known = Object.values(fresh.leftOut).reduce((sum, rows) => sum + rows, 0)
  throw new WeirError('rows_too_few', {
    expected: LEAST_ROWS,
    what: `to calibrate on (${known} more were left out: the router was made from them, or they are kept for its test)`,
    got: fresh.rows.length,
  })
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

/** A grid needs scores whose outcomes play no part: the router's validation rows, else rows set aside. */
const LEAST_GRID_ROWS = 100
const SET_ASIDE = 0.1
const MOST_SET_ASIDE = 500

function withGrid(
  fresh: FreshRows,
  seed: number,
): { rows: Int32Array; grid: Int32Array; setAside: number } {
  if (fresh.validation.length >= LEAST_GRID_ROWS) {
    return { rows: fresh.rows, grid: fresh.validation, setAside: 0 }
  }
  const shuffled = createRandom(deriveSeed(seed, 'grid')).shuffle(fresh.rows.slice())
  const wanted = Math.min(MOST_SET_ASIDE, Math.round(shuffled.length * SET_ASIDE))
  const setAside = Math.max(1, wanted)
  return {
    rows: shuffled.subarray(setAside).sort(),
    grid: shuffled.subarray(0, setAside),
    setAside,
  }
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
const textsOf = (dataset: Dataset, labels: PairLabels, rows: Int32Array): string[] =>
  Array.from(rows, (row) => dataset.prompts[labels.prompt[row]!]!)
