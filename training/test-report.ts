import type { OnProgress } from '../core/progress.ts'
import { type Dataset, SPLITS, type Split } from '../data/dataset/dataset.ts'
import type { PairLabels } from '../data/pair.ts'
import { wholeText } from '../models/reading/recipe.ts'
import { evaluateRouters } from './evaluate/evaluate-routers.ts'
import { evidenceNotes, labelsOf } from './evaluate/log/scored-log.ts'
import type { EvaluationReport } from './evaluate/report/report.ts'
import { singleEvidence } from './ope/sensitivity.ts'
import type { EncodedSplit } from './trainers/splits.ts'

export interface TestOptions {
  readonly strong: string
  readonly weak: string
  /** the family's name */
  readonly router: string
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Evaluates a router on the test prompts; baselines that learn are fitted on the train prompts. */
export async function evaluateOnTest(
  dataset: Dataset,
  options: TestOptions,
  labels: PairLabels,
  test: EncodedSplit,
  winRate: Float64Array,
): Promise<EvaluationReport> {
  const inTest = rowsIn(labels, test.prompts)
  const reference = rowsOfSplit(labels, dataset, 'train')
  return evaluateRouters({
    routers: [{ name: options.router, winRate: inTest.map(({ row }) => winRate[row]!) }],
    prompts: inTest.map(({ row }) => wholeText(dataset.prompts[test.prompts[row]!]!)),
    categories: inTest.map(({ row }) => dataset.categories[test.prompts[row]!]),
    labels: labelsOf(
      labels,
      inTest.map(({ label }) => label),
    ),
    singles: singleEvidence(
      dataset,
      Int32Array.from(inTest, ({ row }) => test.prompts[row]!),
      options.strong,
    ),
    warnings: evidenceNotes(dataset, options),
    pair: { strong: options.strong, weak: options.weak },
    reference: {
      prompts: reference.map((label) => wholeText(dataset.prompts[labels.prompt[label]!]!)),
      categories: reference.map((label) => dataset.categories[labels.prompt[label]!]),
      y: reference.map((label) => labels.label[label]!),
    },
    seed: options.seed,
    signal: options.signal,
    onProgress: options.onProgress,
  })
}

/** The rows of the split that have a label, each with the index of its label. */
function rowsIn(labels: PairLabels, prompts: Int32Array): { row: number; label: number }[] {
  const place = new Map(Array.from(labels.prompt, (prompt, label) => [prompt, label]))
  return Array.from(prompts, (prompt, row) => ({ row, label: place.get(prompt) ?? -1 })).filter(
    ({ label }) => label >= 0,
  )
}

/** Indices of the labels on prompts of the split. */
export function rowsOfSplit(labels: PairLabels, dataset: Dataset, split: Split): number[] {
  const wanted = SPLITS.indexOf(split)
  return Array.from(labels.prompt.keys()).filter(
    (label) => dataset.split[labels.prompt[label]!] === wanted,
  )
}
