import type { RawRecord, RecordStream } from '../rows/reader.ts'

/** An opened file of records in any container: text with lines, or columns in row groups. */
export interface Table {
  /** from the schema or header; undefined if only the records show them */
  readonly columns?: ReadonlySet<string>
  /** whether it is JSON lines */
  readonly lines?: boolean
  /** The first good records, at most `limit`; `records` still starts at the first one. */
  sample(limit: number): Promise<readonly RawRecord[]>
  /** Every record in file order. `columns`: the columns that will be used. */
  records(columns?: readonly string[]): RecordStream
  close(): Promise<void>
}
