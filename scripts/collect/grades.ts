import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { comparisonIn, gradeIn } from '../../serving/strategies/judge.ts'
import { CallJournal } from './calls.ts'
import { type AnswerCheck, openChecks } from './checks.ts'
import { COLLECTION_FILES, type Collection, readCollection, type SampleRow } from './collection.ts'
import { readGraders } from './graders.ts'
import {
  answerCall,
  commandCall,
  compareCall,
  gradeCall,
  type JudgeSpec,
  judged,
  judgeName,
  pairsOf,
  wordsOf,
} from './run.ts'

/** One answer of a candidate. */
export interface CandidateAnswer {
  readonly text: string
  readonly costUsd: number
  readonly outputTokens: number | undefined
  /** it was cut off at the limit of tokens */
  readonly cut: boolean
}

/** What a judge said of the pair (a, b), in both orders: how good a is beside b, in {0, .5, 1}. */
export interface Comparison {
  readonly judge: string
  readonly a: string
  readonly b: string
  /** with a shown first, and with b shown first; undefined where the judge gave no verdict */
  readonly aFirst: number | undefined
  readonly bFirst: number | undefined
}

/** A score of one answer, in [0, 1]. */
export interface AnswerScore {
  /** `check:numeric` or the judge's name */
  readonly grader: string
  readonly model: string
  readonly score: number
}

/** What a person said of two answers. */
export const HumanLabel = Type.Object({
  object: Type.Literal('label'),
  /** of the sample's row */
  id: Type.String(),
  a: Type.String({ minLength: 1 }),
  b: Type.String({ minLength: 1 }),
  winner: Type.Union([
    Type.Literal('a'),
    Type.Literal('b'),
    Type.Literal('tie'),
    Type.Literal('both_bad'),
  ]),
  /** who said so */
  by: Type.String({ minLength: 1 }),
  /** milliseconds since 1970 */
  time: Type.Number(),
  /** which answer was shown first, or on the left */
  first: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b')])),
})
export type HumanLabel = Type.Static<typeof HumanLabel>

const checkLabel = Compile(HumanLabel)

/** Row, person and pair: of labels with the same key the last one counts. */
export const labelKey = ({ id, a, b, by }: HumanLabel): string =>
  JSON.stringify([id, by, ...[a, b].sort()])

/** A label from its JSON; undefined if it is none. */
export function parseLabel(text: string): HumanLabel | undefined {
  const value: unknown = JSON.parse(text)
  return checkLabel.Check(value) ? value : undefined
}

/** How good a is beside b, by a person. */
export const labelValue = ({ winner }: Pick<HumanLabel, 'winner'>): number =>
  winner === 'a' ? 1 : winner === 'b' ? 0 : 0.5

/** A row of the sample that every candidate answered, with all that is said of the answers. */
export interface GradedRow {
  readonly row: SampleRow
  readonly answers: ReadonlyMap<string, CandidateAnswer>
  readonly comparisons: readonly Comparison[]
  readonly scores: readonly AnswerScore[]
  readonly labels: readonly HumanLabel[]
}

/** The labels of people in a collection; of each person the last one for a pair counts. @throws row_invalid */
export async function readLabels(folder: string): Promise<HumanLabel[]> {
  const path = join(folder, COLLECTION_FILES.labels)
  if (!existsSync(path)) return []
  const latest = new Map<string, HumanLabel>()
  const lines = (await readFile(path, 'utf8')).split('\n')
  for (const [i, text] of lines.entries()) {
    if (text === '') continue
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // a crash may have cut a line off; the next label began a new one
      continue
    }
    if (!checkLabel.Check(value)) {
      const [error] = checkLabel.Errors(value)
      const field = error?.instancePath.slice(1) || 'label'
      const reason = error?.message ?? 'is not a label'
      throw new WeirError('row_invalid', { path, line: i + 1, field, reason })
    }
    latest.set(labelKey(value), value)
  }
  return [...latest.values()]
}

