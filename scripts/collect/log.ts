import { join } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { writeWhole } from '../../core/files.ts'
import { type CorrectedLabels, correctJudge } from '../../core/stats/judged-mean.ts'
import { openDataset } from '../../data/dataset/dataset.ts'
import { type JudgedPair, writeJudged } from '../../data/dataset/judged.ts'
import { type IngestSummary, ingest } from '../../data/ingest.ts'
import { promptFields } from '../../models/reading/transcript.ts'
import { COLLECTION_FILES } from './collection.ts'
import { type GradedRow, humanPair, judgedPair, labelValue, meanOf } from './grades.ts'
import { pairsOf } from './run.ts'

/** The judge of labels that people's labels corrected. */
export const CORRECTED = 'corrected'

/** A judge's labels of one pair, corrected by people's; undefined with too few of theirs. */
export function correctedPair(
  rows: readonly GradedRow[],
  a: string,
  b: string,
): { readonly rows: readonly GradedRow[]; readonly correction: CorrectedLabels } | undefined {
  const judgedRows = rows.filter((row) => !Number.isNaN(judgedPair(row, a, b)))
  const correction = correctJudge({
    judged: judgedRows.map((row) => judgedPair(row, a, b)),
    human: judgedRows.map((row) => humanPair(row, a, b)),
    weights: judgedRows.map(weightOf),
  })
  return correction && { rows: judgedRows, correction }
}

/** How many requests a row stands for, up to a common factor. */
export const weightOf = ({ row }: GradedRow): number => row.times / row.propensity

/**
 * The rows as a log that `weir train` reads. Scores of single answers make outcomes. Comparisons make votes: those of each
 * judge, half a vote for each order; or, where people labelled enough rows to correct the judges, one soft label per row,
 * written as two votes with the shares in which people would give them (what the correction expects for the judges'
 * verdict; what people said, where they did).
 */
export function* logLines(
  rows: readonly GradedRow[],
  models: readonly string[],
): Generator<Record<string, unknown>> {
  const corrections = pairsOf(models).map(([a, b]) => {
    const found = correctedPair(rows, a, b)
    return { a, b, soft: found && softLabels(found.rows, a, b, found.correction) }
  })
  for (const graded of rows) {
    const { row, answers, comparisons, scores, labels } = graded
    const { tools, category, metadata } = row
    const base = {
      ...promptFields(row.prompt),
      ...definedOnly({ tools, category, metadata }),
      id: row.id,
    }
    let votes = 0
    const vote = (a: string, b: string, value: number, judge: string, weight: number) => ({
      ...base,
      // rows with the same id are one event to readers, which take the first
      id: `${row.id}-${++votes}`,
      model_a: a,
      model_b: b,
      winner: value === 1 ? 'a' : value === 0 ? 'b' : 'tie',
      judge,
      weight,
    })
    if (scores.length > 0) {
      const of = (model: string): number =>
        meanOf(scores.filter((one) => one.model === model).map(({ score }) => score))
      const each = [...answers]
      yield {
        ...base,
        scores: Object.fromEntries(each.map(([model]) => [model, of(model)])),
        costs: Object.fromEntries(each.map(([model, { costUsd }]) => [model, costUsd])),
        tokens: Object.fromEntries(
          each.flatMap(([model, { outputTokens }]) =>
            outputTokens === undefined ? [] : [[model, outputTokens]],
          ),
        ),
      }
    }
    for (const { a, b, soft } of corrections) {
      const human = humanPair(graded, a, b)
      if (soft && comparisons.length > 0) {
        const value = Number.isNaN(human) ? soft(judgedPair(graded, a, b)) : human
        if (Number.isNaN(value)) continue
        if (value > 0) yield vote(a, b, 1, CORRECTED, value)
        if (value < 1) yield vote(a, b, 0, CORRECTED, 1 - value)
        continue
      }
      for (const one of comparisons.filter((its) => its.a === a && its.b === b)) {
        for (const value of [one.aFirst, one.bFirst]) {
          if (value !== undefined) yield vote(a, b, value, one.judge, 0.5)
        }
      }
      for (const label of labels.filter((its) => [its.a, its.b].every((m) => m === a || m === b))) {
        const value = label.a === a ? labelValue(label) : 1 - labelValue(label)
        yield vote(a, b, value, `human:${label.by}`, 1)
      }
    }
  }
}

/** Levels of the judges' verdicts that are told apart: 0, .25, .5, .75, 1. */
const LEVELS = 5
/** Labels that the straight line of the correction counts for, at each level. */
const LINE_LABELS = 2

/**
 * What people would say, on average, where the judges say so much: the mean of people's labels at that level of the judges',
 * drawn to the line of the correction where they are few. So judges that err often give labels near the middle.
 */
function softLabels(
  rows: readonly GradedRow[],
  a: string,
  b: string,
  { intercept, slope }: CorrectedLabels,
): (judged: number) => number {
  const levelOf = (judged: number): number => Math.round((LEVELS - 1) * judged)
  const sums = new Float64Array(LEVELS)
  const counts = new Float64Array(LEVELS)
  for (const row of rows) {
    const human = humanPair(row, a, b)
    if (Number.isNaN(human)) continue
    const level = levelOf(judgedPair(row, a, b))
    sums[level]! += human
    counts[level]!++
  }
  return (judged) => {
    const level = levelOf(judged)
    const line = Math.min(0.95, Math.max(0.05, intercept + slope * judged))
    return Number.isNaN(judged)
      ? judged
      : (sums[level]! + LINE_LABELS * line) / (counts[level]! + LINE_LABELS)
  }
}

/** Writes `log.jsonl` and the dataset made of it; undefined if nothing was graded. */
export async function writeDataset(
  folder: string,
  rows: readonly GradedRow[],
  models: readonly string[],
  seed: number,
): Promise<IngestSummary | undefined> {
  const lines = [...logLines(rows, models)].map((line) => `${JSON.stringify(line)}\n`)
  const path = join(folder, COLLECTION_FILES.log)
  await writeWhole(path, lines.join(''))
  if (lines.length === 0) return undefined
  const out = join(folder, COLLECTION_FILES.dataset)
  const summary = await ingest([path], { out, seed, format: 'canonical' })
  if (rows.some(({ labels }) => labels.length > 0)) {
    const { prompts } = await openDataset(out)
    await writeJudged(out, judgedPairs(rows, models, prompts))
  }
  return summary
}

/** What judges and people say of each pair that people labelled, by the dataset's prompts. */
function judgedPairs(
  rows: readonly GradedRow[],
  models: readonly string[],
  prompts: readonly string[],
): JudgedPair[] {
  const place = new Map(prompts.map((prompt, i) => [prompt, i]))
  return pairsOf(models).flatMap(([a, b]) => {
    const its = rows.flatMap((graded) => {
      const at = place.get(graded.row.prompt)
      const judged = judgedPair(graded, a, b)
      if (at === undefined || Number.isNaN(judged)) return []
      const human = humanPair(graded, a, b)
      return [{ at, judged, human: Number.isNaN(human) ? null : human, weight: weightOf(graded) }]
    })
    if (its.every(({ human }) => human === null)) return []
    return [
      {
        a,
        b,
        prompt: its.map(({ at }) => at),
        judged: its.map(({ judged }) => judged),
        human: its.map(({ human }) => human),
        weight: its.map(({ weight }) => weight),
      },
    ]
  })
}
