import { CONTEXT_VALUE_LIMIT, isDeclarable, pickContext } from '../../models/reading/transcript.ts'
import { labelCell, shown } from './cell.ts'
import type { RowContext } from './expression.ts'
import { type CompiledMapping, compileMapping, type Mapping, rowsAt } from './mapping.ts'
import type {
  LeftOut,
  LogRow,
  RawRecord,
  Reader,
  ReaderSettings,
  ReadRecord,
  ReadRow,
  Reject,
  RowOrigin,
} from './reader.ts'
import { isRecord } from './record.ts'

/** Scores from another file, by the key that they share with the rows. */
export interface JoinedScores {
  /** the file they come from, and the field that is compared, for messages */
  readonly name: string
  get(key: string): RawRecord | undefined
}

/** Settings for turning a file's records into rows; plain data, so that it can be sent to a thread. */
export interface PlacerSpec extends ReaderSettings {
  readonly path: string
  /** the reader's name */
  readonly format: string
  readonly columns: ReadonlySet<string>
  readonly sample: readonly RawRecord[]
  /** the user's mapping, which wins over a preset's */
  readonly mapping?: Mapping
  /** facts from files beside this one */
  readonly beside?: RawRecord
  /** the one to use of several scores with names */
  readonly scoreName?: string
  /** the column whose value keeps rows in one split */
  readonly groupBy?: string
  /** refuse rows without a time, because the splits need it */
  readonly needsTime?: boolean
  /** set only where one thread reads the file */
  readonly joined?: JoinedScores
}

/** Hands on the rows, rejects and rows left out that one record of a file stands for. */
export type Place = (item: ReadRecord, take: (row: Row) => void) => void

export function createPlacer(reader: Reader, spec: PlacerSpec): Place {
  const { path } = spec
  const read = checkedRow(reader.open(spec.columns, spec.sample, spec), spec)
  const spread = mappedRows(reader, spec, read)
  return (item, take) => {
    const origin: RowOrigin = { path, line: item.line }
    const place = item.rowGroup === undefined ? origin : { ...origin, rowGroup: item.rowGroup }
    if (!('record' in item)) {
      take({ kind: 'reject', origin: place, field: item.field, reason: item.reason })
    } else if (spread) spread(item, place, take)
    else {
      const row = read(item.record, place, item.record)
      if (row) take(row)
    }
  }
}

type ReadMapped = (
  record: RawRecord,
  origin: RowOrigin,
  /** the record before it was mapped */
  raw: RawRecord,
) => ReturnType<ReadRow>

/** Reads a row, and its time and group where the splits need them. */
function checkedRow(read: ReadRow, { groupBy, needsTime, context }: PlacerSpec): ReadMapped {
  return (record, origin, raw) => {
    const found = read(record, origin)
    if (found === undefined || found.kind === 'reject') return found
    const records = [record, raw]
    if (found.kind === 'left_out') {
      // an answer that cannot be placed only counts
      const { answer, ...counted } = found
      const placed = answer && placing(answer, origin, records)
      return placed && !('reason' in placed) ? { ...counted, answer: placed } : counted
    }
    return placing(found, origin, records)
  }
  function placing<T extends Placed>(row: T, origin: RowOrigin, records: readonly RawRecord[]) {
    const declared = declaring(row, origin, context, records)
    if ('reason' in declared) return declared
    if (needsTime && declared.timestamp === undefined) {
      const reason = 'expected a time, which --test-after compares; got nothing'
      return { kind: 'reject', origin, field: 'timestamp', reason } as const
    }
    if (groupBy === undefined) return declared
    const [record, raw] = records
    const group = labelCell(record![groupBy] ?? raw![groupBy])
    if ('reason' in group) {
      return { kind: 'reject', origin, field: groupBy, reason: group.reason } as const
    }
    return group.value === undefined ? declared : { ...declared, group: group.value }
  }
}

type Placed = Pick<LogRow, 'context' | 'timestamp' | 'group'>

/**
 * The row with the values of the keys of --context: from its columns, its `metadata`, or the transcript that it
 * was read from.
 */
