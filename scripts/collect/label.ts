import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { withLock } from '../../core/lock.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import { appendLine } from '../../core/segments.ts'
import { isRecord, type RawRecord } from '../../data/rows/record.ts'
import { openTable } from '../../data/source/log.ts'
import { openSource } from '../../data/source/source.ts'
import { askedText, readTranscript } from '../../models/reading/transcript.ts'
import { COLLECTION_FILES, type Collection } from './collection.ts'
import type { GradedRow, HumanLabel } from './grades.ts'
import { pairsOf } from './run.ts'

/** Two answers that a person is to compare, without names. */
export interface LabelTask {
  /** of the sample's row */
  readonly id: string
  readonly a: string
  readonly b: string
  /** which of the two models' answers is shown first */
  readonly first: 'a' | 'b'
  /** the conversation, as text */
  readonly prompt: string
  readonly answers: readonly [first: string, second: string]
}

const LOCK_MS = 10_000

/** Whose answer comes first is chance, but always the same for a row, so that what was exported can be read back. */
const firstOf = (id: string, a: string, b: string): 'a' | 'b' =>
  createHash('sha256').update(`${id}\n${a}\n${b}`).digest()[0]! % 2 === 0 ? 'a' : 'b'

/**
 * All that can be labelled, in random order: whoever labels from the start labels a random part of the rows, as the
 * correction of judges demands.
 */
export function labelTasks({ settings }: Collection, rows: readonly GradedRow[]): LabelTask[] {
  const order = createRandom(deriveSeed(settings.sample.seed, 'labels')).shuffle([...rows])
  return order.flatMap(({ row, answers }) =>
    pairsOf(settings.models).map(([a, b]) => {
      const first = firstOf(row.id, a, b)
      const texts = [answers.get(a)!.text, answers.get(b)!.text] as const
      const [x, y] = first === 'a' ? texts : [texts[1], texts[0]]
      return { id: row.id, a, b, first, prompt: promptText(row.prompt), answers: [x, y] }
    }),
  )
}

/** A conversation for people: its only question, or all turns with their roles. */
function promptText(prompt: string): string {
  const { turns } = readTranscript(prompt)
  if (turns.length <= 1) return turns[0]?.text ?? askedText(prompt)
  return turns.map(({ role, text }) => `[${role}] ${text}`).join('\n\n')
}

/** The tasks that this person has not labelled yet. */
export function openTasks(
  tasks: readonly LabelTask[],
  labels: readonly HumanLabel[],
  by: string,
): LabelTask[] {
  const done = new Set(
    labels.filter((label) => label.by === by).map(({ id, a, b }) => `${id}\n${a}\n${b}`),
  )
  return tasks.filter(({ id, a, b }) => !done.has(`${id}\n${a}\n${b}`))
}

/** What a person says: the answer shown first, the one shown second, neither, or that both are bad. */
export type Choice = '1' | '2' | 'tie' | 'both_bad'

/** The label for a choice. */
export function labelOf(task: LabelTask, choice: Choice, by: string, time: number): HumanLabel {
  const { id, a, b, first } = task
  const second = first === 'a' ? 'b' : 'a'
  const winner = choice === '1' ? first : choice === '2' ? second : choice
  return { object: 'label', id, a, b, winner, by, time, first }
}

/** Appends labels; each is on disk when this resolves. Several people may label at once. */
export async function addLabels(folder: string, labels: readonly HumanLabel[]): Promise<void> {
  const path = join(folder, COLLECTION_FILES.labels)
  const lines = labels.map((label) => JSON.stringify(label)).join('\n')
  await withLock(path, { deadlineMs: LOCK_MS }, () => appendLine(path, lines))
}

const COLUMNS = ['id', 'pair', 'prompt', 'answer_1', 'answer_2', 'better'] as const

/** The name of a pair in exports: its place, as names would not be blind. */
const pairNumber = ({ settings }: Collection, { a, b }: Pick<LabelTask, 'a' | 'b'>): number =>
  1 + pairsOf(settings.models).findIndex(([x, y]) => x === a && y === b)

