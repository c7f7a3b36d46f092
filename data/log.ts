import { WeirError } from '../models/errors.ts'
import { openArrowTable } from './arrow-table.ts'
import { labelCell } from './cell.ts'
import { openParquet } from './parquet.ts'
import type { LogRow, RawRecord, ReaderSettings, ReadRecord, Reject, RowOrigin } from './reader.ts'
import { findReader } from './readers/registry.ts'
import { type Source, STDIN } from './source.ts'
import type { Table } from './table.ts'
import { openText } from './text-table.ts'

/** A log being read: batches of rows and rejects, in the file's order. */
export interface Log {
  /** the layout's name */
  readonly format: string
  readonly rows: AsyncIterable<readonly (LogRow | Reject)[]>
}

export interface LogOptions extends ReaderSettings {
  /** a layout's name, instead of recognising it */
  readonly format?: string
  /** our column name to the file's */
  readonly map?: ReadonlyMap<string, string>
  /** the column whose value keeps rows in one split */
  readonly groupBy?: string
}

const SAMPLE_RECORDS = 100

/** Recognises what a file holds by its content and opens it. Throws `format_unknown`, `column_missing`. */
export async function openLog(source: Source, options: LogOptions = {}): Promise<Log> {
  const { map, groupBy } = options
  const table = await openTable(source)
  const rename = map && map.size > 0 ? renamer(map) : undefined
  const raw = await table.sample(SAMPLE_RECORDS)
  const sample = rename ? raw.map(rename) : raw
  const columns = renamed(table.columns, map)
  for (const record of sample) for (const name of Object.keys(record)) columns.add(name)
  const reader = findReader(source.path, columns, sample, options.format)
  if (groupBy !== undefined && sample.length > 0 && !columns.has(groupBy)) {
    throw new WeirError('column_missing', { column: groupBy, path: source.path, got: [...columns] })
  }
  const read = reader.open(columns, sample, options)

  const place = (item: ReadRecord): LogRow | Reject => {
    const origin: RowOrigin =
      item.rowGroup === undefined
        ? { path: source.path, line: item.line }
        : { path: source.path, line: item.line, rowGroup: item.rowGroup }
    if (!('record' in item))
      return { kind: 'reject', origin, field: item.field, reason: item.reason }
    const record = rename ? rename(item.record) : item.record
    const row = read(record, origin)
    if (groupBy === undefined || row.kind === 'reject') return row
    const group = labelCell(record[groupBy])
    if ('reason' in group) return { kind: 'reject', origin, field: groupBy, reason: group.reason }
    return group.value === undefined ? row : { ...row, group: group.value }
  }

  async function* rows(): AsyncGenerator<readonly (LogRow | Reject)[]> {
    const wanted = reader.columns?.(columns)
    const named = wanted && (groupBy === undefined ? wanted : [...new Set([...wanted, groupBy])])
    try {
      for await (const batch of table.records(named?.map((name) => map?.get(name) ?? name))) {
        yield batch.map(place)
      }
    } finally {
      await table.close()
    }
  }
  return { format: reader.name, rows: rows() }
}

/** The container, by its first bytes. */
async function openTable(source: Source): Promise<Table> {
  const { path } = source
  const chunks = source.chunks()[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done) throw new WeirError('rows_too_few', { expected: 1, what: `in ${path}`, got: 0 })
  const head = first.value
  const magic = head.toString('latin1', 0, 6)
  const columnar = magic.startsWith('PAR1') ? 'Parquet' : magic === 'ARROW1' ? 'Arrow' : undefined
  if (columnar) {
    await chunks.return?.()
    if (path === STDIN || source.compressed()) {
      const reason = `${columnar} is read from a file of its own, not compressed and not from stdin`
      throw new WeirError('file_unreadable', { path, reason })
    }
    return columnar === 'Parquet' ? openParquet(path) : openArrowTable(path)
  }
  refuseOther(path, head)
  return openText(head, prepend(head, chunks))
}

/** Formats that people have and we do not read, each with what to do. */
function refuseOther(path: string, head: Buffer): void {
  const hex = head.toString('hex', 0, 4)
  const reason =
    hex.startsWith('fffe') || hex.startsWith('feff')
      ? 'it is UTF-16; expected UTF-8'
      : hex.startsWith('504b0304')
        ? 'it is a zip archive; unpack it first'
        : /^80(04|05)/.test(hex)
          ? 'it is a Python pickle; save it as Parquet: pandas.read_pickle(path).to_parquet(...)'
          : undefined
  if (reason) throw new WeirError('file_unreadable', { path, reason })
}

function renamer(map: ReadonlyMap<string, string>): (record: RawRecord) => RawRecord {
  return (record) => {
    const copy: Record<string, unknown> = Object.assign(Object.create(null), record)
    for (const theirs of map.values()) delete copy[theirs]
    for (const [ours, theirs] of map) {
      if (Object.hasOwn(record, theirs)) copy[ours] = record[theirs]
    }
    return copy
  }
}

function renamed(
  columns: ReadonlySet<string> | undefined,
  map: ReadonlyMap<string, string> | undefined,
): Set<string> {
  const names = new Set(columns)
  for (const [ours, theirs] of map ?? []) if (names.delete(theirs)) names.add(ours)
  return names
}

async function* prepend(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
