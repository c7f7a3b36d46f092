import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { evaluateRouters } from './evaluate-routers.ts'
import { type FrontierReport, frontierReport } from './frontier/frontier-report.ts'
import { closeBundles, type NamedRouter, openBundles } from './log/bundle-set.ts'
import { completePrompts, expectedCosts, logTable } from './log/model-table.ts'
import type { Grouping } from './log/prompt-origins.ts'
import { LOGGED_DOLLARS, type RequestCosts, withPrices } from './log/request-costs.ts'
import { scoreQualities } from './log/router-scores.ts'

import { judgedRows, type ScoreLogOptions, scoreLog } from './log/scored-log.ts'
import type { LeftOut } from './log/unseen-rows.ts'
import type { EvaluationReport, Provenance, RouterReport } from './report/report.ts'
import { conversationGroupings } from './report/slices.ts'
import { measureRobustness, type RobustnessReport } from './robustness/robustness.ts'

export interface EvaluateOptions extends ScoreLogOptions {
  readonly seed: number
  readonly replicates?: number | undefined
  /** more ways to slice, such as source and time; each has one name per prompt of the dataset */
  readonly groupings?: readonly Grouping[] | undefined
  readonly details?: boolean | undefined
  /**
   * measures how far decisions depend on how a prompt is written: `short` only for routers that answer at once,
   * `long` for all, with a search of suffixes that turn decisions
   */
  readonly robustness?: 'short' | 'long' | undefined
}

/** Evaluations of routers among many models. */
export interface FrontierReports {
  readonly routers: readonly FrontierReport[]
  readonly left_out: LeftOut
  readonly warnings: readonly string[]
}

/** For routers between two models (`'pair' in evaluation`), or for rules among many. */
export type Evaluation = EvaluationReport | FrontierReports

/**
 * Compares bundles on the prompts of a log that none of them has seen. Routers between two models are
 * measured by the part of the quality gap that each strong share recovers. If the first bundle has a rule
 * among many models and no pair is asked for, routers are measured by the quality that each budget buys,
 * compared with single models and their mixtures.
 *
 * @throws rows_too_few, model_unknown, calibration_needs; bundle_invalid if only some bundles have a rule
 */
export async function evaluate(
  paths: readonly string[],
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const bundles = await openBundles(paths, options)
  try {
    const pair = options.strong !== undefined || options.weak !== undefined
    return !pair && bundles[0]?.router.manifest.choice
      ? await frontierReports(bundles, dataset, options)
      : await pairReport(bundles, dataset, options)
  } finally {
    await closeBundles(bundles)
  }
}

async function pairReport(
  bundles: readonly NamedRouter[],
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<EvaluationReport> {
  const log = await scoreLog(bundles, dataset, options)
  const stored = Array.from(log.rows, (prompt) => dataset.prompts[prompt]!)
  const report = await evaluateRouters({
    ...options,
    ...log,
    groupings: [
      ...conversationGroupings(stored),
      ...(options.groupings ?? []).map(({ by, names }) => ({
        by,
        names: Array.from(log.rows, (prompt) => names[prompt]),
      })),
    ],
    spend: log.costs && {
      ...log.costs,
      origin: log.costs.basis === LOGGED_DOLLARS ? 'logged' : 'estimated',
    },
  })
  const gain = Float64Array.from(log.labels.y, (y) => 2 * y - 1)
  const routers: RouterReport[] = []
  for (const [i, router] of report.routers.entries()) {
    const robustness = await robustnessOf(bundles[i]!, stored, gain, options)
    routers.push({ ...router, ...(robustness && { robustness }) })
  }
  return { ...report, routers, provenance: provenanceOf(bundles, dataset, log.leftOut, log.costs) }
}

/** Most prompts that changes are measured on, and what a search of suffixes tries. */
const PERTURBED = { short: 300, long: 1000 } as const
const SEARCH = { candidates: 2000, queries: 200, words: 20 }

async function robustnessOf(
  { name, router }: NamedRouter,
  stored: readonly string[],
  gain: Float64Array,
  { robustness: form, seed, signal, onProgress }: EvaluateOptions,
): Promise<RobustnessReport | undefined> {
  if (form === undefined || (form === 'short' && !router.scoreNow)) return undefined
  const rows = createRandom(deriveSeed(seed, 'robustness'))
    .shuffle([...stored.keys()])
    .slice(0, PERTURBED[form])
  return measureRobustness({
    prompts: rows.map((row) => stored[row]!),
    gain: rows.map((row) => gain[row]!),
    threshold: router.manifest.threshold.value,
    score: async (prompts) => (await router.score(prompts, signal)).winRate,
    seed,
    search: form === 'long' ? SEARCH : undefined,
    signal,
    onProgress: (done, total, note) =>
      onProgress?.({ stage: `robustness of ${name}`, done, total, note }),
  })
}

/** Evaluates on the prompts for which every candidate's outcome is known. */
async function frontierReports(
  bundles: readonly NamedRouter[],
  dataset: Dataset,
  options: EvaluateOptions,
): Promise<FrontierReports> {
  const models = bundles.flatMap(({ router }) => router.manifest.candidates.map((c) => c.model))
  const complete = completePrompts(dataset, [...new Set(models)])
  const { rows, leftOut } = judgedRows(
    bundles,
    dataset,
    { prompt: complete },
    options,
    (left) =>
      `with every candidate's outcome, unseen by the router${left ? ` (left out: ${left})` : ''}`,
  )
  const prompts = Int32Array.from(rows, (row) => complete[row]!)
  const routers: FrontierReport[] = []
  for (const bundle of bundles) routers.push(await ruleReport(bundle, dataset, prompts, options))
  const partly = dataset.prompts.length - complete.length
  return {
    routers,
    left_out: leftOut,
    warnings:
      partly > 0
        ? [`${partly} prompts of the log lack an outcome of some candidate and are not used`]
        : [],
  }
}

async function ruleReport(
  { name, path, router }: NamedRouter,
  dataset: Dataset,
  prompts: Int32Array,
  options: EvaluateOptions,
): Promise<FrontierReport> {
  const { choice, candidates: own } = router.manifest
  if (!choice) {
    const reason = 'it decides between a pair of models; expected one trained with --models'
    throw new WeirError('bundle_invalid', { path, reason })
  }
  const candidates = withPrices(own, options.prices)
  const texts = Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
  const quality = await scoreQualities(router, texts, options)
  return frontierReport({
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

function provenanceOf(
  bundles: readonly NamedRouter[],
  dataset: Dataset,
  leftOut: LeftOut,
  costs: RequestCosts | undefined,
): Provenance {
  return {
    bundles: bundles.map(({ name, path, router: { manifest } }) => ({
      name,
      path,
      version: manifest.version,
      created: manifest.created,
      family: manifest.family.name,
      encoder: manifest.encoder.id,
      trained_on: manifest.data.sources.map(({ path, sha256 }) => ({ path, sha256 })),
    })),
    logs: dataset.manifest.sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
    left_out: leftOut,
    cost_basis: costs?.basis ?? null,
  }
}
