import type { Dataset } from '../../data/dataset.ts'
import { type PairLabels, pairLabels } from '../../data/pair.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { WeirError } from '../../models/errors.ts'
import type { Price } from '../../models/prices.ts'
import type { OnProgress } from '../../models/progress.ts'
import { type RequestCosts, requestCosts } from '../calibrate/request-costs.ts'
import {
  closeBundles,
  type ModelPair,
  modelOf,
  type NamedRouter,
  openBundles,
  pairOf,
} from './bundle-set.ts'
import type { ReferenceRows } from './category-prior.ts'
import { evaluateRouters, type ScoredRouter } from './evaluate-routers.ts'
import type { EvaluationLabels } from './labels.ts'
import type { EvaluationReport, Provenance } from './report.ts'
import { measureLatency } from './router-latency.ts'
import { type LeftOut, unseenRows } from './unseen-rows.ts'

export interface BundleEvaluationOptions extends Partial<ModelPair> {
  readonly seed: number
  readonly replicates?: number | undefined
  readonly prices?: ReadonlyMap<string, Price> | undefined
  /** which of the dataset's prompts come from where, by prompt index */
  readonly sources?: readonly (string | undefined)[] | undefined
  readonly details?: boolean | undefined
  readonly latency?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Fewer unseen prompts than this are refused: no interval on them would say anything. */
const MIN_UNSEEN_ROWS = 50
/** Learned baselines learn out of fold where fewer training rows than this are in the log. */
const MIN_REFERENCE_ROWS = 200
/** More add little to a baseline and cost its time. */
const MAX_REFERENCE_ROWS = 15_000
const BATCH = 512

/** Bundles side by side on the prompts of a log that none of them has seen. */
export async function evaluateBundles(
  paths: readonly string[],
  dataset: Dataset,
  options: BundleEvaluationOptions,
): Promise<EvaluationReport> {
  const bundles = await openBundles(paths)
  try {
    const pair = pairOf(bundles, options)
    const labels = pairLabels(dataset, pair.strong, pair.weak)
    const { rows, trained, leftOut } = unseenRows(dataset, labels, bundles)
    if (rows.length < MIN_UNSEEN_ROWS) throw tooFew(rows.length, leftOut)
    const chosen = Int32Array.from(rows, (row) => labels.prompt[row]!)
    const prompts = Array.from(chosen, (prompt) => dataset.prompts[prompt]!)
    const costs = costsOf(dataset, chosen, bundles, pair, options.prices)
    const routers: ScoredRouter[] = []
    for (const bundle of bundles) routers.push(await scoredRouter(bundle, prompts, options))
    const report = await evaluateRouters({
      ...options,
      routers,
      prompts,
      labels: labelsOf(labels, rows),
      categories: Array.from(chosen, (prompt) => dataset.categories[prompt]),
      groupings: options.sources
        ? [{ by: 'source', names: Array.from(chosen, (prompt) => options.sources![prompt]) }]
        : [],
      pair,
      spend: costs && { ...costs, origin: costs.basis === LOGGED ? 'logged' : 'estimated' },
      reference: referenceRows(dataset, labels, trained),
      warnings: warningsOf(bundles, pair, leftOut),
    })
    return { ...report, provenance: provenanceOf(bundles, dataset, leftOut, costs) }
  } finally {
    await closeBundles(bundles)
  }
}

const LOGGED = 'dollars as logged'

async function scoredRouter(
  { name, router }: NamedRouter,
  prompts: readonly string[],
  { signal, onProgress, latency }: BundleEvaluationOptions,
): Promise<ScoredRouter> {
  const winRate = new Float64Array(prompts.length)
  for (let at = 0; at < prompts.length; at += BATCH) {
    const scores = await router.score(prompts.slice(at, at + BATCH), signal)
    winRate.set(scores.winRate, at)
    const done = at + scores.winRate.length
    onProgress?.({ stage: `scoring with ${name}`, done, total: prompts.length })
  }
  const { value, source } = router.manifest.threshold
  return {
    name,
    winRate,
    threshold: { value, source },
    ...(latency && { latency: await measureLatency(router, prompts, signal) }),
  }
}

/** The scores only where every row has both: a prompt known from votes alone has none. */
function labelsOf({ label, strong, weak }: PairLabels, rows: Int32Array): EvaluationLabels {
  const take = (values: Float32Array) => Float32Array.from(rows, (row) => values[row]!)
  const y = take(label)
  if (!strong || !weak) return { y }
  const both = { strong: take(strong), weak: take(weak) }
  return both.strong.some(Number.isNaN) ? { y } : { y, ...both }
}

function referenceRows(
  dataset: Dataset,
  labels: PairLabels,
  trained: Int32Array,
): ReferenceRows | undefined {
  if (trained.length < MIN_REFERENCE_ROWS) return undefined
  const step = Math.max(1, trained.length / MAX_REFERENCE_ROWS)
  const length = Math.floor(trained.length / step)
  const rows = Array.from({ length }, (_, i) => trained[Math.floor(i * step)]!)
  return {
    prompts: rows.map((row) => dataset.prompts[labels.prompt[row]!]!),
    categories: rows.map((row) => dataset.categories[labels.prompt[row]!]),
    y: rows.map((row) => labels.label[row]!),
  }
}

/** Costs by the first bundle that has prices for both models, under the log's names for them. */
function costsOf(
  dataset: Dataset,
  chosen: Int32Array,
  bundles: readonly NamedRouter[],
  pair: ModelPair,
  prices: ReadonlyMap<string, Price> | undefined,
): RequestCosts | undefined {
  for (const { router } of bundles) {
    const candidate = (role: 'strong' | 'weak'): Candidate => {
      const known = router.manifest.candidates.find((candidate) => candidate.role === role)!
      const price = prices?.get(pair[role])
      return { ...known, model: pair[role], ...(price && { price }) }
    }
    const costs = requestCosts(dataset, chosen, candidate('strong'), candidate('weak'))
    if (costs) return costs
  }
  return undefined
}

function warningsOf(bundles: readonly NamedRouter[], pair: ModelPair, leftOut: LeftOut): string[] {
  const left = describeLeftOut(leftOut)
  return [
    ...(left ? [`left out: ${left}`] : []),
    ...bundles
      .filter(
        ({ router }) =>
          modelOf(router, 'strong') !== pair.strong || modelOf(router, 'weak') !== pair.weak,
      )
      .map(
        ({ name, router }) =>
          `${name} was trained to choose between ${modelOf(router, 'strong')} and ${modelOf(router, 'weak')}`,
      ),
    ...bundles
      .filter(({ seen }) => seen.size === 0)
      .map(
        ({ name }) => `${name} doesn't say what it was trained on: it may have seen these prompts`,
      ),
  ]
}

function describeLeftOut(leftOut: LeftOut): string {
  const why = {
    train: 'rows that a router was trained on',
    validation: 'it was validated on',
    calibration: 'it was calibrated on',
    reserved: 'of its own log that are not test rows',
  }
  return Object.entries(leftOut)
    .filter(([, rows]) => rows > 0)
    .map(([part, rows]) => `${rows.toLocaleString('en-US')} ${why[part as keyof LeftOut]}`)
    .join(', ')
}

function tooFew(got: number, leftOut: LeftOut): WeirError {
  const left = describeLeftOut(leftOut)
  return new WeirError('rows_too_few', {
    expected: MIN_UNSEEN_ROWS,
    what: left ? `that no router has seen (left out: ${left})` : 'to evaluate on',
    got,
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
