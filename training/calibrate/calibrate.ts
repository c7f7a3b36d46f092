import { WeirError } from '../../core/errors.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { type Candidate, roleOf } from '../../models/bundle/manifest.ts'
import { type Bundle, readBundle } from '../../models/bundle/read.ts'
import type { WrittenBundle } from '../../models/bundle/write.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import type { Price } from '../../models/prices.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { type Waiting, withPrices, withWaiting } from '../evaluate/log/request-costs.ts'
import { scoreAll, type Watch } from '../evaluate/log/router-scores.ts'
import { type BundleChanges, calibratedBundle } from './calibrated-bundle.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import {
  freshPrompts,
  type GatheredRows,
  type GatherOptions,
  gatherRows,
  gatherTable,
} from './log-rows.ts'
import { type Menu, targetMenu } from './menu.ts'
import { calibrateAll, type ProbabilityReport } from './probability/report.ts'
import type { CalibrationRows } from './rows.ts'
import { type CalibratedRule, calibrateRule } from './rule.ts'
import { describeTarget, ruleTarget, type Target, thresholdTarget } from './target.ts'
import { type CalibratedThreshold, calibrateThreshold } from './threshold.ts'

export interface CalibrateInput {
  /** outcomes or preferences; optional for a strong share on unlabelled prompts */
  readonly dataset?: Dataset | undefined
  /** prompts of the user's traffic, on which shares are computed */
  readonly unlabelled?:
    | {
        readonly prompts: readonly string[]
        readonly sources: readonly CalibrationData['sources'][number][]
      }
    | undefined
  /** prompts of the mix that the labelled rows are re-weighted to resemble */
  readonly targetPrompts?: readonly string[] | undefined
}

export interface BundleOptions extends Watch {
  /** overrides of the bundle's prices */
  readonly prices?: ReadonlyMap<string, Price> | undefined
  /** dollars against seconds: what waiting counts as is part of every cost */
  readonly waiting?: Waiting | undefined
  readonly seed: number
  /** keeps the bundle's probability calibration unchanged */
  readonly keepProbabilities?: boolean | undefined
  /** opens the bundle with raw win rates; replaced in tests */
  readonly openRouter?: (path: string, calibration: CalibrationMap) => Promise<Router>
}

export interface CalibrateOptions extends BundleOptions {
  readonly target: Target
  /** name of the method that chooses the threshold; the target's default otherwise */
  readonly method?: string | undefined
  /** ISO 8601 */
  readonly date: string
  /** only reports and writes no version */
  readonly dryRun?: boolean | undefined
}

/** Has a `threshold` for two models, or a `rule` for many. */
export type CalibrateResult = (
  | (CalibratedThreshold & { readonly rule?: never })
  | (CalibratedRule & { readonly threshold?: never })
) & {
  readonly name: string
  readonly data: CalibrationData
  readonly probability?: ProbabilityReport
  /** absent after a dry run */
  readonly bundle?: WrittenBundle
}

/**
 * Finds the decision number of a bundle so that it meets the target on those rows of a log that the router
 * has not seen, and writes a new version with that number and its certificate. The version that was read
 * stays unchanged. The number is a threshold on the win rate for a bundle of two models, and the number of
 * its rule for one of many.
 *
 * @throws rows_too_few, option_invalid, calibration_needs, calibration_data_short, calibration_impossible,
 * budget_too_small
 */
export async function calibrate(
  path: string,
  input: CalibrateInput,
  options: CalibrateOptions,
): Promise<CalibrateResult> {
  return withRawRouter(path, options, async (router, source) => {
    const work = { router, source, input, options }
    const { data, ...changes } = await (source.manifest.choice
      ? changedRule(work)
      : changedThreshold(work))
    const { candidates: _, hashes: __, map: ___, probability, ...calibrated } = changes
    const result: CalibrateResult = {
      name: source.manifest.name,
      ...calibrated,
      data,
      ...(probability && { probability }),
    }
    return options.dryRun ? result : { ...result, bundle: await calibratedBundle(source, changes) }
  })
}

interface Work {
  readonly router: Router
  readonly source: Bundle
  readonly input: CalibrateInput
  readonly options: CalibrateOptions
}

type Changes = BundleChanges & { readonly data: CalibrationData }

