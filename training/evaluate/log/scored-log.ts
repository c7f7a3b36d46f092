import { WeirError } from '../../../core/errors.ts'
import type { OnProgress } from '../../../core/progress.ts'
import { LEAST_HUMAN_LABELS } from '../../../core/stats/judged-mean.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { unratedAnswers } from '../../../data/dataset/manifest.ts'
import { countEvidence, evidenceOf, type PairLabels, pairLabels } from '../../../data/pair.ts'
import {
  type Candidate,
  isBlunt,
  RESPONSE_ASSUMPTION,
  roleOf,
} from '../../../models/bundle/manifest.ts'
import type { ModelPair } from '../../../models/bundle/with-pair.ts'
import type { EncoderAccess } from '../../../models/encoders/openai/access.ts'
import type { Price } from '../../../models/prices.ts'
import { wholeText } from '../../../models/reading/recipe.ts'
import type { Router } from '../../../models/router.ts'
import { correctedPrompts, judgedPair } from '../../ope/corrected-judge.ts'
import { withJudgedEstimates } from '../../ope/judged-estimates.ts'
import { withPairEstimates } from '../../ope/pair-estimates.ts'
import { type SingleEvidence, singleEvidence } from '../../ope/sensitivity.ts'
import type { ReferenceRows } from '../baselines/category-prior.ts'
import type { EvaluationLabels } from '../metrics/labels.ts'
import { modelOf, type NamedRouter, pairOf } from './bundle-set.ts'
import { type RequestCosts, requestCosts } from './request-costs.ts'
import { scoreAll } from './router-scores.ts'
import { type LeftOut, type UnseenRows, unseenRows } from './unseen-rows.ts'

