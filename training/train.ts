import { createRequire } from 'node:module'
import { join } from 'node:path'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import { type Dataset, type Split, seenHash } from '../data/dataset/dataset.ts'
import { modelIndex, type PairLabels, pairLabels } from '../data/pair.ts'
import { withWeakOutcomes } from '../data/weak-outcomes.ts'
import type { Candidate } from '../models/bundle/manifest.ts'
import {
  encodeNeighbours,
  encodeNeighbourTexts,
  NEIGHBOURS_FILE,
  NEIGHBOURS_TEXT_FILE,
} from '../models/bundle/neighbours-file.ts'
import type { OodRule } from '../models/bundle/ood-rule.ts'
import { type WrittenBundle, writeBundle } from '../models/bundle/write.ts'
import { textOf } from '../models/encoders/context.ts'
import type { Family, HeadWeights, Pair } from '../models/families/family.ts'
import { scoreLinear } from '../models/families/linear-head.ts'
import type { Price } from '../models/prices.ts'
import { contextName, type Recipe } from '../models/reading/recipe.ts'
import { readTranscript } from '../models/reading/transcript.ts'
import { AUTO, type AutoChoice, type AutoOptions, type AutoRow, chooseFamily } from './auto.ts'
import { between } from './calibrate/candidates.ts'
import { chooseRecipe, type RecipeChoice, readDataset, withContextKeys } from './choose-recipe.ts'
import { type RuleRequest, reportTrainedRule, trainedRule } from './default-rule.ts'
import { checkEfforts, type SharedEfforts } from './efforts.ts'
import { MIN_EVALUATION_ROWS } from './evaluate/evaluate-routers.ts'
import type { FrontierReport } from './evaluate/frontier/frontier-report.ts'
import type { EvaluationReport } from './evaluate/report/report.ts'
import { exportRouter } from './export.ts'
import { fitFallback, needsFallback } from './fallback.ts'
import { type FitRouterOptions, fitRouter } from './fit-router.ts'
import { ratedOnly, withPairEstimates } from './ope/pair-estimates.ts'
import { withPhrases } from './phrases.ts'
import { evaluateOnTest, rowsOfSplit } from './test-report.ts'
import { observedRows } from './trainers/neighbours/neighbour-rows.ts'
import { type EncodedSplit, encodeSplit } from './trainers/splits.ts'
import { type Tuning, tuneRouter } from './tune/tune.ts'

export interface TrainOptions extends FitRouterOptions, AutoOptions {
  /** the folder that bundles are kept in; the new one is `out/name` */
  readonly out: string
  readonly name: string
  readonly prices?: ReadonlyMap<string, Price>
  /** number of settings tried in search of better hyperparameters, the defaults included; 1 means no search */
  readonly tune?: number
  /** which parts of conversations are read; chosen on the train and validation rows if `auto` or absent */
  readonly recipe?: Recipe | 'auto'
  /** keys of declared context that the router reads, such as `tier` or `size:number` */
  readonly context?: readonly string[]
  /** chooses among all of the dataset's models, by this rule */
  readonly choice?: RuleRequest
  /** also learns from the scores of weak signals (`gateway.weak_signals`), on train and validation prompts */
  readonly weakSignals?: boolean
  /** what happens to prompts that are unlike the training prompts; only their features are clipped by default */
  readonly ood?: OodRule
  /** adds courtesies and roles to half of the train prompts, so that they turn fewer decisions */
  readonly phrases?: boolean
  /** stores the start of each prompt with a head that looks up training prompts, for `explain` */
  readonly keepText?: boolean
}

export interface TrainResult {
  readonly bundle: WrittenBundle
  readonly report: EvaluationReport
  readonly backend: string
  /** what the rule among many models achieves on the held-out prompts that all models answered */
  readonly choice?: FrontierReport
  /** which parts of conversations the router reads, and how the recipes compared */
  readonly reading: RecipeChoice
  /** how the families compared, for `--router auto` */
  readonly auto?: AutoChoice
  /** how the efforts of each model share what they learn */
  readonly efforts?: readonly SharedEfforts[]
  /** the searches of `tune`, one per family */
  readonly tuned?: readonly Tuning[]
  /** true if the signal ended the fitting early */
  readonly stopped?: boolean
  /** epochs of a killed run that this run resumed after */
  readonly resumedAfter?: number
}

