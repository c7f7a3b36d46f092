import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { Price } from '../../models/prices.ts'
import { withPrices } from '../calibrate/candidate-prices.ts'
import { closeBundles, type NamedRouter, openBundles } from '../evaluate/log/bundle-set.ts'
import { describeLeftOut } from '../evaluate/log/scored-log.ts'
import { type LeftOut, unseenRows } from '../evaluate/log/unseen-rows.ts'
import { type ChoiceReport, choiceReport } from './choice-report.ts'
import { completePrompts, expectedCosts, logTable, scoreQualities } from './log-table.ts'

export interface ReportOptions {
  readonly prices?: ReadonlyMap<string, Price> | undefined
  readonly replicates?: number | undefined
  readonly seed: number
  /** SHA-256 of the file that each of the dataset's prompts comes from, where it is known */
  readonly sources?: readonly (string | undefined)[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface ChoiceReports {
  readonly routers: readonly ChoiceReport[]
  readonly left_out: LeftOut
  readonly warnings: readonly string[]
}

const LEAST_ROWS = 50

/**
 * Routers that choose among many models, side by side on the prompts of a log that none of them has seen and of
 * which every candidate's outcome is known.
 *
 * @throws rows_too_few, model_unknown, calibration_needs, bundle_invalid where a bundle decides between a pair only
 */
export async function reportBundles(
  paths: readonly string[],
  dataset: Dataset,
  options: ReportOptions,
): Promise<ChoiceReports> {
  const bundles = await openBundles(paths)
  try {
    const models = bundles.flatMap(({ router }) => router.manifest.candidates.map((c) => c.model))
    const complete = completePrompts(dataset, [...new Set(models)])
    const labels = { prompt: complete }
    const { rows, leftOut } = unseenRows(dataset, labels, bundles, options.sources)
    if (rows.length < LEAST_ROWS) {
      const left = describeLeftOut(leftOut)
      const what = `with every candidate's outcome, unseen by the router${left ? ` (left out: ${left})` : ''}`
      throw new WeirError('rows_too_few', { expected: LEAST_ROWS, what, got: rows.length })
    }
    const prompts = Int32Array.from(rows, (row) => complete[row]!)
    const routers: ChoiceReport[] = []
    for (const bundle of bundles) routers.push(await reportOne(bundle, dataset, prompts, options))
    const partly = dataset.prompts.length - complete.length
    return {
      routers,
      left_out: leftOut,
      warnings:
        partly > 0
          ? [`${partly} prompts of the log lack an outcome of some candidate and tell nothing here`]
          : [],
    }
  } finally {
    await closeBundles(bundles)
  }
}

async function reportOne(
  { name, path, router }: NamedRouter,
  dataset: Dataset,
  prompts: Int32Array,
  options: ReportOptions,
): Promise<ChoiceReport> {
  const { choice, candidates: own } = router.manifest
  if (!choice) {
    const reason = 'it decides between a pair of models; expected one trained with --models'
    throw new WeirError('bundle_invalid', { path, reason })
  }
  const candidates = withPrices(own, options.prices)
  const texts = Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
  const quality = await scoreQualities(router, texts, options)
  return choiceReport({
    name,
    candidates,
    choice,
    table: logTable(dataset, prompts, candidates),
    expected: { quality, costs: expectedCosts(candidates, texts) },
    replicates: options.replicates,
    seed: options.seed,
    signal: options.signal,
    onProgress: options.onProgress,
  })
}