export interface ScoreLogOptions extends Partial<ModelPair> {
  /** seed of the folds in which missing answers are estimated */
  readonly seed: number
  readonly prices?: ReadonlyMap<string, Price> | undefined
  readonly latency?: boolean | undefined
  /** where encoders of the bundles may send prompts */
  readonly encoderAccess?: EncoderAccess | undefined
  /** public keys of which one must have signed every bundle */
  readonly signers?: readonly string[] | undefined
  /** SHA-256 of the file that each of the dataset's prompts comes from, if known */
  readonly sources?: readonly (string | undefined)[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** A router's win rates on the evaluated prompts, in their order. */
export interface ScoredRouter {
  readonly name: string
  readonly winRate: ArrayLike<number>
  readonly threshold?: { readonly value: number; readonly source: 'default' | 'calibrated' }
  readonly latency?: LatencyReport | undefined
}

/** Latency of one prompt at a time, encoder included, on the machine of the evaluation. */
export interface LatencyReport {
  readonly prompts: number
  readonly p50_ms: number
  readonly p99_ms: number
  /** the cost of running the router, from its CPU time at the stated price of a core */
  readonly dollars_per_1k: number
  readonly core_hour_usd: number
}

/** The rows of a log that no router has seen, with every router's win rates on them. */
export interface ScoredLog {
  readonly pair: ModelPair
  /** indices into the dataset's prompts, ascending; all arrays below are in this order */
  readonly rows: Int32Array
  readonly prompts: readonly string[]
  readonly categories: readonly (string | undefined)[]
  readonly labels: EvaluationLabels
  /** what is known of the prompts that only one model answered */
  readonly singles: SingleEvidence | undefined
  readonly costs: RequestCosts | undefined
  readonly routers: readonly ScoredRouter[]
  /** rows that the routers were trained on, for baselines that learn */
  readonly reference: ReferenceRows | undefined
  readonly leftOut: LeftOut
  readonly warnings: readonly string[]
}

/** Minimum number of unseen prompts: with fewer, intervals would be meaninglessly wide. */
const MIN_UNSEEN_ROWS = 50
/** If the log has fewer training rows than this, learned baselines learn out of fold. */
const MIN_REFERENCE_ROWS = 200
/** Maximum number of rows for learned baselines: more improve them little and take time. */
const MAX_REFERENCE_ROWS = 15_000

/**
 * Where only one model answered most prompts, the missing scores are estimated from the whole log and from the
 * routers' win rates.
 *
 * @throws rows_too_few if too few rows are left after leaving out those the routers saw; overlap_missing
 */
export async function scoreLog(
  bundles: readonly NamedRouter[],
  log: Dataset,
  options: ScoreLogOptions,
): Promise<ScoredLog> {
  const pair = pairOf(bundles, options)
  const estimated = await withPairEstimates(log, pair, options)
  const known = pairLabels(estimated, pair.strong, pair.weak)
  const unseen = judgedRows(bundles, estimated, known, options, (left) =>
    left ? `that no router has seen (left out: ${left})` : 'to evaluate on',
  )
  const candidates = Int32Array.from(unseen.rows, (row) => known.prompt[row]!)
  const texts = Array.from(candidates, (prompt) => estimated.prompts[prompt]!)
  const scored: ScoredRouter[] = []
  for (const bundle of bundles) scored.push(await scoredRouter(bundle, texts, options))
  const dataset = await withJudgedEstimates(
    estimated,
    { prompts: candidates, winRates: scored.map(({ winRate }) => winRate) },
    options.seed,
  )
  const labels = pairLabels(dataset, pair.strong, pair.weak)
  const { rows, places } = rowsOfPrompts(labels, candidates)
  const chosen = Int32Array.from(places, (at) => candidates[at]!)
  const byPeople = correctedLabels(dataset, pair, chosen)
  return {
    pair,
    rows: chosen,
    prompts: Array.from(places, (at) => wholeText(texts[at]!)),
    categories: Array.from(chosen, (prompt) => dataset.categories[prompt]),
    labels: byPeople?.labels ?? labelsOf(labels, rows),
    singles: singleEvidence(dataset, chosen, pair.strong),
    costs: costsOf(dataset, chosen, bundles, pair, options.prices),
    routers: scored.map(({ winRate, ...router }) => ({
      ...router,
      winRate: Float64Array.from(places, (at) => winRate[at]!),
    })),
    reference: referenceRows(estimated, known, unseen.trained),
    leftOut: unseen.leftOut,
    warnings: [
      ...notesOn(bundles, pair, unseen.leftOut),
      ...evidenceNotes(dataset, pair),
      ...(byPeople?.notes ?? []),
    ],
  }
}

/**
 * The label of each prompt that has one: indices into the labels, and into the given prompts.
 *
 * @param prompts indices into the dataset's prompts
 */
export function rowsOfPrompts(
  { prompt }: Pick<PairLabels, 'prompt'>,
  prompts: Int32Array,
): { readonly rows: Int32Array; readonly places: Int32Array } {
  const row = new Map(Array.from(prompt, (of, at) => [of, at]))
  const places = Int32Array.from(prompts.keys()).filter((at) => row.has(prompts[at]!))
  return { rows: places.map((at) => row.get(prompts[at]!)!), places }
}

async function scoredRouter(
  { name, router }: NamedRouter,
  prompts: readonly string[],
  options: ScoreLogOptions,
): Promise<ScoredRouter> {
  const { winRate } = await scoreAll(router, prompts, options, `scoring with ${name}`)
  const { value, source } = router.manifest.threshold
  return {
    name,
    winRate,
    threshold: { value, source },
    ...(options.latency && { latency: await measureLatency(router, prompts, options.signal) }),
  }
}

/** Labels of a judge that people's labels on the same prompts correct, and what to know of them. */
function correctedLabels(
  dataset: Dataset,
  pair: ModelPair,
  prompts: Int32Array,
): { readonly labels?: EvaluationLabels; readonly notes: readonly string[] } | undefined {
  const judged = judgedPair(dataset, pair)
  if (!judged) return undefined
  const { values, labels, weights } = { weights: undefined, ...correctedPrompts(judged, prompts) }
  if (!values) {
    return {
      notes: [
        `people labelled ${labels} of these prompts (${LEAST_HUMAN_LABELS} are needed): figures are what the judge’s verdicts let one expect, and not corrected`,
      ],
    }
  }
  return {
    labels: { y: values, estimated: new Uint8Array(values.length).fill(1) },
    notes: [
      `the judge is corrected by ${labels} labels of people on these prompts (prediction-powered): right on average whatever the judge, if who was labelled is chance`,
      ...(weights?.some((one) => one !== weights[0])
        ? [
            'prompts were drawn with different chances, or stand for several requests: every prompt counts 1 here (weir grade --router weighs them)',
          ]
        : []),
    ],
  }
}

/** The labels of some rows. Scores are included if any of them has both; prompts with votes only have NaN. */
export function labelsOf(
  { label, strong, weak, estimated }: PairLabels,
  rows: ArrayLike<number>,
): EvaluationLabels {
  const take = (values: Float32Array) => Float32Array.from(rows, (row) => values[row]!)
  const y = take(label)
  if (!strong || !weak) return { y }
  const both = { strong: take(strong), weak: take(weak) }
  if (both.strong.every(Number.isNaN)) return { y }
  const marks = estimated && Uint8Array.from(rows, (row) => estimated[row]!)
  return { y, ...both, ...(marks?.includes(1) && { estimated: marks }) }
}

/** What the figures leave out or rest on, if only one model answered some prompts. */
export function evidenceNotes(dataset: Dataset, pair: ModelPair): string[] {
  return [...unratedNotes(dataset), ...singleNotes(dataset, pair)]
}

/** What is assumed where only some answers were rated. */
function unratedNotes({ manifest, estimates }: Dataset): string[] {
  const count = (value: number): string => value.toLocaleString('en-US')
  const response = estimates?.summary.response
  if (response) {
    const all = response.rated + response.unrated
    return [
      `only ${count(response.rated)} of ${count(all)} prompts with one answer have a rating (so far): figures are of all of them, because each rating stands for the answers like it (who rates is estimated: AUC ${response.auc.toFixed(2)}, least probability ${response.least.toPrecision(2)}); they ${RESPONSE_ASSUMPTION}`,
    ]
  }
  const unrated = unratedAnswers(manifest)
  if (unrated === 0) return []
  const rated = manifest.rows.kept + manifest.rows.duplicates
  return [
    `only ${count(rated)} of the log’s ${count(rated + unrated)} answers were rated (so far): figures are of the rated ones, and hold for all if whether an answer is rated does not depend on its prompt or on how good it is`,
  ]
}

function singleNotes(dataset: Dataset, { strong, weak }: ModelPair): string[] {
  if (!dataset.estimates) {
    const { strong_only, weak_only } = countEvidence(evidenceOf(dataset, strong, weak))
    const single = strong_only + weak_only
    return single > 0
      ? [
          `${single.toLocaleString('en-US')} prompts that only one of the two models answered are not used`,
        ]
      : []
  }
  const { summary } = dataset.estimates
  const { used, propensities, excluded, regions } = summary
  return [
    `${used.toLocaleString('en-US')} prompts of the log were answered by one of the two models only: what the other would have scored is estimated (doubly robust, propensities ${propensities})${propensities === 'logged' ? '' : ', which assumes that nothing outside the log decided both who was asked and how well it answered'}`,
    ...(isBlunt(summary)
      ? [
          `propensities had to be estimated and who was asked depends much on the prompt (AUC ${summary.propensity_auc.toFixed(2)}): figures may be off by more than their intervals say; log propensities, or let chance decide more`,
        ]
      : []),
    ...(excluded > 0
      ? [
          `no figure covers ${excluded.toLocaleString('en-US')} prompts without overlap: ${regions.join('; ')}`,
        ]
      : []),
  ]
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
    prompts: rows.map((row) => wholeText(dataset.prompts[labels.prompt[row]!]!)),
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
      const known = roleOf(router.manifest.candidates, role)
      const price = prices?.get(pair[role])
      return { ...known, model: pair[role], ...(price && { price }) }
    }
    const costs = requestCosts(dataset, chosen, candidate('strong'), candidate('weak'))
    if (costs) return costs
  }
  return undefined
}