function declaring<T extends Placed>(
  row: T,
  origin: RowOrigin,
  keys: readonly string[] | undefined,
  records: readonly RawRecord[],
): T | Reject {
  const { context: read, ...rest } = row
  const bare = rest as T
  if (!keys) return read ? bare : row
  const given: RawRecord[] = [
    ...records,
    ...records.flatMap(({ metadata }) => (isRecord(metadata) ? [metadata] : [])),
    ...(read ? [read] : []),
  ]
  const values: Record<string, unknown> = {}
  for (const key of keys) {
    const from = given.find((one) => Object.hasOwn(one, key) && !isEmpty(one[key]))
    if (!from) continue
    const value = from[key]
    if (!isDeclarable(value)) {
      const expected = `expected a number, true, false or text of at most ${CONTEXT_VALUE_LIMIT} characters`
      const reason = `${expected}, got ${shown(value)}`
      return { kind: 'reject', origin, field: key, reason }
    }
    values[key] = value
  }
  const context = pickContext(values, keys)
  return context ? { ...bare, context } : bare
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === '' || Number.isNaN(value)

type Row = LogRow | Reject | LeftOut

type Spread = (
  item: Extract<ReadRecord, { readonly record: RawRecord }>,
  origin: RowOrigin,
  take: (row: Row) => void,
) => void

/** For layouts whose records are mapped, or hold several rows; undefined for all others. */
function mappedRows(reader: Reader, spec: PlacerSpec, read: ReadMapped): Spread | undefined {
  const map = recordMapper(reader, spec)
  if (!map) return undefined
  const { rows, compiled, apply } = map
  const joined = compiled.joins ? spec.joined : undefined
  const readOne = (context: RowContext, origin: RowOrigin): Row | undefined => {
    const reason = compiled.leftOut(context)
    if (reason !== undefined) return { kind: 'left_out', reason }
    const found = joined ? joinScores(joined, compiled, context) : context
    const made = apply(found ?? context)
    const row = read(made, origin, context.record)
    if (found !== undefined || made.score !== undefined) return row
    // nobody rated it, or it is no answer
    const answer = row?.kind === 'left_out' ? row.answer : undefined
    return { kind: 'left_out', reason: `no score in ${joined!.name}`, ...(answer && { answer }) }
  }
  /** an element of a list in a document that is not held */
  const alone = (record: RawRecord, document: RawRecord): readonly RowContext[] => {
    if (!reader.expand) return [{ record, document }]
    const [path] = reader.expandsList?.split('|') ?? []
    const whole = withElement(document, path?.split('.') ?? [], record)
    return reader.expand(whole, spec.beside ?? {}).map((one) => ({ record: one, document: one }))
  }
  return (item, origin, take) => {
    const { record, document } = item
    if (document) {
      const place = item.item === undefined ? origin : { ...origin, item: item.item }
      for (const one of alone(record, document)) {
        const row = readOne(one, place)
        if (row) take(row)
      }
      return
    }
    const documents = reader.expand?.(record, spec.beside ?? {}) ?? [record]
    for (const [d, one] of documents.entries()) {
      const found = rows === undefined ? [one] : rowsAt(one, rows)
      if (found === undefined) {
        take({
          kind: 'reject',
          origin,
          field: rows!,
          reason: 'expected a list of rows, got nothing',
        })
        continue
      }
      const many = (rows !== undefined && found[0] !== one) || documents.length > 1
      for (const [i, value] of found.entries()) {
        const place = many ? { ...origin, item: (rows === undefined ? d : i) + 1 } : origin
        const row = isRecord(value)
          ? readOne({ record: value, document: one }, place)
          : notAnObject(value, place, rows)
        if (row) take(row)
      }
    }
  }
}

/** The document with one element at the path, in lists of one. */
function withElement(document: unknown, path: readonly string[], element: RawRecord): RawRecord {
  const [key, ...rest] = path
  const around = isRecord(document) ? document : {}
  if (key === undefined) return element
  const inside = withElement(around[key], rest, element)
  return { ...around, [key]: [inside] }
}

const notAnObject = (value: unknown, origin: RowOrigin, field = '(record)'): Reject => ({
  kind: 'reject',
  origin,
  field,
  reason: `expected an object, got ${shown(value)}`,
})

function joinScores(
  joined: JoinedScores,
  compiled: CompiledMapping,
  context: RowContext,
): RowContext | undefined {
  for (const key of compiled.keys(context)) {
    const found = joined.get(key)
    if (found !== undefined) return { ...context, joined: found }
  }
  return undefined
}

export interface RecordMapper {
  /** where the rows stand in a record of the file */
  readonly rows: string | undefined
  readonly compiled: CompiledMapping
  /** the fields that the reader reads */
  apply(context: RowContext): RawRecord
}

/**
 * The mapping of a preset with the user's over it, whose records hold the mapped fields alone; or the user's
 * alone, whose records keep their other columns. Undefined if nothing is mapped.
 */
export function recordMapper(
  reader: Pick<Reader, 'mapping' | 'expand'> | undefined,
  {
    path,
    beside,
    scoreName,
    mapping: users,
  }: Pick<PlacerSpec, 'path' | 'beside' | 'mapping' | 'scoreName'>,
): RecordMapper | undefined {
  const preset = reader?.mapping
  if (!preset && !users && !reader?.expand) return undefined
  const mapping = mergedMapping(preset, users)
  const compiled = compileMapping(mapping, {
    path,
    ...(beside && { beside }),
    ...(scoreName !== undefined && { scoreName }),
  })
  const withScore = (made: Record<string, unknown>, joinedTo: RawRecord | undefined): RawRecord => {
    if (joinedTo && made.score === undefined) made.score = joinedTo.score
    return made
  }
  if (preset) {
    return {
      rows: mapping.rows,
      compiled,
      apply: (context) => withScore(compiled.read(context), context.joined),
    }
  }
  const renamed = Object.values(mapping.fields)
  return {
    rows: mapping.rows,
    compiled,
    apply(context) {
      const copy: Record<string, unknown> = Object.assign(Object.create(null), context.record)
      for (const theirs of renamed) delete copy[theirs]
      return withScore(Object.assign(copy, compiled.read(context)), context.joined)
    },
  }
}

function mergedMapping(preset: Mapping | undefined, users: Mapping | undefined): Mapping {
  const fields = { ...preset?.fields, ...users?.fields }
  return { ...preset, ...users, fields }
}