/** Minimum number of prompts with both models observed, per split. */
const MIN_SPLIT_ROWS = { train: 50, validation: 10, test: MIN_EVALUATION_ROWS } as const
const PROBES = 256

/**
 * Turns a dataset into a bundle: fits encoder and head on train, stops on validation, evaluates on test, exports.
 * Where only one model answered most prompts, the heads learn from every answer, and validation and test use
 * estimates of the missing scores.
 */
export async function train(log: Dataset, given: TrainOptions): Promise<TrainResult> {
  // the search, the comparison and the last fit learn from the same train prompts
  const options: TrainOptions = { fitted: new Map(), ...given }
  const started = performance.now()
  const stored = await withPairEstimates(log, options, options)
  checkContext(stored, options.context)
  // what weak signals say is learned from, and judges nothing
  const learned = ratedOnly(options.weakSignals ? withWeakOutcomes(stored) : stored)
  const labels = checkedLabels(learned, options)
  await checkEfforts(stored, options.efforts ?? [], {
    several: options.choice !== undefined,
    router: options.router,
  })
  const reading =
    typeof options.recipe === 'object'
      ? { recipe: withContextKeys(options.recipe, options.context) }
      : await chooseRecipe(learned, options, options.context, options.router === AUTO)
  const { recipe } = reading
  const read = readDataset(learned, recipe)
  const dataset = options.phrases ? withPhrases(read, options.seed) : read
  const { tune = 1 } = options
  const auto =
    options.router === AUTO ? await chooseFamily(dataset, { ...options, started }, tune) : undefined
  const router = auto?.family ?? options.router
  const tuned = auto?.tuned ?? (tune > 1 ? [await tuneRouter(dataset, options, tune)] : [])
  const found = tuned.find(({ family }) => family === router)
  const searchStopped = auto?.stopped || found?.stopped
  const checkpoint = join(options.out, `.${options.name}.checkpoint`)
  // Ctrl-C ended the search or the fitting: the best so far is still fitted, evaluated and written
  const { signal: _, ...unwatched } = options
  const fitted = await fitRouter(dataset, {
    ...(searchStopped ? unwatched : options),
    // encoders that were fitted beside the one that was given are not the chosen one's
    ...(auto?.encoder && { ...auto.encoder, fitted: new Map() }),
    router,
    checkpoint,
    hyperparameters: { ...found?.settings, ...options.hyperparameters },
  })
  const stopped = searchStopped || fitted.stopped
  const rest: TrainOptions = stopped ? unwatched : options
  const { encoder, family, pair, weights } = fitted
  const validated = family.forward(fitted.heldOut ?? weights, pair, fitted.validation.embeddings)
  const threshold = middleThreshold(validated.winRate)
  const many =
    options.choice &&
    trainedRule(
      stored,
      options.choice,
      { prompts: fitted.validation.prompts, scores: validated },
      { ...options, router },
    )
  const fallback = needsFallback(encoder.encoder.spec)
    ? await fitFallback(dataset, {
        labels,
        winRate: validated.winRate,
        validation: fitted.validation.prompts,
        signal: rest.signal,
        onProgress: rest.onProgress,
      })
    : undefined
  const exported = await exportRouter({
    family,
    weights,
    pair,
    encoder,
    probes: (await encoder.encoder.encode(probePrompts(dataset))).embeddings,
    threshold,
    seen: {
      train: hashesOf(stored, fitted.train),
      validation: hashesOf(stored, fitted.validation),
    },
  })
  const test = await encodeSplit(readDataset(stored, recipe), 'test', encoder.encoder, rest.signal)
  const scored = exported.linear
    ? scoreLinear(exported.linear, test.embeddings)
    : family.forward(weights, pair, test.embeddings)
  const { report, curve } = await evaluateOnTest(
    stored,
    { ...rest, router },
    labels,
    test,
    scored.winRate,
  )
  const choice =
    many && (await reportTrainedRule(stored, many, { prompts: test.prompts, scores: scored }, rest))
  const searched = {
    tuned: tuned.length > 0 ? tuned : undefined,
    stopped: stopped || undefined,
    efforts: fitted.shared?.map((shared, i) => ({ ...options.efforts![i]!, ...shared })),
  }
  const bundle = await writeBundle(options.out, {
    manifest: {
      name: options.name,
      recipe,
      encoder: encoder.encoder.spec,
      family: { name: family.name, hyperparameters: fitted.hyperparameters },
      candidates:
        many?.candidates ??
        pairCandidates(dataset, options, exported.linear?.outputs ?? dataset.models.length),
      ...definedOnly({ head: exported.head, fallback: fallback?.manifest }),
      calibration: { method: 'identity' },
      threshold: { value: threshold, source: 'default' },
      ...definedOnly({ choice: many?.choice, ood: options.ood }),
      data: {
        sources: dataset.manifest.sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
        split: dataset.manifest.split,
        counts: dataset.manifest.counts,
        ...definedOnly({ observational: dataset.estimates?.summary }),
      },
      metrics: {
        test: { rows: report.rows, ...report.routers[0] },
        baselines: report.baselines,
        ...definedOnly({
          cost_quality: curve,
          choice,
          auto: auto?.rows.map(untimed),
          recipes: reading.rows,
          ...searched,
        }),
        export_difference: exported.difference,
        // without seconds, so that the same seed gives the same bundle
        curve: fitted.curve.map(({ seconds: _, ...record }) => record),
      },
      libraries: { ...libraryVersions(), engine: fitted.backend },
    },
    files: new Map([
      ...exported.files,
      ...(fallback?.files ?? []),
      ...neighbourFiles(read, { ...fitted, keepText: options.keepText ?? false }),
    ]),
  })
  return {
    bundle,
    report,
    backend: fitted.backend,
    reading,
    ...definedOnly({ choice, auto, ...searched, resumedAfter: fitted.resumedAfter || undefined }),
  }
}