/**
 * The rows that none of the routers has seen.
 *
 * @param words what a row must have, given why others were left out, for `rows_too_few`
 */
export function judgedRows(
  bundles: readonly NamedRouter[],
  dataset: Dataset,
  labels: Pick<PairLabels, 'prompt'>,
  { sources }: Pick<ScoreLogOptions, 'sources'>,
  words: (leftOut: string) => string,
): UnseenRows {
  const unseen = unseenRows(dataset, labels, bundles, sources)
  const got = unseen.rows.length
  if (got >= MIN_UNSEEN_ROWS) return unseen
  const what = words(describeLeftOut(unseen.leftOut))
  throw new WeirError('rows_too_few', { expected: MIN_UNSEEN_ROWS, what, got })
}

const WARM_UP = 10
const MEASURED = 200
const MOST_MS = 5_000
/** US dollars per hour of one core, roughly what clouds charge for small machines */
const CORE_HOUR_USD = 0.04

/** Scores one prompt at a time, as a server does, encoder included; takes at most five seconds. */
async function measureLatency(
  router: Pick<Router, 'score'>,
  prompts: readonly string[],
  signal?: AbortSignal,
): Promise<LatencyReport> {
  const step = Math.max(1, Math.floor(prompts.length / MEASURED))
  const chosen = prompts.filter((_, i) => i % step === 0).slice(0, MEASURED)
  for (const prompt of chosen.slice(0, WARM_UP)) await router.score([prompt], signal)
  const times: number[] = []
  const cpu = process.cpuUsage()
  const started = performance.now()
  for (const prompt of chosen) {
    const from = performance.now()
    await router.score([prompt], signal)
    times.push(performance.now() - from)
    if (performance.now() - started > MOST_MS) break
  }
  const used = process.cpuUsage(cpu)
  const sorted = times.sort((a, b) => a - b)
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
  const cpuHours = (used.user + used.system) / 1e6 / 3600 / sorted.length
  return {
    prompts: sorted.length,
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    dollars_per_1k: cpuHours * CORE_HOUR_USD * 1000,
    core_hour_usd: CORE_HOUR_USD,
  }
}

/** What a reader must know about the routers and the log to interpret the figures. */
function notesOn(bundles: readonly NamedRouter[], pair: ModelPair, leftOut: LeftOut): string[] {
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
    reserved: 'that its split rule does not keep for the test',
  }
  return Object.entries(leftOut)
    .filter(([, rows]) => rows > 0)
    .map(([part, rows]) => `${rows.toLocaleString('en-US')} ${why[part as keyof LeftOut]}`)
    .join(', ')
}