/** The rows that every candidate answered, in the order of the sample. */
export async function gradedRows(
  { sample, settings }: Collection,
  journal: CallJournal,
  {
    judges,
    checks,
    labels,
  }: {
    readonly judges: readonly JudgeSpec[]
    readonly checks: readonly AnswerCheck[]
    readonly labels: readonly HumanLabel[]
  },
): Promise<GradedRow[]> {
  const { models } = settings
  const byRow = new Map<string, HumanLabel[]>()
  for (const label of labels) {
    const its = byRow.get(label.id)
    if (its) its.push(label)
    else byRow.set(label.id, [label])
  }
  const rows: GradedRow[] = []
  for (const row of sample) {
    const answers = new Map<string, CandidateAnswer>()
    for (const model of models) {
      const line = journal.result(answerCall(row.id, model))
      if (line?.object !== 'done') break
      answers.set(model, {
        text: wordsOf(line),
        costUsd: line.cost_usd,
        outputTokens: line.output_tokens,
        cut: line.finish === 'length',
      })
    }
    if (answers.size < models.length) continue
    const scores: AnswerScore[] = []
    for (const check of checks) {
      if (check.needsReference && row.reference === undefined) continue
      const { prompt, reference } = row
      for (const [model, { text }] of answers) {
        const answer = { prompt, model, answer: text, reference }
        scores.push({ grader: `check:${check.name}`, model, score: await check.grade(answer) })
      }
    }
    for (const model of models) {
      const line = journal.result(commandCall(row.id, model))
      if (line?.object === 'done') {
        scores.push({ grader: 'check:command', model, score: Number(line.text) })
      }
    }
    const comparisons: Comparison[] = []
    for (const judge of judges) {
      const name = judgeName(judge)
      if (judge.mode === 'single') {
        for (const model of models) {
          const score = judged(journal, gradeCall(row.id, name, model), gradeIn)
          if (score !== undefined) scores.push({ grader: name, model, score })
        }
        continue
      }
      for (const [a, b] of pairsOf(models)) {
        const aFirst = judged(journal, compareCall(row.id, name, a, b), comparisonIn)
        const second = judged(journal, compareCall(row.id, name, b, a), comparisonIn)
        const bFirst = second === undefined ? undefined : 1 - second
        if (aFirst === undefined && bFirst === undefined) continue
        comparisons.push({ judge: name, a, b, aFirst, bFirst })
      }
    }
    rows.push({ row, answers, comparisons, scores, labels: byRow.get(row.id) ?? [] })
  }
  return rows
}

/** The mean of the values that are there; NaN without any. */
export const meanOf = (values: readonly (number | undefined)[]): number => {
  const there = values.filter((value): value is number => value !== undefined)
  return there.reduce((sum, value) => sum + value, 0) / there.length
}

/**
 * How good a is beside b by everything but people, in [0, 1]: the mean over judges (each of both orders) and, as
 * (1 + s_a - s_b) / 2, over graders that score single answers. NaN if nothing compares them.
 */
export function judgedPair({ comparisons, scores }: GradedRow, a: string, b: string): number {
  const graders = new Map<string, Map<string, number>>()
  for (const { grader, model, score } of scores) {
    const its = graders.get(grader) ?? new Map<string, number>()
    graders.set(grader, its.set(model, score))
  }
  const byScore = [...graders.values()].map((its) => {
    const [first, second] = [its.get(a), its.get(b)]
    return first === undefined || second === undefined ? undefined : (1 + first - second) / 2
  })
  const byJudge = comparisons
    .filter((one) => one.a === a && one.b === b)
    .map(({ aFirst, bFirst }) => meanOf([aFirst, bFirst]))
  return meanOf([...byJudge, ...byScore])
}

/** How good a is beside b by people: the mean of their labels; NaN without any. */
export const humanPair = ({ labels }: Pick<GradedRow, 'labels'>, a: string, b: string): number =>
  meanOf(
    labels.flatMap((label) => {
      if (label.a === a && label.b === b) return [labelValue(label)]
      return label.a === b && label.b === a ? [1 - labelValue(label)] : []
    }),
  )

/** A collection with everything that is said of its answers. Reads only; a run may be under way. */
export interface OpenedCollection {
  readonly collection: Collection
  readonly rows: readonly GradedRow[]
  readonly labels: readonly HumanLabel[]
  readonly spentUsd: number
}

/** @throws collection_invalid, row_invalid */
export async function openCollection(folder: string): Promise<OpenedCollection> {
  const collection = await readCollection(folder)
  const { judges, checks: texts } = await readGraders(folder)
  const checks = await openChecks(texts, undefined)
  const labels = await readLabels(folder)
  const journal = new CallJournal(folder)
  const rows = await gradedRows(collection, journal, { judges, checks, labels })
  return { collection, rows, labels, spentUsd: journal.spentUsd }
}