/** A spreadsheet of tasks, to be filled in the last column with 1, 2, tie or both_bad. */
export function toSpreadsheet(collection: Collection, tasks: readonly LabelTask[]): string {
  const rows = tasks.map((task) => [
    ...[task.id, String(pairNumber(collection, task)), task.prompt, ...task.answers, ''],
  ])
  return [COLUMNS, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('')
}

/** Quoted; a cell that a spreadsheet would run as a formula begins with an apostrophe. */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Tasks for Label Studio, with the labels to choose from as `better`. */
export const toLabelStudio = (collection: Collection, tasks: readonly LabelTask[]): string =>
  `${JSON.stringify(
    tasks.map((task) => {
      const [answer_1, answer_2] = task.answers
      const { id, prompt } = task
      return { data: { id, pair: pairNumber(collection, task), prompt, answer_1, answer_2 } }
    }),
    undefined,
    1,
  )}\n`

/** The labelling interface for `toLabelStudio`. */
export const LABEL_STUDIO_VIEW = `<View>
  <Text name="prompt" value="$prompt"/>
  <View style="display: grid; grid-template-columns: 1fr 1fr; gap: 1em">
    <Text name="answer_1" value="$answer_1"/>
    <Text name="answer_2" value="$answer_2"/>
  </View>
  <Choices name="better" toName="prompt" choice="single-radio" showInLine="true">
    <Choice value="1"/><Choice value="2"/><Choice value="tie"/><Choice value="both_bad"/>
  </Choices>
</View>
`

const CHOICES: Readonly<Record<string, Choice>> = {
  ...{ '1': '1', left: '1', answer_1: '1', first: '1', a: '1' },
  ...{ '2': '2', right: '2', answer_2: '2', second: '2', b: '2' },
  ...{ tie: 'tie', '=': 'tie', same: 'tie', equal: 'tie', both_good: 'tie' },
  ...{ both_bad: 'both_bad', neither: 'both_bad', bad: 'both_bad' },
}

export interface ImportedLabels {
  readonly labels: readonly HumanLabel[]
  /** rows without a choice yet */
  readonly empty: number
}

/**
 * Labels from a filled-in spreadsheet (CSV, TSV, JSON lines, Parquet) or from an export of Label Studio (JSON or JSON-MIN).
 *
 * @param by who labelled, where the file does not say
 * @throws row_invalid, with the line, for an unknown row or choice, or a file without the column `better`
 */
export async function readImported(
  collection: Collection,
  tasks: readonly LabelTask[],
  path: string,
  by: string,
  time: number,
): Promise<ImportedLabels> {
  const known = new Map(tasks.map((task) => [`${task.id}\n${pairNumber(collection, task)}`, task]))
  const labels: HumanLabel[] = []
  let empty = 0
  let columns: string[] | undefined
  let choosable = false
  const table = await openTable(await openSource(path))
  try {
    for await (const batch of table.records()) {
      for (const item of batch) {
        const refuse = (field: string, reason: string): never => {
          throw new WeirError('row_invalid', { path, line: item.line, field, reason })
        }
        if (!('record' in item)) refuse(item.field, item.reason)
        else {
          columns ??= Object.keys(item.record)
          choosable ||= 'better' in item.record || 'data' in item.record
          for (const { fields, choice, who } of choicesIn(item.record, by)) {
            const task = known.get(`${String(fields.id)}\n${String(fields.pair ?? 1)}`)
            if (task && (choice === undefined || choice === null || String(choice).trim() === '')) {
              empty++
              continue
            }
            const word = String(choice).trim().toLowerCase().replaceAll(' ', '_')
            const meant = Object.hasOwn(CHOICES, word) ? CHOICES[word] : undefined
            if (!task) {
              const expected = 'the id and pair of an answered row of this collection'
              refuse(
                'id',
                `expected ${expected}, got ${fields.id ?? 'nothing'}, ${fields.pair ?? 1}`,
              )
            } else if (!meant) refuse('better', `expected 1, 2, tie or both_bad, got ${choice}`)
            else labels.push(labelOf(task, meant, who, time))
          }
        }
      }
    }
  } finally {
    await table.close()
  }
  if (!choosable) {
    const reason = `expected a column better with 1, 2, tie or both_bad, got ${columns?.join(', ') ?? 'no rows'}`
    throw new WeirError('row_invalid', { path, line: 1, field: 'better', reason })
  }
  return { labels, empty }
}

interface FoundChoice {
  readonly fields: RawRecord
  readonly choice: unknown
  readonly who: string
}

/** The choices in one record: a row of a table, or a task of Label Studio with its annotations. */
function choicesIn(record: RawRecord, by: string): FoundChoice[] {
  const named = (who: unknown): string => {
    const name = isRecord(who) ? (who.email ?? who.id) : who
    return name === undefined || name === null || name === '' ? by : String(name)
  }
  if (!isRecord(record.data)) {
    // JSON-MIN keeps its own number of the task in `id` where the data has none
    return [{ fields: record, choice: record.better, who: named(record.by ?? record.annotator) }]
  }
  const fields = record.data
  const annotations = Array.isArray(record.annotations) ? record.annotations.filter(isRecord) : []
  const choices = annotations
    .filter(({ was_cancelled: cancelled }) => cancelled !== true)
    .map((annotation) => ({
      fields,
      choice: chosen(annotation.result),
      who: named(annotation.completed_by),
    }))
  return choices.length > 0 ? choices : [{ fields, choice: undefined, who: by }]
}

/** Of an annotation's results: a choice, or the side of a `Pairwise` tag. */
function chosen(results: unknown): unknown {
  for (const result of Array.isArray(results) ? results : []) {
    const value = isRecord(result) && isRecord(result.value) ? result.value : {}
    if (Array.isArray(value.choices)) return value.choices[0]
    if (value.selected !== undefined) return value.selected
  }
  return undefined
}
