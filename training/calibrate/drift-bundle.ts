import Value from 'typebox/value'
import { WeirError } from '../../core/errors.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { Manifest } from '../../models/bundle/manifest.ts'
import { type Bundle, readBundle } from '../../models/bundle/read.ts'
import type { WrittenBundle } from '../../models/bundle/write.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { embedAll, scoreAll, type Watch } from '../evaluate/log/router-scores.ts'
import { seenPart } from '../evaluate/log/unseen-rows.ts'
import { calibratedBundle } from './calibrated-bundle.ts'
import { Certificate } from './certificate.ts'
import { LEAST_ROWS } from './rows.ts'
import { type DriftReport, measureDrift } from './shift/drift.ts'
import { quantiles } from './shift/two-sample.ts'

export interface DriftOptions extends Watch {
  /** a log that contains the calibration prompts, for the test on embeddings */
  readonly reference?: Dataset
  readonly seed: number
  /** writes a version whose threshold gives the calibrated share on recent traffic */
  readonly recalibrate?: { readonly date: string; readonly sources: RecentSources }
  readonly openRouter?: (path: string) => Promise<Router>
}

type RecentSources = readonly { path: string; sha256: string; rows: number }[]

export interface DriftResult extends DriftReport {
  readonly name: string
  readonly bundle?: WrittenBundle
}

/** Compares recent prompts with those that a bundle was calibrated on. Needs no outcomes. */
export async function driftOfBundle(
  path: string,
  prompts: readonly string[],
  options: DriftOptions,
): Promise<DriftResult> {
  if (prompts.length < LEAST_ROWS) {
    throw new WeirError('rows_too_few', {
      expected: LEAST_ROWS,
      what: 'of recent traffic',
      got: prompts.length,
    })
  }
  const router = await (options.openRouter ?? loadRouter)(path)
  try {
    const { manifest } = router
    const certificate = certificateOf(manifest, path)
    const source = await readBundle(router.path)
    const { winRate } = await scoreAll(router, prompts, options)
    const known = options.reference && (await calibrationPrompts(source, options.reference))
    const report = await measureDrift(
      {
        quantiles: certificate.win_rate_quantiles,
        rows: certificate.unlabelled_n ?? certificate.n,
        threshold: manifest.threshold.value,
        share: certificate.expected.share.value,
        ...(known && { embeddings: await embedAll(router, known, options) }),
      },
      { winRate, ...(known && { embeddings: await embedAll(router, prompts, options) }) },
      options.seed,
      options.signal,
    )
    const result = { name: manifest.name, ...report }
    if (!options.recalibrate) return result
    return {
      ...result,
      bundle: await recalibrated(source, certificate, report, winRate, options.recalibrate),
    }
  } finally {
    await router.close()
  }
}

function certificateOf({ threshold }: Manifest, path: string): Certificate {
  if (Value.Check(Certificate, threshold.certificate)) return threshold.certificate
  throw new WeirError('not_calibrated', { path })
}

/** The prompts of a log that this bundle was calibrated on, found by their hashes. */
async function calibrationPrompts(source: Bundle, dataset: Dataset): Promise<string[]> {
  const seen = await source.dataHashes()
  const prompts = dataset.prompts.filter((_, i) => seenPart(dataset, i, seen) === 'calibration')
  if (prompts.length >= LEAST_ROWS) return prompts
  throw new WeirError('rows_too_few', {
    expected: LEAST_ROWS,
    what: 'of --reference that the bundle was calibrated on',
    got: prompts.length,
  })
}

/** The new version promises only a share: a bound on quality does not survive a shift without new outcomes. */
function recalibrated(
  source: Bundle,
  certificate: Certificate,
  { recalibrated: { threshold, share }, rows }: DriftReport,
  winRate: Float64Array,
  { date, sources }: NonNullable<DriftOptions['recalibrate']>,
): Promise<WrittenBundle> {
  const { bound: _, tested: __, probability: ___, ...kept } = certificate
  const expected = { share }
  return calibratedBundle(source, {
    threshold,
    expected,
    certificate: {
      ...kept,
      target: { kind: 'strong-share', share: certificate.expected.share.value },
      method: 'quantile',
      promise: 'estimate',
      assumptions: [`recalibrated on ${rows} unlabelled prompts after a drift`],
      expected,
      unlabelled_n: rows,
      win_rate_quantiles: quantiles(winRate, certificate.win_rate_quantiles.length),
      data: {
        sources: [...sources],
        sha256: certificate.data?.sha256 ?? '',
        left_out: {},
      },
      date,
    },
    candidates: source.manifest.candidates,
    hashes: [],
    map: source.manifest.calibration,
  })
}