async function changedThreshold({ router, source, input, options }: Work): Promise<Changes> {
  const target = thresholdTarget(options.target)
  const candidates = weighed(source, options)
  if (!input.dataset && !input.unlabelled) throw needsLog(target)
  const gathered =
    input.dataset &&
    (await gatherRows(
      router,
      source,
      input.dataset,
      gathering(
        input,
        options,
        candidates,
        target.kind !== 'strong-share' && target.confidence !== undefined,
      ),
    ).catch((error: unknown) => {
      if (target.kind !== 'strong-share' || !isWithoutOverlap(error)) throw error
      return undefined
    }))
  if (input.dataset && !gathered && !input.unlabelled) {
    return changedThreshold({
      router,
      source,
      input: {
        unlabelled: {
          prompts: await freshPrompts(source, input.dataset),
          sources: input.dataset.manifest.sources,
        },
      },
      options,
    })
  }
  if (options.waiting && gathered) assertStrongCostsMore(gathered.rows, candidates)
  const map = gathered?.map ?? source.manifest.calibration
  // a share needs no outcomes: all prompts of the log count, also those whose outcomes cannot be estimated
  const traffic =
    input.unlabelled?.prompts ??
    (target.kind === 'strong-share' && gathered?.rows.offPolicy && input.dataset
      ? await freshPrompts(source, input.dataset)
      : undefined)
  const unlabelled =
    traffic && calibrateAll(map, (await scoreAll(router, traffic, options)).winRate)
  const data = gathered?.data ?? calibrationData([...input.unlabelled!.sources], [], {})
  const calibrated = calibrateThreshold({
    rows: gathered?.rows ?? { winRate: unlabelled! },
    target,
    method: options.method,
    reference: gathered?.reference,
    unlabelled,
    costBasis: gathered?.costBasis,
    seed: options.seed,
    data,
    date: options.date,
  })
  const hashes = gathered?.hashes ?? []
  return { ...calibrated, candidates, hashes, map, probability: gathered?.probability, data }
}

async function changedRule({ router, source, input, options }: Work): Promise<Changes> {
  const { manifest } = source
  const target = ruleTarget(options.target)
  const candidates = weighed(source, options)
  if (!input.dataset) throw needsLog(target)
  const gathered = await gatherTable(
    router,
    source,
    input.dataset,
    gathering(input, options, candidates, target.confidence !== undefined),
  )
  const { hashes, data, ...rows } = gathered
  const role = (wanted: string): number => candidates.findIndex((one) => one.role === wanted)
  const calibrated = calibrateRule({
    ...rows,
    kind: manifest.choice!.rule.kind,
    target,
    roles: { strong: role('strong'), weak: role('weak') },
    seed: options.seed,
    costBasis: rows.table.basis,
    data,
    date: options.date,
  })
  return { ...calibrated, candidates, hashes, map: manifest.calibration, data }
}

/** The candidates with the prices and the worth of waiting that were given, else the bundle's. */
function weighed(
  { manifest }: Bundle,
  { prices, waiting }: Pick<BundleOptions, 'prices' | 'waiting'>,
): Candidate[] {
  const priced = withPrices(manifest.candidates, prices)
  return waiting ? withWaiting(priced, waiting) : priced
}

/** A threshold saves by asking the weak model: there is nothing to trade where waiting for it makes it the dearer one. */
function assertStrongCostsMore(
  { strongCost, weakCost }: CalibrationRows,
  candidates: readonly Candidate[],
): void {
  const [strong, weak] = [roleOf(candidates, 'strong'), roleOf(candidates, 'weak')]
  if (!strongCost || !weakCost) {
    throw new WeirError('calibration_needs', {
      target: 'a trade of dollars against seconds',
      needed: `what ${strong.model} and ${weak.model} cost: costs in the log, prices in the bundle, or --price model=input/output`,
    })
  }
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)
  const [most, least] = [sum(strongCost), sum(weakCost)]
  if (most > least) return
  const dollars = (total: number): string =>
    `$${Number(((1000 * total) / strongCost.length).toPrecision(4))}`
  throw new WeirError('option_invalid', {
    option: '--second-usd',
    expected: `a worth of seconds with which ${strong.model} still costs more than ${weak.model} (else ask ${strong.model} always)`,
    got: `${dollars(most)} against ${dollars(least)} per 1,000 requests, waiting included`,
  })
}

const isWithoutOverlap = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'overlap_missing'

const needsLog = (target: Target): WeirError =>
  new WeirError('calibration_needs', {
    target: describeTarget(target),
    needed: 'a log with outcomes or preferences',
  })

/** Cost and quality of a range of strong shares, on the same rows that calibrating a threshold would use. */
export async function bundleMenu(
  path: string,
  dataset: Dataset,
  options: BundleOptions & { readonly confidence: number },
): Promise<{ menu: Menu; rows: GatheredRows }> {
  return withRawRouter(path, options, async (router, source) => {
    const candidates = weighed(source, options)
    const rows = await gatherRows(
      router,
      source,
      dataset,
      gathering({}, options, candidates, false),
    )
    if (options.waiting) assertStrongCostsMore(rows.rows, candidates)
    return { menu: targetMenu(rows.rows, options.confidence, options.seed), rows }
  })
}

const gathering = (
  { targetPrompts }: CalibrateInput,
  { seed, signal, onProgress, keepProbabilities }: BundleOptions,
  candidates: GatherOptions['candidates'],
  sequential: boolean,
): GatherOptions => ({
  candidates,
  seed,
  sequential,
  keepProbabilities,
  targetPrompts,
  signal,
  onProgress,
})

async function withRawRouter<T>(
  path: string,
  options: BundleOptions,
  work: (router: Router, source: Bundle) => Promise<T>,
): Promise<T> {
  const raw: CalibrationMap = { method: 'identity' }
  const router = await (options.openRouter?.(path, raw) ?? loadRouter(path, { calibration: raw }))
  try {
    return await work(router, await readBundle(router.path))
  } finally {
    await router.close()
  }
}
