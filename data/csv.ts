import { Readable } from 'node:stream'
import type { CsvError, Options } from 'csv-parse'
import type { RawRecord, ReadRecord, RecordStream } from './reader.ts'

const BATCH = 512

interface ParsedRecord {
  readonly info: { readonly empty_lines: number }
  readonly record: readonly string[]
}

/**
 * The one door to csv-parse. Reads delimited text with a header line; a record is placed at the line it
 * starts on, whatever newlines its cells hold. Records of another width than the header are refused.
 */
export async function* readCsv(
  chunks: AsyncIterable<Buffer>,
  delimiter: ',' | '\t' = ',',
): RecordStream & AsyncGenerator<readonly ReadRecord[]> {
  const { parse } = await import('csv-parse')
  const options: Options = {
    bom: true,
    delimiter,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: 32 * 1024 * 1024,
  }
  const parser = Readable.from(chunks, { objectMode: false }).pipe(parse(options))
  let header: readonly string[] | undefined
  let lines = 0
  let line = 1
  let batch: ReadRecord[] = []
  try {
    for await (const { info, record } of parser as AsyncIterable<ParsedRecord>) {
      // The parser's own line count takes a CRLF inside quotes for two lines.
      line = 1 + lines + info.empty_lines
      lines += spanned(record)
      if (header === undefined) header = record
      else batch.push(asRecord(header, record, line))
      if (batch.length >= BATCH) {
        yield batch
        batch = []
      }
    }
  } catch (error) {
    const code = (error as CsvError).code
    if (typeof code !== 'string' || !code.startsWith('CSV_')) throw error
    batch.push({
      line: line + 1,
      field: '(record)',
      reason: (error as Error).message.slice(0, 200),
    })
  }
  if (batch.length > 0) yield batch
}

/** Lines of the file that a record takes. */
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
  // No prototype, so that a column named __proto__ is a column like any other.
  const record: Record<string, unknown> = Object.create(null)
  for (let i = 0; i < header.length; i++) record[header[i]!] = cells[i]
  return { record: record as RawRecord, line }
}
