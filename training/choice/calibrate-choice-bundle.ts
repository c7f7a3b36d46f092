import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { type Bundle, readBundle } from '../../models/bundle/read.ts'
import type { WrittenBundle } from '../../models/bundle/write.ts'
import type { Price } from '../../models/prices.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { writeNextVersion } from '../calibrate/calibrated-bundle.ts'
import { withPrices } from '../calibrate/candidate-prices.ts'
import { type CalibrationData, calibrationData } from '../calibrate/certificate.ts'
import { freshRows } from '../calibrate/fresh-rows.ts'
import { LEAST_ROWS } from '../calibrate/rows.ts'
import { type CalibratedChoice, calibrateChoice } from './calibrate-choice.ts'
import type { ChoiceTarget } from './choice-target.ts'
import {
  completePrompts,
  type Expectations,
  expectedCosts,
  logTable,
  scoreQualities,
} from './log-table.ts'

export interface CalibrateChoiceOptions {
  readonly target: ChoiceTarget
  readonly prices?: ReadonlyMap<string, Price>
  readonly seed: number
  /** ISO 8601 */
  readonly date: string
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

export interface CalibratedChoiceBundle extends CalibratedChoice {
  readonly name: string
  readonly n: number
  readonly models: readonly string[]
  readonly cost_basis: string
  readonly data: CalibrationData
  /** absent after a dry run */
  readonly bundle?: WrittenBundle
}

/** Whether a bundle chooses among many models; one that cannot be read is left to whoever reads it next. */
export async function choosesAmongMany(path: string): Promise<boolean> {
  try {
    return (await readBundle(path)).manifest.choice !== undefined
  } catch (error) {
    if (error instanceof WeirError) return false
    throw error
  }
}

/**
 * Sets the rule of a bundle that chooses among many models on the rows of a log that it has not seen and of which
 * every candidate's outcome is known, and writes a new version with it and its certificate.
 */
export async function calibrateChoiceBundle(
  path: string,
  dataset: Dataset,
  options: CalibrateChoiceOptions,
): Promise<CalibratedChoiceBundle> {
  const router = await loadRouter(path)
  try {
    return await calibrateRouter(router, await readBundle(router.path), dataset, options)
  } finally {
    await router.close()
  }
}

async function calibrateRouter(
  router: Router,
  source: Bundle,
  dataset: Dataset,
  options: CalibrateChoiceOptions,
): Promise<CalibratedChoiceBundle> {
  const { manifest, path } = source
  if (!manifest.choice) {
    const reason = 'it decides between a pair of models; expected one trained with --models'
    throw new WeirError('bundle_invalid', { path, reason })
  }
  const candidates = withPrices(manifest.candidates, options.prices)
  const models = candidates.map(({ model }) => model)
  const complete = completePrompts(dataset, models)
  const rule = manifest.data.split
  const fresh = freshRows(dataset, { prompt: complete }, await source.dataHashes(), rule)
  if (fresh.rows.length < LEAST_ROWS) {
    const known = Object.values(fresh.leftOut).reduce((sum, rows) => sum + rows, 0)
    throw new WeirError('rows_too_few', {
      expected: LEAST_ROWS,
      what: `to calibrate on, each with the outcomes of all ${models.length} candidates (${known} more were left out: the router was made from them, or they are kept for its test)`,
      got: fresh.rows.length,
    })
  }
  const { rows, grid, setAside } =
    options.target.confidence === undefined
      ? { rows: fresh.rows, grid: undefined, setAside: 0 }
      : withGrid(fresh.rows, fresh.validation, options.seed)
  const expect = async (of: Int32Array): Promise<Expectations> => {
    const texts = Array.from(of, (row) => dataset.prompts[complete[row]!]!)
    return {
      quality: await scoreQualities(router, texts, options),
      costs: expectedCosts(candidates, texts),
    }
  }
  const prompts = Int32Array.from(rows, (row) => complete[row]!)
  const table = logTable(dataset, prompts, candidates)
  const role = (wanted: string): number => candidates.findIndex((one) => one.role === wanted)
  const calibrated = calibrateChoice({
    kind: manifest.choice.rule.kind,
    target: options.target,
    table,
    expected: await expect(rows),
    roles: { strong: role('strong'), weak: role('weak') },
    ...(grid && { reference: await expect(grid) }),
    seed: options.seed,
  })
  const hashes = Array.from(prompts, (prompt) => dataset.hashes[prompt]!)
  const partly = dataset.prompts.length - complete.length
  const data = calibrationData(dataset.manifest.sources, hashes, {
    ...fresh.leftOut,
    ...(setAside > 0 && { grid: setAside }),
    ...(partly > 0 && { incomplete: partly }),
  })
  const result = {
    ...calibrated,
    name: manifest.name,
    n: table.rows,
    models,
    cost_basis: table.basis,
    data,
  }
  if (options.dryRun) return result
  const { rule: set, ...how } = calibrated
  const bundle = await writeNextVersion(source, {
    hashes,
    map: manifest.calibration,
    manifest: {
      candidates,
      choice: {
        rule: set,
        source: 'calibrated',
        certificate: {
          target: options.target,
          ...how,
          models,
          n: table.rows,
          seed: options.seed,
          cost_basis: table.basis,
          data,
          date: options.date,
        },
      },
    },
  })
  return { ...result, bundle }
}

/** The grid needs expectations whose outcomes play no part: the router's validation rows, else rows set aside. */
const LEAST_GRID_ROWS = 100
const SET_ASIDE = 0.1

function withGrid(
  rows: Int32Array,
  validation: Int32Array,
  seed: number,
): { rows: Int32Array; grid: Int32Array; setAside: number } {
  if (validation.length >= LEAST_GRID_ROWS) return { rows, grid: validation, setAside: 0 }
  const shuffled = createRandom(deriveSeed(seed, 'grid')).shuffle(rows.slice())
  const setAside = Math.max(1, Math.round(shuffled.length * SET_ASIDE))
  return {
    rows: shuffled.subarray(setAside).sort(),
    grid: shuffled.subarray(0, setAside),
    setAside,
  }
}
