import { WeirError } from '../../core/errors.ts'
import { findReader } from '../readers.ts'
import { createPlacer, type PlacerSpec, renamer } from '../rows/placer.ts'
import type { LogRow, Reject } from '../rows/reader.ts'
import { openArrowTable } from './arrow-table.ts'
import { openText } from './jsonl.ts'
import { openParquet } from './parquet.ts'
import { type Source, STDIN } from './source.ts'
import type { Table } from './table.ts'

/** A recognised log, ready to be read once. */
export interface Log {
  /** how its records become rows; can be sent to a thread */
  readonly spec: PlacerSpec
  /** whether it is JSON lines, which threads can share */
  readonly lines: boolean
  /** batches of rows and rejects, in the file's order */
  rows(): AsyncIterable<readonly (LogRow | Reject)[]>
  close(): Promise<void>
}

export interface LogOptions
  extends Pick<PlacerSpec, 'map' | 'groupBy' | 'scoreRange' | 'needsTime' | 'decisions'> {
  /** a layout's name, to use instead of recognising it */
  readonly format?: string
}

const SAMPLE_RECORDS = 100

/** Opens a file, recognising its layout by content. Throws `format_unknown`, `column_missing`. */
export async function openLog(source: Source, options: LogOptions = {}): Promise<Log> {
  const table = await openTable(source)
  try {
    return await recognise(table, source.path, options)
  } catch (error) {
    await table.close()
    throw error
  }
}

async function recognise(table: Table, path: string, options: LogOptions): Promise<Log> {
  const { map, groupBy, scoreRange, needsTime, decisions } = options
  const rename = renamer(map)
  const raw = await table.sample(SAMPLE_RECORDS)
  const sample = rename ? raw.map(rename) : raw
  const columns = renamed(table.columns, map)
  for (const record of sample) for (const name of Object.keys(record)) columns.add(name)
  const reader = findReader(path, columns, sample, options.format)
  if (groupBy !== undefined && sample.length > 0 && !columns.has(groupBy)) {
    throw new WeirError('column_missing', { column: groupBy, path, got: [...columns] })
  }
  const spec: PlacerSpec = {
    path,
    format: reader.name,
    columns,
    sample,
    ...(map && { map }),
    ...(groupBy !== undefined && { groupBy }),
    ...(scoreRange && { scoreRange }),
    ...(needsTime && { needsTime }),
    ...(decisions && { decisions }),
  }

  async function* rows(): AsyncGenerator<readonly (LogRow | Reject)[]> {
    const wanted = reader.columns?.(columns)
    const named = wanted && (groupBy === undefined ? wanted : [...new Set([...wanted, groupBy])])
    const place = createPlacer(reader, spec)
    for await (const batch of table.records(named?.map((name) => map?.get(name) ?? name))) {
      yield batch.map(place).filter((row) => row !== undefined)
    }
  }
  return {
    spec,
    lines: (table.lines ?? false) && !reader.sequential,
    rows,
    close: () => table.close(),
  }
}

/** Detects the container from its first bytes. */
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
  const refused = refusedFormat(head)
  if (refused) {
    await chunks.return?.()
    throw new WeirError('file_unreadable', { path, reason: refused })
  }
  return openText(head, prepend(head, chunks))
}

/** Common formats that Weir does not read, each with advice. */
function refusedFormat(head: Buffer): string | undefined {
  const hex = head.toString('hex', 0, 4)
  if (hex.startsWith('fffe') || hex.startsWith('feff')) return 'it is UTF-16; expected UTF-8'
  if (hex.startsWith('504b0304')) return 'it is a zip archive; unpack it first'
  if (!/^80(04|05)/.test(hex)) return undefined
  return 'it is a Python pickle; save it as Parquet: pandas.read_pickle(path).to_parquet(...)'
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
  try {
    yield first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}
