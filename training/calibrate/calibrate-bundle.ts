import type { Dataset } from '../../data/dataset.ts'
import { type PairLabels, pairLabels } from '../../data/pair.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { readBundle } from '../../models/bundle/read.ts'
import type { WrittenBundle } from '../../models/bundle/write.ts'
import { WeirError } from '../../models/errors.ts'
import type { Price } from '../../models/prices.ts'
import type { OnProgress } from '../../models/progress.ts'
import { createRandom, deriveSeed } from '../../models/random.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { type CalibratedThreshold, calibrateThreshold, LEAST_ROWS } from './calibrate-threshold.ts'
import { calibratedBundle } from './calibrated-bundle.ts'
import { type CalibrationData, calibrationData } from './certificate.ts'
import { freshRows } from './fresh-rows.ts'
import { labelledRows, textsOf } from './labelled-rows.ts'
import { requestCosts } from './request-costs.ts'
import type { Target } from './target.ts'

export interface CalibrateOptions {
  readonly target: Target
  /** a method by name, else the target's default */
  readonly method?: string
  /** overrides of the bundle's prices */
  readonly prices?: ReadonlyMap<string, Price>
  readonly seed: number
  /** ISO 8601 */
  readonly date: string
  /** reports only, writes no version */
  readonly dryRun?: boolean
  /** opens the bundle; tests pass their own */
  readonly openRouter?: (path: string) => Promise<Router>
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

export interface CalibrateResult extends CalibratedThreshold {
  readonly name: string
  readonly data: CalibrationData
  /** absent after a dry run */
  readonly bundle?: WrittenBundle
}

/**
 * Chooses a bundle's threshold on the rows of a log it has not seen, and writes a new version that
 * carries it with its certificate; the version that was read stays as it is.
 */
export async function calibrateBundle(
  path: string,
  dataset: Dataset,
  options: CalibrateOptions,
): Promise<CalibrateResult> {
  const router = await (options.openRouter ?? loadRouter)(path)
  try {
    const { manifest } = router
    const candidates = withPrices(manifest.candidates, options.prices)
    const strong = roleOf(candidates, 'strong')
    const weak = roleOf(candidates, 'weak')
    const labels = pairLabels(dataset, strong.model, weak.model)
    const source = await readBundle(router.path)
    const fresh = freshRows(dataset, labels, await source.dataHashes(), manifest.data.split)
    if (fresh.rows.length < LEAST_ROWS) {
      const known = Object.values(fresh.leftOut).reduce((sum, rows) => sum + rows, 0)
      throw new WeirError('rows_too_few', {
        expected: LEAST_ROWS,
        what: `to calibrate on (${known} more were left out: the router was made from them, or they are kept for its test)`,
        got: fresh.rows.length,
      })
    }
    const score = scorer(router, dataset, labels, options)
    const { rows, reference, setAside } = await withReference(fresh, options, score)
    const prompts = Int32Array.from(rows, (row) => labels.prompt[row]!)
    const costs = requestCosts(dataset, prompts, strong, weak)
    const hashes = Array.from(prompts, (prompt) => dataset.hashes[prompt]!)
    const data = calibrationData(dataset.manifest.sources, hashes, {
      ...fresh.leftOut,
      ...(setAside > 0 && { grid: setAside }),
    })
    const calibrated = calibrateThreshold({
      rows: labelledRows(labels, rows, await score(rows), costs),
      target: options.target,
      ...(options.method && { method: options.method }),
      ...(reference && { reference }),
      ...(costs && { costBasis: costs.basis }),
      seed: options.seed,
      data,
      date: options.date,
    })
    const result = { ...calibrated, name: manifest.name, data }
    if (options.dryRun) return result
    const bundle = await calibratedBundle(source, { ...calibrated, candidates, hashes })
    return { ...result, bundle }
  } finally {
    await router.close()
  }
}

function roleOf(candidates: readonly Candidate[], role: Candidate['role']): Candidate {
  return candidates.find((candidate) => candidate.role === role)!
}

function withPrices(
  candidates: readonly Candidate[],
  prices: ReadonlyMap<string, Price> | undefined,
): Candidate[] {
  for (const model of prices?.keys() ?? []) {
    if (!candidates.some((candidate) => candidate.model === model)) {
      const known = candidates.map((candidate) => candidate.model)
      throw new WeirError('option_invalid', {
        option: '--price',
        expected: `one of ${known.join(', ')}`,
        got: model,
      })
    }
  }
  return candidates.map((candidate) => {
    const price = prices?.get(candidate.model)
    return price ? { ...candidate, price } : candidate
  })
}

/** Rows scored at a time, so that a long log shows progress and can be stopped. */
const BATCH = 512

type Scorer = (rows: Int32Array) => Promise<Float64Array>

function scorer(
  router: Router,
  dataset: Dataset,
  labels: PairLabels,
  { signal, onProgress }: CalibrateOptions,
): Scorer {
  return async (rows) => {
    const texts = textsOf(dataset, labels, rows)
    const winRate = new Float64Array(rows.length)
    for (let at = 0; at < texts.length; at += BATCH) {
      const scores = await router.score(texts.slice(at, at + BATCH), signal)
      winRate.set(scores.winRate, at)
      onProgress?.({ stage: 'scoring', done: at + scores.winRate.length, total: texts.length })
    }
    return winRate
  }
}

/** A grid needs scores whose outcomes play no part: the router's validation rows, else rows set aside. */
const LEAST_REFERENCE = 100
const SET_ASIDE = 0.1
const MOST_SET_ASIDE = 500

async function withReference(
  fresh: { readonly rows: Int32Array; readonly validation: Int32Array },
  { target, seed }: CalibrateOptions,
  score: Scorer,
): Promise<{ rows: Int32Array; reference?: Float64Array; setAside: number }> {
  const sequential = 'confidence' in target && target.confidence !== undefined
  if (!sequential) return { rows: fresh.rows, setAside: 0 }
  if (fresh.validation.length >= LEAST_REFERENCE) {
    return { rows: fresh.rows, reference: await score(fresh.validation), setAside: 0 }
  }
  const shuffled = createRandom(deriveSeed(seed, 'grid')).shuffle(fresh.rows.slice())
  const wanted = Math.min(MOST_SET_ASIDE, Math.round(shuffled.length * SET_ASIDE))
  const setAside = Math.max(1, wanted)
  return {
    rows: shuffled.subarray(setAside).sort(),
    reference: await score(shuffled.subarray(0, setAside)),
    setAside,
  }
}
