import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { wideReader } from '../readers/wide.ts'
import { findPreset, findReader, respelt } from '../readers.ts'
import type { Mapping } from '../rows/mapping.ts'
import { createPlacer, type PlacerSpec, recordMapper } from '../rows/placer.ts'
import type { LeftOut, LogRow, RawRecord, Reader, Reject } from '../rows/reader.ts'
import { isRecord } from '../rows/record.ts'
import { openArrowTable } from './arrow-table.ts'
import { largeDocument, readBeginning } from './json-document.ts'
import { openText } from './jsonl.ts'
import { LINE_BYTES_MAX } from './lines.ts'
import { openParquet } from './parquet.ts'
import { prepend, type Source, STDIN } from './source.ts'
import type { RowList, Table } from './table.ts'

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
    | 'context'
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
  /** JSON documents with more bytes are not held whole, but read row by row; 32 MiB by default */
  readonly documentBytes?: number | undefined
}

const SAMPLE_RECORDS = 100

/** Opens a file, recognising its layout by content. Throws `format_unknown`, `column_missing`. */
export async function openLog(source: Source, options: LogOptions = {}): Promise<Log> {
  return openLogTable(await openTable(source, options.documentBytes), source.path, options)
}

/** The same of an open table, which is closed if it is refused; `path` is its name in messages. */
export async function openLogTable(
  table: Table,
  path: string,
  options: LogOptions = {},
): Promise<Log> {
  try {
    return await recognise(table, path, options)
  } catch (error) {
    await table.close()
    throw error
  }
}

