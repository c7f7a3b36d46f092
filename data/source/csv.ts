import { Readable } from 'node:stream'
import type { Options } from 'csv-parse'
import type { RawRecord, ReadRecord, RecordStream } from '../rows/reader.ts'
import { COLUMNS_MAX, NOT_UTF8, tooManyColumns } from './lines.ts'

const BATCH = 512
/** Bytes within which the header's line must end: the parser takes half a microsecond for each until it has seen a line end. */
const HEADER_MOST = 1024 * 1024
/** The parser's replacement for bytes that are not UTF-8. */
const REPLACED = '\ufffd'

interface ParsedRecord {
  readonly info: { readonly empty_lines: number }
  readonly record: readonly string[]
}

/** How a file separates its cells, and how many lines stand before its header. */
export interface CsvDialect {
  readonly delimiter: ',' | '\t' | ';' | '|'
  readonly before: number
}

const DELIMITERS = [',', '\t', ';', '|'] as const

/** From the first line: the separator named by `sep=`, else the one met most often outside quotes. */
export function csvDialect(head: string): CsvDialect {
  const [first = '', second = ''] = head.split(/\r?\n/, 2)
  const named = /^"?sep=(.)"?\s*$/i.exec(first)
  const delimiter = DELIMITERS.find((one) => one === named?.[1])
  if (named) return { delimiter: delimiter ?? mostCommon(second), before: 1 }
  return { delimiter: mostCommon(first), before: 0 }
}

function mostCommon(line: string): CsvDialect['delimiter'] {
  const bare = line.replace(/"(?:[^"]|"")*"/g, '')
  const counts = DELIMITERS.map((delimiter) => bare.split(delimiter).length)
  return DELIMITERS[counts.indexOf(Math.max(...counts))]!
}

/**
 * The only import of csv-parse. Reads delimited text with a header line, whose names lose the blanks around
 * them; a record's line is the one it starts on, even if its cells contain newlines. Records with another
 * number of cells than the header are refused.
 */
export async function* readCsv(
  chunks: AsyncIterable<Buffer>,
  { delimiter, before }: CsvDialect,
): RecordStream & AsyncGenerator<readonly ReadRecord[]> {
  const { parse } = await import('csv-parse')
  const options: Options = {
    bom: true,
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    from_line: before + 1,
    max_record_size: 32 * 1024 * 1024,
  }
  const skipped: string[] = []
  const endless = { header: false }
  const bytes = Readable.from(untilHeader(chunks, endless), { objectMode: false })
  const parser = parse({
    ...options,
    skip_records_with_error: true,
    on_skip: (error) => {
      skipped.push(error?.message.slice(0, 200) ?? 'unreadable')
      return undefined
    },
  })
  bytes.on('error', (error) => parser.destroy(error))
  bytes.pipe(parser)
  let header: readonly string[] | undefined
  let lines = before
  let batch: ReadRecord[] = []
  const place = (): number => lines + 1
  const takeSkipped = (): void => {
    for (const reason of skipped.splice(0)) {
      batch.push({ line: place(), field: '(record)', reason })
    }
  }
  try {
    for await (const { info, record } of parser as AsyncIterable<ParsedRecord>) {
      takeSkipped()
      // The parser's own line count counts a CRLF inside quotes as two lines.
      const line = place() + info.empty_lines
      lines += spanned(record)
      if (header === undefined && record.length > COLUMNS_MAX) {
        yield [{ line, field: '(header)', reason: tooManyColumns(record.length) }]
        return
      }
      if (header === undefined) header = headerNames(record)
      else batch.push(asRecord(header, record, line))
      if (batch.length >= BATCH) {
        yield batch
        batch = []
      }
    }
    takeSkipped()
  } finally {
    parser.destroy()
    bytes.destroy()
  }
  if (endless.header) {
    const reason = `expected a line end within ${HEADER_MOST} bytes, got none`
    batch.push({ line: 1, field: '(header)', reason })
  }
  if (batch.length > 0) yield batch
}

/** The chunks, up to a header that does not end. @param endless told whether there was one */
async function* untilHeader(
  chunks: AsyncIterable<Buffer>,
  endless: { header: boolean },
): AsyncGenerator<Buffer> {
  let size = 0
  let ended = false
  for await (const chunk of chunks) {
    if (!ended) {
      const end = chunk.findIndex((byte) => byte === 0x0a || byte === 0x0d)
      size += end < 0 ? chunk.length : end
      ended = end >= 0
    }
    if (size > HEADER_MOST) {
      endless.header = true
      return
    }
    yield chunk
  }
}

/** Without blanks around them; a name met before gets a number, so that neither column is lost. */
function headerNames(cells: readonly string[]): string[] {
  const names = new Set<string>()
  /** the last number that each repeated name got */
  const numbers = new Map<string, number>()
  for (const cell of cells) {
    const name = cell.trim()
    let unique = name
    while (names.has(unique)) {
      const number = (numbers.get(name) ?? 0) + 1
      numbers.set(name, number)
      unique = `${name}.${number}`
    }
    names.add(unique)
  }
  return [...names]
}

/** Number of lines that a record spans in the file. */
function spanned(cells: readonly string[]): number {
  let lines = 1
  for (const cell of cells) {
    for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) lines++
  }
  return lines
}

function asRecord(header: readonly string[], cells: readonly string[], line: number): ReadRecord {
  if (cells.length !== header.length) {
    const reason = `expected ${header.length} cells as in the header, got ${cells.length}`
    return { line, field: '(record)', reason }
  }
  if (cells.some((cell) => cell.includes(REPLACED))) {
    return { line, field: '(record)', reason: NOT_UTF8 }
  }
  // No prototype, so that a column named __proto__ is an ordinary column.
  const record: Record<string, unknown> = Object.create(null)
  for (let i = 0; i < header.length; i++) record[header[i]!] = cells[i]
  return { record: record as RawRecord, line }
}