/** Times differ between runs of the same seed, which give the same bundle. */
const untimed = ({ ms: _, ...row }: AutoRow): Omit<AutoRow, 'ms'> => row

function checkedLabels(dataset: Dataset, { strong, weak }: TrainOptions): PairLabels {
  const labels = pairLabels(dataset, strong, weak)
  const rows = labels.prompt.length
  for (const [split, expected] of Object.entries(MIN_SPLIT_ROWS)) {
    const got = rowsOfSplit(labels, dataset, split as Split).length
    if (got >= expected) continue
    const what = `of ${strong} and ${weak} together in the ${split} split (the log has ${rows})`
    throw new WeirError('rows_too_few', { expected, what, got })
  }
  const first = labels.label[0]!
  if (labels.label.every((label) => label === first)) {
    const label = first === 0.5 ? 'a tie' : first > 0.5 ? 'strong better' : 'weak better'
    throw new WeirError('labels_one_class', { strong, rows, label })
  }
  return labels
}

/** @throws option_invalid for a key of which no prompt declares a value */
function checkContext({ prompts }: Dataset, keys: readonly string[] = []): void {
  for (const key of keys) {
    const name = contextName(key)
    const has = (prompt: string): boolean => {
      const { context } = readTranscript(prompt)
      return context !== undefined && Object.hasOwn(context, name)
    }
    if (prompts.some(has)) continue
    const expected = 'a column of the logs, or a key of their `metadata`, with a value in some row'
    throw new WeirError('option_invalid', { option: '--context', expected, got: name })
  }
}

/** Threshold that sends half of the given win rates to the strong model. */
export function middleThreshold(winRate: Float64Array): number {
  const sorted = winRate.toSorted()
  const half = sorted.length >>> 1
  return half === 0 ? (sorted[0] ?? 0.5) : between(sorted[half - 1]!, sorted[half]!)
}

/** Prompts spread over the whole log, and a few that no log contains. */
export function probePrompts(dataset: Dataset): string[] {
  const step = Math.max(1, Math.floor(dataset.prompts.length / PROBES))
  const probes = dataset.prompts.filter((_, i) => i % step === 0).slice(0, PROBES)
  return [...probes, 'hi', '?', 'x'.repeat(50_000), '日本語 🙂 \n\n 1 + 1 = 2']
}

