import type { OnProgress } from '../core/progress.ts'
import { type Dataset, SPLITS, type Split } from '../data/dataset/dataset.ts'
import { type PairLabels, pairLabels } from '../data/pair.ts'
import type { CostQuality } from '../models/bundle/manifest.ts'
import { wholeText } from '../models/reading/recipe.ts'
import { evaluateRouters } from './evaluate/evaluate-routers.ts'
import { evidenceNotes, labelsOf, rowsOfPrompts } from './evaluate/log/scored-log.ts'
import { GRID_STEPS } from './evaluate/metrics/curve-points.ts'
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

/** @param report of one router, with its chart */
function costQuality({ routers, quality, rows }: EvaluationReport): CostQuality | undefined {
  const chart = routers[0]?.chart
  if (!chart) return undefined
  const { points, band } = chart
  const rounded = (values: readonly number[]): number[] =>
    values.map((value) => Math.round(value * 1e4) / 1e4)
  const threshold = band.value.map((_, step) => {
    const at = points.share.findIndex((share) => share >= step / GRID_STEPS - 1e-9)
    return points.threshold[at < 0 ? points.threshold.length - 1 : at]!
  })
  return {
    unit: quality.clear ? 'pgr' : 'score',
    rows,
    threshold: rounded(threshold),
    value: rounded(band.value),
    low: rounded(band.low),
    high: rounded(band.high),
  }
}

/** Evaluates a router on the test prompts; baselines that learn are fitted on the train prompts. */
export async function evaluateOnTest(
  estimated: Dataset,
  options: TestOptions,
  known: PairLabels,
  test: EncodedSplit,
  winRate: Float64Array,
): Promise<{ readonly report: EvaluationReport; readonly curve: CostQuality | undefined }> {
  const { seed, strong, weak } = options
  const judged = { prompts: test.prompts, winRates: [winRate] }
  const dataset = await withJudgedEstimates(estimated, judged, seed)
  const labels = pairLabels(dataset, strong, weak)
  const { rows, places } = rowsOfPrompts(labels, test.prompts)
  const prompts = Int32Array.from(places, (at) => test.prompts[at]!)
  const reference = rowsOfSplit(known, estimated, 'train')
  const report = await evaluateRouters({
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
    details: true,
  })
  return { report: withoutCharts(report), curve: costQuality(report) }
}

function withoutCharts(report: EvaluationReport): EvaluationReport {
  return {
    ...report,
    routers: report.routers.map(({ chart: _, ...router }) => router),
    baselines: Object.fromEntries(
      Object.entries(report.baselines).map(([name, { chart: _, ...baseline }]) => [name, baseline]),
    ),
  }
}

/** Indices of the labels on prompts of the split. */
export function rowsOfSplit(labels: PairLabels, dataset: Dataset, split: Split): number[] {
  const wanted = SPLITS.indexOf(split)
  return Array.from(labels.prompt.keys()).filter(
    (label) => dataset.split[labels.prompt[label]!] === wanted,
  )
}