async function recognise(table: Table, path: string, options: LogOptions): Promise<Log> {
  const { groupBy, context, scoreRange, scoreName, needsTime, decisions, modelsFrom, joined } =
    options
  const raw = await table.sample(SAMPLE_RECORDS)
  const rawColumns = new Set(table.columns)
  for (const record of raw) for (const name of Object.keys(record)) rawColumns.add(name)
  if (raw.length === 0 && rawColumns.size === 0) {
    await refuseUnreadable(table, path)
    throw noRows(path)
  }
  refuseColumnwise(raw, path)
  const users = usersMapping(options)
  // a user who says where the rows are describes the whole layout
  const preset =
    users?.rows === undefined && modelsFrom === undefined
      ? findPreset(rawColumns, raw, options.format)
      : undefined
  if (!preset && raw.length > 0 && raw.every(isEmptyPage)) throw noRows(path)
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
    context,
    scoreRange,
    needsTime,
    decisions,
    modelsFrom,
  })

  async function* rows(): AsyncGenerator<readonly (LogRow | Reject | LeftOut)[]> {
    const place = createPlacer(reader, spec)
    for await (const batch of table.records(
      neededColumns(reader, spec, rawColumns),
      rowList(reader, spec),
    )) {
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

const noRows = (path: string): WeirError =>
  new WeirError('rows_too_few', { expected: 1, what: `in ${path}`, got: 0 })

/** An answer of an API without rows: `{"data": [], "meta": {"page": 9}}`, with its list at most three levels down. */
const isEmptyPage = (record: RawRecord): boolean => {
  let level: unknown[] = Object.values(record)
  let empty = false
  for (let depth = 0; depth < 3; depth++) {
    const lists = level.filter(Array.isArray)
    if (lists.some(({ length }) => length > 0)) return false
    empty ||= lists.length > 0
    level = level.filter(isRecord).flatMap(Object.values)
  }
  return empty
}

/**
 * A table that pandas wrote column by column, which would pass for one record. Throws `file_unreadable`.
 *
 * `{"prompt": {"0": ..., "1": ...}}` (`to_json()`), `{"prompt": [...], "score": [...]}` (`to_dict("list")`) and
 * `{"columns": [...], "index": [...], "data": [[...]]}` (`orient="split"`).
 */
function refuseColumnwise(raw: readonly RawRecord[], path: string): void {
  const [record, more] = raw
  if (record === undefined || more !== undefined) return
  const columns = Object.values(record)
  const numbered = (value: unknown): boolean =>
    isRecord(value) && Object.keys(value).length > 1 && Object.keys(value)[1] === '1'
  const plain = (value: unknown): number =>
    Array.isArray(value) && !value.some(isRecord) ? value.length : -1
  const length = plain(columns[0])
  const split =
    Array.isArray(record.columns) && Array.isArray(record.data) && Array.isArray(record.data[0])
  const byColumn =
    columns.length > 1 &&
    (columns.every(numbered) || (length > 1 && columns.every((value) => plain(value) === length)))
  if (!split && !byColumn) return
  const reason =
    'it holds a table column by column; expected one JSON object a row: df.to_json(FILE, orient="records", lines=True)'
  throw new WeirError('file_unreadable', { path, reason })
}

/** Throws `file_unreadable` if there are records, and none of them could be read. */
async function refuseUnreadable(table: Table, path: string): Promise<void> {
  for await (const batch of table.records()) {
    for (const item of batch) {
      if ('record' in item) return
      const reason = `none of its first records could be read; line ${item.line}: ${item.reason}`
      throw new WeirError('file_unreadable', { path, reason })
    }
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
  const group = [
    ...(spec.groupBy === undefined ? [] : [spec.groupBy]),
    ...(spec.context ? [...spec.context, 'metadata'] : []),
  ]
  if (!map) {
    const wanted = reader.columns?.(spec.columns)
    return wanted && [...new Set([...wanted, ...group.filter((name) => all.has(name))])]
  }
  const mapped = map.compiled.columns
  if (mapped === undefined) return undefined
  const wanted = reader.mapping ? [] : reader.columns?.(spec.columns)
  return wanted && [...new Set([...mapped, ...wanted, ...group])].filter((name) => all.has(name))
}

/** Where the layout's rows stand in a document; undefined if a record is one row. */
function rowList(reader: Reader, spec: PlacerSpec): RowList | undefined {
  const map = recordMapper(reader, spec)
  const path = map?.rows ?? reader.expandsList
  if (!map || path === undefined) return undefined
  if (reader.expand) {
    return { path, columns: undefined, facts: JSON.stringify, gather: reader.gather }
  }
  const { columns, documentFacts: facts } = map.compiled
  return { path, columns, facts }
}

/**
 * Detects the container from its first bytes.
 *
 * @param documentBytes JSON documents with more bytes are read row by row
 */
export async function openTable(
  source: Source,
  documentBytes: number = LINE_BYTES_MAX,
): Promise<Table> {
  const { path } = source
  const chunks = source.chunks()[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done) throw noRows(path)
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
  if (!/^[\uFEFF\s]*\{/.test(head.toString('utf8', 0, 4096))) {
    return openText(head, prepend([head], chunks))
  }
  const { read, isLarge } = await readBeginning(chunks, head, documentBytes)
  const again = prepend(read, chunks)
  if (!isLarge) return openText(head, again)
  const once = path === STDIN
  const open = once ? () => again : () => source.chunks()
  const beginning = Buffer.concat(read).subarray(0, documentBytes)
  const large = largeDocument(path, beginning, { open, once }, (all) => openText(head, all))
  if (!large) return openText(head, again)
  if (!once) await chunks.return?.()
  return large
}

/** Parquet, or Arrow as a file or in its streaming format, which begins with -1 and the schema's length. */
function columnarKind(head: Buffer): 'Parquet' | 'Arrow' | undefined {
  const magic = head.toString('latin1', 0, 6)
  if (magic.startsWith('PAR1')) return 'Parquet'
  if (magic === 'ARROW1') return 'Arrow'
  const stream = head.length > 8 && head.readInt32LE(0) === -1
  return stream && head.readInt32LE(4) > 0 && head.readInt32LE(4) < 1 << 26 ? 'Arrow' : undefined
}

/** First bytes of common files that Weir does not read, and what to do with them. */
const REFUSED: readonly (readonly [start: string | RegExp, reason: string])[] = [
  ['\xff\xfe', 'it is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8 FILE'],
  ['\xfe\xff', 'it is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8 FILE'],
  ['PK\x03\x04', 'it is a zip archive (or Excel); unpack it, or save the sheet as CSV, first'],
  ...[2, 3, 4, 5].map(
    (version) =>
      [
        `\x80${String.fromCharCode(version)}`,
        'it is a Python pickle; save it as Parquet: pandas.read_pickle(path).to_parquet(...)',
      ] as const,
  ),
  [
    'SQLite format 3\0',
    'it is an SQLite database; export the table: sqlite3 -csv -header FILE "select * from TABLE"',
  ],
  ['PARE', 'it is encrypted Parquet'],
  ['ORC', 'it is ORC; save it as Parquet'],
  ['Obj\x01', 'it is Avro; save it as Parquet or JSON lines'],
  ['\x89HDF', 'it is HDF5; save the table as Parquet'],
  ['\x93NUMPY', 'it is a NumPy array; save the table as Parquet'],
  ['BZh', 'it is bzip2; unpack it first: bunzip2 FILE'],
  ['\xfd7zXZ', 'it is xz; unpack it first: unxz FILE'],
  ['\x04"M\x18', 'it is LZ4; unpack it first: unlz4 FILE'],
  ['%PDF', 'it is a PDF; save the table as CSV, JSON lines or Parquet'],
  [
    /^\s*<(!doctype html|html)/i,
    'it is a web page: the download was answered with a page, such as one to log in; open the address in a browser and save the file itself',
  ],
  [/^\s*<\?xml/i, 'it is XML; save the table as CSV, JSON lines or Parquet'],
  [
    'version https://git-lfs',
    'it is the pointer of a file in Git LFS: git lfs pull fetches the file',
  ],
]

/** Text in UTF-16 without a mark: every other byte of its first letters is 0. */
function isUtf16(start: string): boolean {
  const zeros = (from: number): boolean =>
    [0, 2, 4, 6].every((i) => start[from + i] === '\0' && start[1 - from + i] !== '\0')
  return start.length >= 8 && (zeros(0) || zeros(1))
}

/** More of a text's first bytes are never control characters, even where some are damaged. */
const CONTROL_SHARE = 0.1

function refusedFormat(head: Buffer, path: string): string | undefined {
  const start = head.toString('latin1', 0, 4096)
  if (path.endsWith('.eval') && start.startsWith('PK')) {
    return `it is a log of Inspect; convert it: inspect log convert --to json --output-dir logs ${path}`
  }
  const known = REFUSED.find(([begins]) =>
    typeof begins === 'string' ? start.startsWith(begins) : begins.test(start),
  )
  if (known) return known[1]
  if (isUtf16(start)) return 'it is UTF-16; expected UTF-8: iconv -f UTF-16LE -t UTF-8 FILE'
  let controls = 0
  for (const byte of head.subarray(0, 4096)) if (byte < 9 || (byte > 13 && byte < 32)) controls++
  if (controls > CONTROL_SHARE * start.length) {
    return 'it is binary, of no kind that is known here; save the table as CSV, JSON lines or Parquet'
  }
  return undefined
}
