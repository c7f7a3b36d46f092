import type { RawRecord, RecordStream } from '../rows/reader.ts'

/** An opened file of records, whatever its container: text with lines, or columns in row groups. */
export interface Table {
  /** of the schema or header; undefined where only the records tell */
  readonly columns?: ReadonlySet<string>
  /** whether it is lines of JSON */
  readonly lines?: boolean
  /** The first good records, at most `limit`; reading on starts at the first record all the same. */
  sample(limit: number): Promise<readonly RawRecord[]>
  /** Every record in the file's order. `columns`: those that will be looked at. */
  records(columns?: readonly string[]): RecordStream
  close(): Promise<void>
}