const hashesOf = (dataset: Dataset, { prompts }: EncodedSplit): string[] =>
  Array.from(prompts, (prompt) => seenHash(dataset, prompt))

/**
 * Versions of the libraries a router was made with, for its manifest; libraries that are not installed are
 * left out.
 */
export function libraryVersions(): Record<string, string> {
  const require = createRequire(import.meta.url)
  const versions: Record<string, string> = { node: process.versions.node }
  for (const name of ['onnxruntime-node']) {
    try {
      versions[name] = (require(`${name}/package.json`) as { version: string }).version
    } catch {
      // its absence is reported where it is needed
    }
  }
  return versions
}

export interface NeighbourFilesInput {
  readonly family: Family
  readonly weights: HeadWeights
  readonly pair: Pair
  readonly train: EncodedSplit
  readonly validation: EncodedSplit
  /** also stores the start of each prompt: off by default, since bundles are shared */
  readonly keepText: boolean
}

/** Bundle files that let `explain` name the training rows a head looks up; none for other heads. */
function neighbourFiles(
  { hashes, prompts }: Pick<Dataset, 'hashes' | 'prompts'>,
  { family, weights, pair, train, validation, keepText }: NeighbourFilesInput,
): Map<string, Uint8Array> {
  const held = family.neighbours?.(weights)
  if (!held) return new Map()
  const input = { models: weights.models, ...pair }
  const rowsOf = (split: EncodedSplit): number[] =>
    observedRows(split, input).map((row) => split.prompts[row]!)
  // a head that was refitted stores the validation rows after the train rows
  const first = rowsOf(train)
  const rows = first.length === held.rows ? first : [...first, ...rowsOf(validation)]
  if (rows.length !== held.rows) {
    throw new Error(`the head stores ${held.rows} rows, but these splits have ${rows.length}`)
  }
  const m = weights.models.length
  const scores = new Float32Array(2 * rows.length)
  for (let row = 0; row < rows.length; row++) {
    scores[2 * row] = held.scores[row * m + pair.strong]!
    scores[2 * row + 1] = held.scores[row * m + pair.weak]!
  }
  const prior = {
    weight: held.prior,
    win_rate: (1 + held.base[pair.strong]! - held.base[pair.weak]!) / 2,
  }
  const own = rows.map((row) => hashes[row]!)
  const observed = train.outcomes ? 'outcomes' : 'votes'
  return new Map([
    [NEIGHBOURS_FILE, encodeNeighbours({ observed, prior, hashes: own, scores })],
    ...(keepText
      ? [
          [
            NEIGHBOURS_TEXT_FILE,
            encodeNeighbourTexts(rows.map((row) => textOf(prompts[row]!))),
          ] as const,
        ]
      : []),
  ])
}

export interface PairCandidatesOptions {
  readonly strong: string
  readonly weak: string
  readonly prices?: ReadonlyMap<string, Price>
}

/** The candidates in the order of the head's outputs; a pair head knows only its two models. */
function pairCandidates(
  dataset: Dataset,
  options: PairCandidatesOptions,
  outputs: number,
): Candidate[] {
  const { strong, weak, prices } = options
  const models = outputs === 1 ? [strong, weak] : dataset.models
  return models.map((model) => {
    const price = prices?.get(model)
    const tokens = meanTokens(dataset, modelIndex(dataset, model))
    return {
      model,
      role: model === strong ? 'strong' : model === weak ? 'weak' : 'other',
      ...definedOnly({ price, output_tokens: tokens }),
    }
  })
}

function meanTokens({ outcomes, models, prompts }: Dataset, model: number): number | undefined {
  if (!outcomes?.tokens) return undefined
  let sum = 0
  let rows = 0
  for (let i = 0; i < prompts.length; i++) {
    const tokens = outcomes.tokens[i * models.length + model]!
    if (Number.isNaN(tokens)) continue
    sum += tokens
    rows++
  }
  return rows > 0 ? sum / rows : undefined
}
