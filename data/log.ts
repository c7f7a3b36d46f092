import { WeirError } from '../models/errors.ts'
import { readCsv } from './csv.ts'
import { readJsonLines } from './jsonl.ts'
import type { LogRow, RawRecord, ReadRecord, RecordStream, Reject } from './reader.ts'
import { openReader } from './readers/registry.ts'
import type { Source } from './source.ts'

/** A log being read: batches of rows and rejects, in the file's order. */
export interface Log {
  /** the layout's name */
  readonly format: string
  readonly rows: AsyncIterable<readonly (LogRow | Reject)[]>
}

const SAMPLE_RECORDS = 100

/** Recognises what a file holds by its content and opens it. Throws `format_unknown`, `column_missing`. */
export async function openLog(source: Source, format?: string): Promise<Log> {
  const stream = await openRecords(source)
  const held: (readonly ReadRecord[])[] = []
  const sample: RawRecord[] = []
  const iterator = stream[Symbol.asyncIterator]()
  while (sample.length < SAMPLE_RECORDS) {
    const next = await iterator.next()
    if (next.done) break
    held.push(next.value)
    for (const item of next.value) {
      if ('record' in item && sample.length < SAMPLE_RECORDS) sample.push(item.record)
    }
  }
  const { reader, read } = openReader(source.path, sample, format)
  const place = (item: ReadRecord): LogRow | Reject => {
    const origin = { path: source.path, line: item.line }
    if ('record' in item) return read(item.record, origin)
    return { kind: 'reject', origin, field: item.field, reason: item.reason }
  }

  async function* rows(): AsyncGenerator<readonly (LogRow | Reject)[]> {
    for (const batch of held.splice(0)) yield batch.map(place)
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      yield next.value.map(place)
    }
  }
  return { format: reader.name, rows: rows() }
}

/** The container, by the first bytes that are not blank. */
async function openRecords(source: Source): Promise<RecordStream> {
  const chunks = source.chunks()[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done)
    throw new WeirError('rows_too_few', { expected: 1, what: `in ${source.path}`, got: 0 })
  const again = prepend(first.value, chunks)
  const head = first.value
    .toString('utf8', 0, 4096)
    .replace(/^\uFEFF/, '')
    .trimStart()
  if (head.startsWith('{')) return readJsonLines(again)
  const header = head.split('\n', 1)[0] ?? ''
  const delimiter = header.split('\t').length > header.split(',').length ? '\t' : ','
  return readCsv(again, delimiter)
}

async function* prepend(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
