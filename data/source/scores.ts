import { WeirError } from '../../core/errors.ts'
import { FIELD_NAMES, plainName, scoreWord } from '../readers/long.ts'
import { SCORE_FILES } from '../readers.ts'
import { shown } from '../rows/cell.ts'
import { compileExpression } from '../rows/expression.ts'
import { type CompiledMapping, compileMapping, rowsAt } from '../rows/mapping.ts'
import type { JoinedScores } from '../rows/placer.ts'
import type { RawRecord, Reject, RowOrigin, ScoreFile } from '../rows/reader.ts'
import { isRecord } from '../rows/record.ts'
import { openTable } from './log.ts'
import { openSource, type Source, STDIN } from './source.ts'

/** A file of scores to be joined with the rows of the logs. */
export interface ScoresOption {
  readonly path: string
  /** the field with the key, if the rows' field has another name: `ours=theirs` or `ours` */
  readonly on?: string
}

export interface ScoresOptions {
  readonly scores?: ScoresOption
  /** the one to use of several scores with names */
  readonly scoreName?: string
}

/** The logs of a run without its files of scores, and those scores. */
export interface GatheredScores {
  readonly logs: readonly Source[]
  /** undefined if there is no file of scores */
  readonly joined?: JoinedScores
  readonly files: readonly {
    readonly source: Source
    readonly rows: number
    readonly format: string
  }[]
}

const SAMPLE_RECORDS = 100
/** What the value of a score is called in files of scores alone. */
const VALUE_NAMES = [...FIELD_NAMES.score, 'value', 'numeric_value', 'float_value', 'number_value']
const NAME_NAMES = ['name', 'score_name', 'metric', 'metric_name', 'key', 'evaluator']

/**
 * Reads the scores of `--scores`, and of those logs that are known files of scores, into memory: about 200
 * bytes per key. Scores with one key are averaged.
 *
 * @param reject gets every row of those files that cannot be read
 * @throws option_invalid if the files hold several scores by name and none was chosen; column_missing
 */
export async function gatherScores(
  sources: readonly Source[],
  { scores, scoreName }: ScoresOptions,
  reject: (reject: Reject) => Promise<void> = async () => {},
  signal?: AbortSignal,
): Promise<GatheredScores> {
  const logs: Source[] = []
  const found: { readonly source: Source; readonly layout: ScoreFile }[] = []
  if (scores) {
    const source = await openSource(scores.path, signal)
    found.push({ source, layout: await scoresLayout(source, scores.on) })
  }
  for (const source of sources) {
    const layout = sources.length > 1 ? await knownScores(source) : undefined
    if (layout) found.push({ source, layout })
    else logs.push(source)
  }
  if (found.length === 0) return { logs, files: [] }
  const index = new ScoreIndex(found.map(({ source }) => source.path).join(', '))
  const files = []
  for (const { source, layout } of found) {
    const rows = await index.read(source, layout, scoreName, reject)
    files.push({ source, rows, format: layout.name })
  }
  return { logs, joined: index, files }
}

/** The layout of a file of scores that a preset knows. */
async function knownScores(source: Source): Promise<ScoreFile | undefined> {
  if (source.path === STDIN || source.size === 0) return undefined
  const begin = await beginning(source).catch((error: unknown) => {
    if (error instanceof WeirError && error.code === 'rows_too_few') return undefined
    throw error
  })
  if (!begin) return undefined
  const { columns, sample } = begin
  return SCORE_FILES.find((known) => known.recognises(columns, sample))
}

/** The layout of `--scores`: a known one, or by what its columns are called. */
async function scoresLayout(source: Source, on: string | undefined): Promise<ScoreFile> {
  const { columns, sample } = await beginning(source)
  const known = SCORE_FILES.find((layout) => layout.recognises(columns, sample))
  const theirs = on?.slice(on.indexOf('=') + 1)
  if (known) {
    const { mapping } = known
    if (theirs === undefined) return known
    return { ...known, mapping: { ...mapping, fields: { ...mapping.fields, key: theirs } } }
  }
  if (theirs === undefined) {
    const expected = `the field by which rows find their score in ${source.path}, such as trace_id`
    throw new WeirError('option_invalid', { option: '--on', expected, got: 'nothing' })
  }
  const named = new Map([...columns].map((column) => [plainName(column), column]))
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => named.get(name)).find((name) => name !== undefined && name !== theirs)
  const key = compileExpression(theirs, { path: source.path })
  const score = first(VALUE_NAMES)
  const lacks = (column: string): WeirError =>
    new WeirError('column_missing', { column, path: source.path, got: [...columns] })
  if (!sample.some((record) => key.value({ record, document: record }) !== undefined))
    throw lacks(theirs)
  if (score === undefined) throw lacks('score (or value)')
  const name = first(NAME_NAMES)
  return {
    name: 'scores',
    recognises: () => true,
    mapping: { fields: { key: theirs, score, ...(name !== undefined && { name }) } },
  }
}

