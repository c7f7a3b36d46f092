import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { wideReader } from '../readers/wide.ts'
import { findPreset, findReader, respelt } from '../readers.ts'
import type { Mapping } from '../rows/mapping.ts'
import { createPlacer, type PlacerSpec, recordMapper } from '../rows/placer.ts'
import type { LeftOut, LogRow, RawRecord, Reader, Reject } from '../rows/reader.ts'
import { openArrowTable } from './arrow-table.ts'
import { openText } from './jsonl.ts'
import { openParquet } from './parquet.ts'
import { type Source, STDIN } from './source.ts'
import type { Table } from './table.ts'

/** A recognised log, ready to be read once. */
export interface Log {
  /** how its records become rows; can be sent to a thread */
  readonly spec: PlacerSpec
  /** what the file's place says of its rows (`CompiledMapping.placed`) */
  readonly placed: string
  /** whether it is JSON lines, which threads can share */
  readonly lines: boolean
  /** what a user should know of how this file is read */
  readonly notes: readonly string[]
  /** batches of rows, rejects and rows left out, in the file's order */
  rows(): AsyncIterable<readonly (LogRow | Reject | LeftOut)[]>
  close(): Promise<void>
}

export interface LogOptions
  extends Pick<
    PlacerSpec,
    | 'mapping'
    | 'groupBy'
    | 'scoreRange'
    | 'scoreName'
    | 'needsTime'
    | 'decisions'
    | 'modelsFrom'
    | 'joined'
  > {
  /** a layout's name, to use instead of recognising it */
  readonly format?: string
  /** our fields and where they come from (`compileExpression`): the short form of `mapping.fields` */
  readonly map?: ReadonlyMap<string, string>
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
  const { groupBy, scoreRange, scoreName, needsTime, decisions, modelsFrom, joined } = options
  const raw = await table.sample(SAMPLE_RECORDS)
  const rawColumns = new Set(table.columns)
  for (const record of raw) for (const name of Object.keys(record)) rawColumns.add(name)
  const users = usersMapping(options)
  // a user who says where the rows are describes the whole layout
  const preset =
    users?.rows === undefined && modelsFrom === undefined
      ? findPreset(rawColumns, raw, options.format)
      : undefined
  const mapping = preset || users?.rows !== undefined ? users : withSpelling(users, rawColumns)
  const beside = await preset?.beside?.(path, raw)
  const mapped = definedOnly({
    path,
    mapping,
    beside,
    joined,
    scoreName,
  })
  const sample = mappedSample(preset, mapped, raw)
  const columns = mappedColumns(preset, mapping, table.columns, sample)
  const unknown = modelsFrom?.find((model) => sample.length > 0 && !columns.has(model))
  if (unknown !== undefined) {
    throw new WeirError('column_missing', { column: unknown, path, got: [...columns] })
  }
  if (sample.length > 0 && !preset) expectMapped(path, mapping, sample, rawColumns)
  // who names columns of models has a wide table
  const format = options.format ?? (modelsFrom && wideReader.name)
  const reader = preset ?? findReader(path, columns, sample, format)
  if (
    groupBy !== undefined &&
    sample.length > 0 &&
    ![columns, rawColumns].some((it) => it.has(groupBy))
  ) {
    throw new WeirError('column_missing', { column: groupBy, path, got: [...columns] })
  }
  const spec: PlacerSpec = definedOnly({
    ...mapped,
    format: reader.name,
    columns,
    sample,
    groupBy,
    scoreRange,
    needsTime,
    decisions,
    modelsFrom,
  })

  async function* rows(): AsyncGenerator<readonly (LogRow | Reject | LeftOut)[]> {
    const place = createPlacer(reader, spec)
    for await (const batch of table.records(neededColumns(reader, spec, rawColumns))) {
      const made: (LogRow | Reject | LeftOut)[] = []
      for (const item of batch) place(item, (row) => made.push(row))
      yield made
    }
  }
  return {
    spec,
    notes: reader.notes?.(columns, sample, spec, path) ?? [],
    placed: recordMapper(preset, mapped)?.compiled.placed ?? '',
    lines: (table.lines ?? false) && !reader.sequential && !joined,
    rows,
    close: () => table.close(),
  }
}

/** `map` and `mapping` as one; undefined if there is neither. */
function usersMapping({ map, mapping }: LogOptions): Mapping | undefined {
  if (!map || map.size === 0) return mapping
  return { ...mapping, fields: { ...mapping?.fields, ...Object.fromEntries(map) } }
}

/** With the columns whose names only differ in capitals and blanks from those that layouts know. */
function withSpelling(
  mapping: Mapping | undefined,
  columns: ReadonlySet<string>,
): Mapping | undefined {
  const named = new Set(Object.values(mapping?.fields ?? {}))
  const other = [...respelt(columns)].filter(([, theirs]) => !named.has(theirs))
  if (other.length === 0) return mapping
  return { ...mapping, fields: { ...Object.fromEntries(other), ...mapping?.fields } }
}

