import { createHash } from 'node:crypto'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import type { OnProgress } from '../core/progress.ts'
import { pickContext, readTranscript, transcript } from '../models/reading/transcript.ts'
import { fieldColumns } from './readers/long.ts'
import { isDecisionLogLine } from './readers/weir-log.ts'
import { labelCell, promptCell, systemCell, toolsCell } from './rows/cell.ts'
import { compileExpression } from './rows/expression.ts'
import type { RawRecord, ReadRecord } from './rows/reader.ts'
import { isRecord } from './rows/record.ts'
import { expandPaths } from './source/expand-paths.ts'
import { openText } from './source/jsonl.ts'
import { openTable } from './source/log.ts'
import { openQuery, QUERY_PATH, type QueryOption } from './source/query.ts'
import { openSource, prepend } from './source/source.ts'
import type { Table } from './source/table.ts'

/** Prompts from files that need no other data: a column `prompt` (text or messages) or `messages`. */
export interface PromptLog {
  /** the texts used for routing, in file order, including repeats, because shares are of requests */
  readonly prompts: readonly string[]
  readonly sources: readonly { path: string; sha256: string; rows: number }[]
}

/**
 * Reads JSONL, JSON, CSV or TSV, plain or compressed, and Weir's own decision logs; paths may be folders or
 * patterns.
 *
 * @param context keys of declared context, read from columns or `metadata`
 * @throws row_invalid, naming file and line, at the first record without a prompt; log_needs for a decision that
 * was logged without its text; rows_too_few if there are no prompts
 */
export async function readPrompts(
  paths: readonly string[],
  signal?: AbortSignal,
  context: readonly string[] = [],
): Promise<PromptLog> {
  const prompts: string[] = []
  const sources: { path: string; sha256: string; rows: number }[] = []
  for (const path of await expandPaths(paths)) {
    const before = prompts.length
    const source = await openSource(path, signal)
    const chunks = source.chunks()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (!first.done) {
      const table = openText(first.value, prepend([first.value], chunks))
      for await (const { prompt } of promptsOf(table, path, { context })) prompts.push(prompt)
      sources.push({ path, sha256: await source.sha256(), rows: prompts.length - before })
    }
  }
  if (prompts.length === 0) throw noPrompts(paths)
  return { prompts, sources }
}

const noPrompts = (paths: readonly string[]): WeirError =>
  new WeirError('rows_too_few', { expected: 1, what: `in ${paths.join(', ')}`, got: 0 })

/** A prompt that models can be asked, with what its file says of it. */
export interface PromptRow {
  /** everything of the conversation as one text (`transcript`) */
  readonly prompt: string
  /** as OpenAI's API takes them */
  readonly messages: readonly RawRecord[]
  /** tool definitions; only whole ones, as a model cannot call a name */
  readonly tools?: readonly RawRecord[]
  /** the group it belongs to: a task, a tenant, a template */
  readonly category?: string
  /** the right answer, for checks without a model */
  readonly reference?: string
  /** what the application declares of it (`--context` of `weir train`) */
  readonly metadata?: RawRecord
  /** how often the files have it */
  readonly times: number
}

