import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import { type Dataset, SPLITS, seenHash } from '../../data/dataset/dataset.ts'
import { pairLabels } from '../../data/pair.ts'
import { DEFAULT_FRACTIONS } from '../../data/splits/assign-splits.ts'
import { readTrainingExport, type TrainingExport } from '../../data/training-export.ts'
import type { SeenPrompts } from '../../models/bundle/data-hashes.ts'
import type { Candidate, Manifest } from '../../models/bundle/manifest.ts'
import { type WrittenBundle, writeBundle } from '../../models/bundle/write.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { makeHfClassifier, readGolden } from '../../models/encoders/hf/classifier.ts'
import { imported, importedWeights } from '../../models/families/imported.ts'
import type { Price } from '../../models/prices.ts'
import { type Recipe, readsFields } from '../../models/reading/recipe.ts'
import { readDataset } from '../choose-recipe.ts'
import { exportRouter } from '../export.ts'
import { fitFallback } from '../fallback.ts'
import { rowsOfSplit } from '../test-report.ts'
import { libraryVersions, middleThreshold, probePrompts } from '../train.ts'
import { encodeSplit } from '../trainers/splits.ts'
import { meaningOf } from './labels.ts'

export interface ImportOptions {
  readonly strong: string
  readonly weak: string
  readonly out: string
  readonly name: string
  readonly seed: number
  /** what the outputs mean; from the names in `config.json` if absent (see `meaningOf`) */
  readonly labels?: string | undefined
  /** the graph's path in the folder */
  readonly file?: string | undefined
  readonly recipe: Recipe
  readonly prices?: ReadonlyMap<string, Price> | undefined
  /** a file of the model's outputs in Python, which must be met */
  readonly golden?: string | undefined
  /** largest accepted difference from a golden output */
  readonly tolerance: number
  /** the team's log: for a threshold, and a head on `lexical` that decides when the classifier is late */
  readonly log?: Dataset | undefined
  /** a folder that `weir data export --for` wrote; by default what the classifier's folder holds of it */
  readonly trainedOn?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface ImportResult {
  readonly bundle: WrittenBundle
  /** the names of the classifier's outputs */
  readonly labels: readonly string[]
  readonly problem: string
  /** largest difference from the golden outputs; absent without them */
  readonly golden?: { readonly rows: number; readonly difference: number } | undefined
  readonly fallback: boolean
  /** prompts known to have been trained on, which no evaluation will use */
  readonly seen: number
}

/** Minimum number of labelled rows per split for a threshold and a fallback. */
const LEAST = { train: 50, validation: 10 } as const

/**
 * Turns a sequence classifier that was trained elsewhere and exported to ONNX into a bundle: encoder `hf` with the
 * logits as its rows, family `imported`.
 *
 * @throws file_not_found, encoder_files_invalid, option_invalid, import_mismatch, rows_too_few
 */
export async function importClassifier(
  folder: string,
  options: ImportOptions,
): Promise<ImportResult> {
  const { strong, weak, recipe, signal, log } = options
  if (strong === weak) {
    const expected = 'two models'
    throw new WeirError('option_invalid', { option: '--strong and --weak', expected, got: strong })
  }
  if (readsFields(recipe)) {
    const expected = 'a recipe without context or features: the classifier reads text alone'
    throw new WeirError('option_invalid', { option: '--recipe', expected, got: recipe.name })
  }
  const history = await readTrainingExport(options.trainedOn ?? folder, options.trainedOn)
  const classifier = await makeHfClassifier(folder, definedOnly({ file: options.file }))
  const { encoder } = classifier.artifact
  try {
    const { head, models } = meaningOf(options.labels, classifier, { strong, weak })
    const golden =
      options.golden === undefined
        ? undefined
        : await checkGolden(encoder, options.golden, options.tolerance)
    const weights = importedWeights(models, head)
    const pair = { strong: models.indexOf(strong), weak: models.indexOf(weak) }
    const fitted =
      log &&
      (await onLog(log, encoder, options, (rows) => imported.forward(weights, pair, rows).winRate))
    const seen = mergedSeen(history, fitted?.seen)
    const threshold = fitted?.threshold ?? 0.5
    const exported = await exportRouter({
      family: imported,
      weights,
      pair,
      encoder: classifier.artifact,
      probes: (await encoder.encode(log ? probePrompts(log) : PROBES, signal)).embeddings,
      threshold,
      seen,
    })
    const bundle = await writeBundle(options.out, {
      manifest: {
        name: options.name,
        recipe,
        encoder: encoder.spec,
        family: {
          name: imported.name,
          hyperparameters: definedOnly({
            ...head,
            labels: classifier.labels,
            problem: classifier.problem,
          }),
        },
        candidates: models.map(
          (model): Candidate => ({
            model,
            role: model === strong ? 'strong' : model === weak ? 'weak' : 'other',
            ...definedOnly({ price: options.prices?.get(model) }),
          }),
        ),
        ...definedOnly({ fallback: fitted?.fallback.manifest }),
        calibration: { method: 'identity' },
        threshold: { value: threshold, source: 'default' },
        data: dataOf(log, history, options.seed),
        metrics: { export_difference: exported.difference, ...definedOnly({ golden }) },
        libraries: libraryVersions(),
      },
      files: new Map([...exported.files, ...(fitted?.fallback.files ?? [])]),
    })
    const { labels, problem } = classifier
    const count = new Set(Object.values(seen).flatMap((hashes) => [...(hashes ?? [])])).size
    return { bundle, labels, problem, golden, fallback: fitted !== undefined, seen: count }
  } finally {
    await encoder.close?.()
  }
}

/** Prompts on which the exported head is compared with the forward pass, where there is no log. */
const PROBES = [
  'hi',
  '?',
  'Prove that there are infinitely many primes.',
  'Summarise this text in one sentence: the committee met on Tuesday and adjourned.',
  'Write a Python function that merges two sorted lists.',
  'x'.repeat(50_000),
  '日本語 🙂 \n\n 1 + 1 = 2',
]

/** @throws import_mismatch, encoder_files_invalid */
async function checkGolden(
  encoder: Encoder,
  path: string,
  limit: number,
): Promise<{ readonly rows: number; readonly difference: number }> {
  const d = encoder.spec.dimension
  const rows = await readGolden(path, d)
  const { embeddings } = await encoder.encode(rows.map(({ text }) => text))
  if (embeddings.kind !== 'dense') throw new TypeError('a classifier gives dense rows')
  let worst = { difference: 0, row: 0 }
  rows.forEach(({ logits }, row) => {
    logits.forEach((logit, k) => {
      const difference = Math.abs(embeddings.values[row * d + k]! - logit)
      // written so that NaN counts as the largest difference
      if (!(difference <= worst.difference)) worst = { difference, row }
    })
  })
  if (worst.difference <= limit) return { rows: rows.length, difference: worst.difference }
  const shown = (values: ArrayLike<number>): string =>
    Array.from(values, (value) => value.toPrecision(6)).join(', ')
  const { line, logits } = rows[worst.row]!
  throw new WeirError('import_mismatch', {
    difference: worst.difference,
    limit,
    where: `${path}:${line}`,
    expected: shown(logits),
    got: shown(embeddings.values.subarray(worst.row * d, (worst.row + 1) * d)),
  })
}

type WinRates = (rows: Awaited<ReturnType<Encoder['encode']>>['embeddings']) => Float64Array

/** A threshold that sends half of the validation rows strong, and the head on `lexical` for when it is late. */
async function onLog(log: Dataset, encoder: Encoder, options: ImportOptions, winRates: WinRates) {
  const { strong, weak, recipe, signal, onProgress } = options
  const labels = pairLabels(log, strong, weak)
  for (const [split, expected] of Object.entries(LEAST)) {
    const got = rowsOfSplit(labels, log, split as keyof typeof LEAST).length
    if (got >= expected) continue
    const what = `of ${strong} and ${weak} together in the ${split} split, for a threshold and a fallback`
    throw new WeirError('rows_too_few', { expected, what, got })
  }
  const read = readDataset(log, recipe)
  onProgress?.({ stage: 'scoring validation', done: 0 })
  const validation = await encodeSplit(read, 'validation', encoder, signal)
  const winRate = winRates(validation.embeddings)
  const fallback = await fitFallback(read, {
    ...{ labels, winRate, validation: validation.prompts },
    ...{ signal, onProgress },
  })
  const hashes = (split: 'train' | 'validation'): string[] =>
    [...log.prompts.keys()]
      .filter((prompt) => SPLITS[log.split[prompt]!] === split)
      .map((prompt) => seenHash(log, prompt))
  return {
    fallback,
    threshold: middleThreshold(winRate),
    seen: { train: hashes('train'), validation: hashes('validation') },
  }
}

const mergedSeen = (
  history: TrainingExport | undefined,
  own: SeenPrompts | undefined,
): SeenPrompts => ({
  train: [...(history?.seen.train ?? []), ...(own?.train ?? [])],
  validation: [...(history?.seen.validation ?? []), ...(own?.validation ?? [])],
})

function dataOf(
  log: Dataset | undefined,
  history: TrainingExport | undefined,
  seed: number,
): Manifest['data'] {
  const sources = log?.manifest.sources ?? history?.sources ?? []
  return {
    sources: sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
    split: history?.split ??
      log?.manifest.split ?? { seed, fractions: { ...DEFAULT_FRACTIONS }, prefixes: [] },
    counts: log?.manifest.counts ?? {},
  }
}