/** The first records as the reader will get them: without those that the mapping leaves out. */
function mappedSample(
  preset: Reader | undefined,
  mapped: Pick<PlacerSpec, 'path' | 'mapping' | 'beside' | 'joined' | 'scoreName'>,
  raw: readonly RawRecord[],
): readonly RawRecord[] {
  if (!recordMapper(preset, mapped)) return raw
  const sample: RawRecord[] = []
  const collect = (record: RawRecord): undefined => {
    if (sample.length < SAMPLE_RECORDS) sample.push(record)
  }
  const reader = { name: '', required: [], recognises: () => true, ...preset, open: () => collect }
  const place = createPlacer(reader, { ...mapped, format: '', columns: new Set(), sample: [] })
  for (const record of raw) place({ record, line: 1 }, () => {})
  return sample
}

/** The columns that the reader sees: the file's under their new names, or those of the mapped rows. */
function mappedColumns(
  preset: Reader | undefined,
  mapping: Mapping | undefined,
  columns: ReadonlySet<string> | undefined,
  sample: readonly RawRecord[],
): Set<string> {
  const whole = preset?.mapping === undefined && mapping?.rows === undefined
  const names = new Set(whole ? columns : [])
  for (const [ours, theirs] of Object.entries(mapping?.fields ?? {})) {
    if (names.delete(theirs)) names.add(ours)
  }
  for (const record of sample) for (const name of Object.keys(record)) names.add(name)
  return names
}

const REQUIRED_FIELDS = ['prompt', 'model', 'score', 'scores', 'model_a', 'model_b', 'winner']

/** A path of the user's that is in none of the first records is a mistake. Throws `column_missing`. */
function expectMapped(
  path: string,
  mapping: Mapping | undefined,
  sample: readonly RawRecord[],
  got: ReadonlySet<string>,
): void {
  for (const [ours, theirs] of Object.entries(mapping?.fields ?? {})) {
    if (!REQUIRED_FIELDS.includes(ours)) continue
    if (sample.some((record) => record[ours] !== undefined)) continue
    throw new WeirError('column_missing', {
      column: `${theirs} (for ${ours})`,
      path,
      got: [...got],
    })
  }
}

/** The file's columns that its rows are read from; undefined for all. */
function neededColumns(
  reader: Reader,
  spec: PlacerSpec,
  all: ReadonlySet<string>,
): readonly string[] | undefined {
  const map = recordMapper(reader, spec)
  if (reader.expand) return undefined
  const group = spec.groupBy === undefined ? [] : [spec.groupBy]
  if (!map) {
    const wanted = reader.columns?.(spec.columns)
    return wanted && [...new Set([...wanted, ...group])]
  }
  const mapped = map.compiled.columns
  if (mapped === undefined) return undefined
  const wanted = reader.mapping ? [] : reader.columns?.(spec.columns)
  return wanted && [...new Set([...mapped, ...wanted, ...group])].filter((name) => all.has(name))
}

/** Detects the container from its first bytes. */
export async function openTable(source: Source): Promise<Table> {
  const { path } = source
  const chunks = source.chunks()[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done) throw new WeirError('rows_too_few', { expected: 1, what: `in ${path}`, got: 0 })
  const head = first.value
  const columnar = columnarKind(head)
  if (columnar) {
    await chunks.return?.()
    if (path === STDIN || source.compressed()) {
      const reason = `${columnar} is read from a file of its own, not compressed and not from stdin`
      throw new WeirError('file_unreadable', { path, reason })
    }
    return columnar === 'Parquet' ? openParquet(path, source.expansion) : openArrowTable(path)
  }
  const refused = refusedFormat(head, path)
  if (refused) {
    await chunks.return?.()
    throw new WeirError('file_unreadable', { path, reason: refused })
  }
  return openText(head, prepend(head, chunks))
}

/** Parquet, or Arrow as a file or in its streaming format, which begins with -1 and the schema's length. */
function columnarKind(head: Buffer): 'Parquet' | 'Arrow' | undefined {
  const magic = head.toString('latin1', 0, 6)
  if (magic.startsWith('PAR1')) return 'Parquet'
  if (magic === 'ARROW1') return 'Arrow'
  const stream = head.length > 8 && head.readInt32LE(0) === -1
  return stream && head.readInt32LE(4) > 0 && head.readInt32LE(4) < 1 << 26 ? 'Arrow' : undefined
}

/** Common formats that Weir does not read, each with advice. */
function refusedFormat(head: Buffer, path: string): string | undefined {
  const hex = head.toString('hex', 0, 4)
  if (hex.startsWith('fffe') || hex.startsWith('feff')) return 'it is UTF-16; expected UTF-8'
  if (hex.startsWith('504b0304')) {
    return path.endsWith('.eval')
      ? `it is a log of Inspect; convert it: inspect log convert --to json --output-dir logs ${path}`
      : 'it is a zip archive; unpack it first'
  }
  if (!/^80(04|05)/.test(hex)) return undefined
  return 'it is a Python pickle; save it as Parquet: pandas.read_pickle(path).to_parquet(...)'
}

async function* prepend(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}