async function beginning(source: Source) {
  const table = await openTable(source)
  try {
    const sample = await table.sample(SAMPLE_RECORDS)
    const columns = new Set(table.columns)
    for (const record of sample) for (const name of Object.keys(record)) columns.add(name)
    return { columns, sample }
  } finally {
    await table.close()
  }
}

/** Mean scores and further fields by key. */
class ScoreIndex implements JoinedScores {
  readonly name: string
  private readonly entries = new Map<string, { sum: number; count: number; more?: RawRecord }>()
  private readonly names = new Set<string>()

  constructor(name: string) {
    this.name = name
  }

  get(key: string): RawRecord | undefined {
    const entry = this.entries.get(key)
    return entry && { ...entry.more, score: entry.sum / entry.count }
  }

  /** @returns the number of rows read */
  async read(
    source: Source,
    { mapping }: ScoreFile,
    scoreName: string | undefined,
    reject: (reject: Reject) => Promise<void>,
  ): Promise<number> {
    const { path } = source
    const compiled = compileMapping(mapping, {
      path,
      ...(scoreName !== undefined && { scoreName }),
    })
    const table = await openTable(source)
    let rows = 0
    try {
      const { columns, documentFacts: facts } = compiled
      const list = mapping.rows === undefined ? undefined : { path: mapping.rows, columns, facts }
      for await (const batch of table.records(columns, list)) {
        for (const item of batch) {
          const place: RowOrigin = { path, line: item.line }
          const origin = item.rowGroup === undefined ? place : { ...place, rowGroup: item.rowGroup }
          rows++
          if (!('record' in item)) {
            await reject({ kind: 'reject', origin, field: item.field, reason: item.reason })
            continue
          }
          const document = item.document ?? item.record
          const records =
            mapping.rows === undefined || item.document
              ? [item.record]
              : (rowsAt(document, mapping.rows) ?? [])
          for (const record of records) {
            const fault = isRecord(record)
              ? this.add(record, document, compiled, scoreName)
              : { field: '(record)', reason: `expected an object, got ${shown(record)}` }
            if (fault) await reject({ kind: 'reject', origin, ...fault })
          }
        }
      }
    } finally {
      await table.close()
    }
    if (scoreName === undefined && this.names.size > 1) {
      const expected = `the one to use of the scores in ${path}: ${[...this.names].join(', ')}`
      throw new WeirError('option_invalid', { option: '--score-name', expected, got: 'nothing' })
    }
    return rows
  }

  private add(
    record: RawRecord,
    document: RawRecord,
    compiled: CompiledMapping,
    scoreName: string | undefined,
  ): { readonly field: string; readonly reason: string } | undefined {
    const context = { record, document }
    if (compiled.leftOut(context) !== undefined) return undefined
    const { key, score, name, ...more } = compiled.read(context)
    if (name !== undefined && name !== null) {
      if (scoreName !== undefined && String(name) !== scoreName) return undefined
      if (this.names.size < 20) this.names.add(String(name))
    }
    if (score === undefined || score === null || score === '') return undefined
    const value = scoreWord(score)
    if (value === undefined || Number.isNaN(value)) {
      return { field: 'score', reason: `expected a score, got ${shown(score)}` }
    }
    if (key === undefined || key === null || key === '') {
      return { field: 'key', reason: 'expected the key of the row it belongs to, got nothing' }
    }
    const entry = this.entries.get(String(key))
    if (entry) {
      entry.sum += value
      entry.count++
    } else {
      const others = Object.keys(more).length > 0 ? { more } : {}
      this.entries.set(String(key), { sum: value, count: 1, ...others })
    }
    return undefined
  }
}
