import { WeirError } from '../../core/errors.ts'
import { type PartialInterval, sampleMeanInterval, sideOf } from '../../core/stats/intervals.ts'
import { type Dataset, type EvidenceCounts, SPLITS } from '../../data/dataset/dataset.ts'
import {
  countEvidence,
  EVIDENCE,
  evidenceOf,
  type PairLabels,
  pairLabels,
} from '../../data/pair.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { errorFloor } from './error-floor.ts'
import {
  type EstimateOptions,
  type EvidencePair,
  rowsToAsk,
  withPairEstimates,
} from './pair-estimates.ts'
import { singleEvidence } from './sensitivity.ts'

/** What a log can be used for, and what it would take to use it for more. */
export interface LogEvidence {
  readonly counts: EvidenceCounts
  /** overlap of the single answers, if a comparison rests on them */
  readonly observational: Observational | null
  /** why the pair cannot be compared; null if it can */
  readonly refused: string | null
  /** strong - weak on prompts that can be judged, with its 95% interval; null without any */
  readonly gap: { readonly value: number; readonly low: number; readonly high: number } | null
  /** whether each can be done with this log */
  readonly can: { readonly train: boolean; readonly judge: boolean; readonly promise: boolean }
  /** what would be needed for more, in words */
  readonly needed: readonly string[]
}

/** Least prompts that can be judged: in the train split to train, in the test and the calibration split to use it. */
const LEAST = { train: 50, judge: 50, promise: 200 } as const
const UNRATED_KINDS = new Set(
  (['strong_unrated', 'weak_unrated'] as const).map((kind) => EVIDENCE.indexOf(kind)),
)
/** Prompts that both models answer are worth about this many with one answer. */
const WORTH = 3

/** @returns the evidence, and the dataset with estimates where single answers have to be used */
export async function logEvidence(
  log: Dataset,
  pair: EvidencePair,
  options: EstimateOptions,
): Promise<{ readonly evidence: LogEvidence; readonly dataset: Dataset }> {
  const codes = evidenceOf(log, pair.strong, pair.weak)
  const counts = countEvidence(codes)
  let dataset = log
  let refused: string | null = null
  try {
    dataset = await withPairEstimates(log, pair, options)
  } catch (error) {
    if (!(error instanceof WeirError && error.code === 'overlap_missing')) throw error
    refused = error.message
  }
  const labels = refused === null ? labelsOf(dataset, pair) : undefined
  // an answer without a rating is judged along with the others, but tells nothing by itself
  const judged = labels?.prompt.filter((prompt) => !UNRATED_KINDS.has(codes[prompt]!)) ?? []
  const inSplit = (name: (typeof SPLITS)[number]): number =>
    judged.filter((prompt: number) => dataset.split[prompt] === SPLITS.indexOf(name)).length
  const rows = {
    train: inSplit('train'),
    test: inSplit('test'),
    calibration: inSplit('calibration'),
  }
  const gap = labels && gapOf(dataset, labels, pair)
  const clear = gap !== undefined && sideOf(gap) === 'above'
  /** whether so many of these prompts would show it, on average */
  const clearOn = (among: number): boolean =>
    clear && gap.value! > (gap.value! - gap.low!) * Math.sqrt(judged.length / among)
  const can = {
    train: rows.train >= LEAST.train,
    judge: rows.test >= LEAST.judge && clearOn(rows.test),
    promise: rows.calibration >= LEAST.promise && clearOn(rows.calibration),
  }
  const estimates = dataset.estimates?.summary ?? null
  const factor = estimates ? WORTH : 1
  const least = (wanted: number, share: number): string =>
    (Math.ceil((wanted * factor) / share / 50) * 50).toLocaleString('en-US')
  const needed = [
    ...(refused === null && !can.train
      ? [`to train: about ${least(LEAST.train, 0.65)} prompts that can be judged`]
      : []),
    ...(labels && !clear
      ? [
          `to judge: an average difference between the models that is clear of 0, about ${rowsToAsk(log, pair.strong, pair.weak).toLocaleString('en-US')} prompts with both answers`,
        ]
      : refused === null && !can.judge
        ? [`to judge: about ${least(LEAST.judge, 0.15)} prompts that can be judged`]
        : []),
    ...(refused === null && !can.promise
      ? [
          `to promise a bounded loss: about ${least(LEAST.promise, 0.1)} prompts (weir calibrate says exactly)`,
        ]
      : []),
    ...(estimates && estimates.excluded > 0
      ? [
          `for the ${estimates.excluded.toLocaleString('en-US')} prompts without overlap: let chance decide some of them (weir serve --explore)`,
        ]
      : []),
  ]
  return {
    dataset,
    evidence: {
      counts,
      observational: estimates,
      refused,
      gap: gap && gap.low !== null ? { value: gap.value!, low: gap.low, high: gap.high! } : null,
      can,
      needed,
    },
  }
}

/** The mean of strong minus weak over the prompts that can be judged. */
function gapOf(
  dataset: Dataset,
  { label, prompt }: PairLabels,
  { strong }: EvidencePair,
): PartialInterval {
  const gap = sampleMeanInterval(label.map((y) => 2 * y - 1))
  const singles = singleEvidence(dataset, prompt, strong)
  return singles ? errorFloor(singles.rows).widen(gap, () => 1) : gap
}

function labelsOf(dataset: Dataset, { strong, weak }: EvidencePair) {
  try {
    return pairLabels(dataset, strong, weak)
  } catch (error) {
    if (error instanceof WeirError && error.code === 'rows_too_few') return undefined
    throw error
  }
}
