import type { Dataset } from '../../data/dataset/dataset.ts'
import { type Bundle, readBundle } from '../../models/bundle/read.ts'
import type { WrittenBundle } from '../../models/bundle/write.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import type { Price } from '../../models/prices.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { type CalibratedThreshold, calibrateThreshold } from './calibrate-threshold.ts'
import { calibratedBundle } from './calibrated-bundle.ts'
import { withPrices } from './candidate-prices.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import { type GatheredRows, type GatherOptions, gatherRows } from './gather-rows.ts'
import { type Menu, targetMenu } from './menu.ts'
import { calibrateAll, type ProbabilityReport } from './probability/report.ts'
import { scoreAll, type Watch } from './router-scorer.ts'
import type { Target } from './target.ts'

export interface CalibrateInput {
  /** outcomes or preferences; may be left out for a strong share on unlabelled prompts */
  readonly dataset?: Dataset
  /** prompts of one's own traffic, on which shares are reckoned */
  readonly unlabelled?: {
    readonly prompts: readonly string[]
    readonly sources: readonly CalibrationData['sources'][number][]
  }
  /** prompts of the mix that the labelled rows are re-weighted towards */
  readonly targetPrompts?: readonly string[]
}

export interface BundleOptions extends Watch {
  /** overrides of the bundle's prices */
  readonly prices?: ReadonlyMap<string, Price>
  readonly seed: number
  /** keeps the bundle's probability calibration as it is */
  readonly keepProbabilities?: boolean
  /** opens the bundle with raw win rates; tests pass their own */
  readonly openRouter?: (path: string, calibration: CalibrationMap) => Promise<Router>
}

export interface CalibrateOptions extends BundleOptions {
  readonly target: Target
  /** a method by name, else the target's default */
  readonly method?: string
  /** ISO 8601 */
  readonly date: string
  /** reports only, writes no version */
  readonly dryRun?: boolean
}

export interface CalibrateResult extends CalibratedThreshold {
  readonly name: string
  readonly data: CalibrationData
  readonly probability?: ProbabilityReport
  /** absent after a dry run */
  readonly bundle?: WrittenBundle
}

/**
 * Chooses a bundle's threshold on the rows of a log it has not seen, and writes a new version that
 * carries it with its certificate; the version that was read stays as it is.
 */
export async function calibrateBundle(
  path: string,
  input: CalibrateInput,
  options: CalibrateOptions,
): Promise<CalibrateResult> {
  const { target } = options
  const sequential = target.kind !== 'strong-share' && target.confidence !== undefined
  return withRawRouter(path, options, async (router, source) => {
    const candidates = withPrices(source.manifest.candidates, options.prices)
    const gathered = input.dataset
      ? await gatherRows(
          router,
          source,
          input.dataset,
          gather(input, options, candidates, sequential),
        )
      : undefined
    const map = gathered?.map ?? source.manifest.calibration
    const unlabelled =
      input.unlabelled &&
      calibrateAll(map, await scoreAll(router, input.unlabelled.prompts, options))
    const rows = gathered?.rows ?? { winRate: unlabelled! }
    const data = gathered?.data ?? calibrationData([...input.unlabelled!.sources], [], {})
    const calibrated = calibrateThreshold({
      rows,
      target,
      ...(options.method && { method: options.method }),
      ...(gathered?.reference && { reference: gathered.reference }),
      ...(unlabelled && { unlabelled }),
      ...(gathered?.costBasis && { costBasis: gathered.costBasis }),
      seed: options.seed,
      data,
      date: options.date,
    })
    const probability = gathered?.probability
    const result = {
      ...calibrated,
      name: source.manifest.name,
      data,
      ...(probability && { probability }),
    }
    if (options.dryRun) return result
    const bundle = await calibratedBundle(source, {
      ...calibrated,
      candidates,
      hashes: gathered?.hashes ?? [],
      map,
      ...(probability && { probability }),
    })
    return { ...result, bundle }
  })
}

/** The whole choice at a glance, on the same rows that a calibration would use. */
export async function bundleMenu(
  path: string,
  dataset: Dataset,
  options: BundleOptions & { readonly confidence: number },
): Promise<{ menu: Menu; rows: GatheredRows }> {
  return withRawRouter(path, options, async (router, source) => {
    const candidates = withPrices(source.manifest.candidates, options.prices)
    const rows = await gatherRows(router, source, dataset, gather({}, options, candidates, false))
    return { menu: targetMenu(rows.rows, options.confidence, options.seed), rows }
  })
}

function gather(
  input: CalibrateInput,
  options: BundleOptions,
  candidates: GatherOptions['candidates'],
  sequential: boolean,
): GatherOptions {
  const { seed, signal, onProgress, keepProbabilities } = options
  return {
    candidates,
    seed,
    sequential,
    ...(keepProbabilities && { keepProbabilities }),
    ...(input.targetPrompts && { targetPrompts: input.targetPrompts }),
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  }
}

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
