import type { OnProgress } from '../core/progress.ts'
import { type Dataset, SPLITS, type Split } from '../data/dataset/dataset.ts'
import { type PairLabels, pairLabels } from '../data/pair.ts'
import { wholeText } from '../models/reading/recipe.ts'
import { evaluateRouters } from './evaluate/evaluate-routers.ts'
import { evidenceNotes, labelsOf, rowsOfPrompts } from './evaluate/log/scored-log.ts'
import type { EvaluationReport } from './evaluate/report/report.ts'
import { withJudgedEstimates } from './ope/judged-estimates.ts'
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
  estimated: Dataset,
  options: TestOptions,
  known: PairLabels,
  test: EncodedSplit,
  winRate: Float64Array,
): Promise<EvaluationReport> {
  const { seed, strong, weak } = options
  const judged = { prompts: test.prompts, winRates: [winRate] }
  const dataset = await withJudgedEstimates(estimated, judged, seed)
  const labels = pairLabels(dataset, strong, weak)
  const { rows, places } = rowsOfPrompts(labels, test.prompts)
  const prompts = Int32Array.from(places, (at) => test.prompts[at]!)
  const reference = rowsOfSplit(known, estimated, 'train')
  return evaluateRouters({
    routers: [{ name: options.router, winRate: Array.from(places, (at) => winRate[at]!) }],
    prompts: Array.from(prompts, (prompt) => wholeText(dataset.prompts[prompt]!)),
    categories: Array.from(prompts, (prompt) => dataset.categories[prompt]),
    labels: labelsOf(labels, rows),
    singles: singleEvidence(dataset, prompts, strong),
    warnings: evidenceNotes(dataset, options),
    pair: { strong, weak },
    reference: {
      prompts: reference.map((label) => wholeText(dataset.prompts[known.prompt[label]!]!)),
      categories: reference.map((label) => dataset.categories[known.prompt[label]!]),
      y: reference.map((label) => known.label[label]!),
    },
    seed,
    signal: options.signal,
    onProgress: options.onProgress,
  })
}

/** Indices of the labels on prompts of the split. */
export function rowsOfSplit(labels: PairLabels, dataset: Dataset, split: Split): number[] {
  const wanted = SPLITS.indexOf(split)
  return Array.from(labels.prompt.keys()).filter(
    (label) => dataset.split[labels.prompt[label]!] === wanted,
  )
}