export interface PromptRowsOptions {
  /** where the group stands, such as `category` (the default) or `metadata.feature` */
  readonly category?: string | undefined
  /** where the right answer stands; by default `reference`, `expected`, `answer` or `ground_truth` */
  readonly reference?: string | undefined
  /** rows that DuckDB selects, beside the files */
  readonly query?: QueryOption | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const REFERENCES = 'reference|expected|answer|ground_truth'

/**
 * The distinct prompts of files in any format that logs have (JSON lines, JSON, CSV, Parquet, Arrow, plain or
 * compressed), of Weir's decision logs and of a query, in the order in which they first appear. Answers at the end of a
 * conversation are left off: they are what is to be asked for.
 *
 * @throws row_invalid, log_needs, rows_too_few, as `readPrompts`
 */
export async function readPromptRows(
  paths: readonly string[],
  options: PromptRowsOptions,
): Promise<{ readonly rows: readonly PromptRow[]; readonly sources: PromptLog['sources'] }> {
  const { query, signal, onProgress } = options
  const rows = new Map<string, PromptRow>()
  const sources: { path: string; sha256: string; rows: number }[] = []
  const read = async (table: Table, path: string): Promise<number> => {
    let read = 0
    const category = compileExpression(options.category ?? 'category', { path })
    const reference = compileExpression(options.reference ?? REFERENCES, { path })
    const sample = await table.sample(100)
    const names = new Set(sample.flatMap(Object.keys))
    const column = fieldColumns(names, sample).get('prompt')
    for await (const { prompt, record, line } of promptsOf(table, path, { asking: { column } })) {
      read++
      const known = rows.get(prompt)
      if (known) {
        rows.set(prompt, { ...known, times: known.times + 1 })
        continue
      }
      const row = { record, document: record }
      const group = labelCell(category.value(row))
      if ('reason' in group) {
        throw invalid(path, line, options.category ?? 'category', group.reason)
      }
      rows.set(prompt, {
        ...askable(prompt, record, column),
        ...definedOnly({ category: group.value, reference: referenceText(reference.value(row)) }),
        ...(isRecord(record.metadata) && { metadata: record.metadata }),
        times: 1,
      })
      if (rows.size % 1000 === 0) onProgress?.({ stage: 'reading prompts', done: rows.size })
    }
    return read
  }
  for (const path of await expandPaths(paths)) {
    const source = await openSource(path, signal)
    const found = await read(await openTable(source), path)
    sources.push({ path, sha256: await source.sha256(), rows: found })
  }
  if (query) {
    const sha256 = createHash('sha256').update(query.sql).digest('hex')
    const found = await read(await openQuery(query, { signal, onProgress }), QUERY_PATH)
    sources.push({ path: QUERY_PATH, sha256, rows: found })
  }
  if (rows.size === 0) throw noPrompts(query ? [...paths, QUERY_PATH] : paths)
  return { rows: [...rows.values()], sources }
}

/** A right answer as text: numbers and yes-or-no values as JSON writes them. */
function referenceText(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  return typeof value === 'string' ? value : JSON.stringify(value)
}

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function'])

/** What to send to a model: the record's own messages where OpenAI's API takes them as they are. */
function askable(
  prompt: string,
  record: RawRecord,
  column: string | undefined,
): Omit<PromptRow, 'times'> {
  const raw = promptIn(record, { column })
  const asIs =
    Array.isArray(raw) && raw.every((turn) => isRecord(turn) && ROLES.has(String(turn.role)))
  const { turns, tools } = readTranscript(prompt)
  const system = typeof record.system === 'string' && record.system !== ''
  const messages: readonly RawRecord[] = asIs
    ? [
        ...(system ? [{ role: 'system', content: record.system }] : []),
        ...unanswered(raw as RawRecord[]),
      ]
    : turns.map(({ role, text }) => ({ role: ROLES.has(role) ? role : 'user', content: text }))
  const whole = tools.filter((tool) => isRecord(tool.function))
  return { prompt, messages, ...(whole.length > 0 && { tools: whole }) }
}

/** A conversation without the answers at its end; as it is if nothing else is in it. */
function unanswered<Turn extends { readonly role?: unknown }>(turns: readonly Turn[]): Turn[] {
  const last = turns.findLastIndex(({ role }) => role !== 'assistant')
  return last < 0 ? [...turns] : turns.slice(0, last + 1)
}

interface FoundPrompt {
  readonly prompt: string
  readonly record: RawRecord
  readonly line: number
}

interface PromptReading {
  /** prompts to be asked: without the answers at the end of a conversation */
  readonly asking?: Asking
  /** keys of declared context that are read */
  readonly context?: readonly string[]
}

interface Asking {
  /** where the prompt stands if neither in `prompt` nor in `messages` */
  readonly column: string | undefined
}

const promptIn = (record: RawRecord, asking: Asking | undefined): unknown =>
  record.prompt ??
  record.messages ??
  (asking?.column === undefined ? undefined : record[asking.column])

async function* promptsOf(
  table: Table,
  path: string,
  reading: PromptReading,
): AsyncGenerator<FoundPrompt, void, undefined> {
  try {
    for await (const batch of table.records()) {
      for (const item of batch) {
        const prompt = promptOf(item, path, reading)
        if (prompt !== undefined && 'record' in item) {
          yield { prompt, record: item.record, line: item.line }
        }
      }
    }
  } finally {
    await table.close()
  }
}

/** A record's prompt as a transcript; undefined for lines that are no requests. */
function promptOf(
  item: ReadRecord,
  path: string,
  { asking, context = [] }: PromptReading,
): string | undefined {
  if (!('record' in item)) throw invalid(path, item.line, item.field, item.reason)
  const { record, line } = item
  const served = servedPrompt(record, path)
  if (served === null) return undefined
  const cell = promptCell(served ?? promptIn(record, asking))
  if ('reason' in cell) throw invalid(path, line, 'prompt', cell.reason)
  // a logged text is a transcript already
  if (served !== undefined) return served
  const system = systemCell(record.system)
  if ('reason' in system) throw invalid(path, line, 'system', system.reason)
  const tools = toolsCell(record.tools)
  if ('reason' in tools) throw invalid(path, line, 'tools', tools.reason)
  const { value } = cell
  const asked = asking && typeof value !== 'string' ? unanswered(value) : value
  const { metadata } = record
  const declared = { ...(metadata as RawRecord | null | undefined), ...record }
  return transcript(asked, system.value, tools.value, pickContext(declared, context))
}

/**
 * The text of a decision; null for other lines of a decision log, which are no requests of their own; undefined
 * for records of any other log.
 */
function servedPrompt(record: RawRecord, path: string): string | null | undefined {
  if (record.prompt !== undefined || record.messages !== undefined) return undefined
  if (!isDecisionLogLine(record)) return undefined
  const { object, text, shadow, decision_id: decision } = record
  const request = object === 'decision' ? shadow !== true : object === 'gateway' && !decision
  if (!request) return null
  if (typeof text === 'string') return text
  if (object === 'gateway') return null
  throw new WeirError('log_needs', {
    what: 'reading prompts from a decision log',
    option: '--log-text full',
    path,
    got: 'none',
  })
}

const invalid = (path: string, line: number, field: string, reason: string): WeirError =>
  new WeirError('row_invalid', { path, line, field, reason })
