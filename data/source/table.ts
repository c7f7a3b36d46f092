import type { RawRecord, RecordStream } from '../rows/reader.ts'

/** Where the rows of a JSON document stand, for documents that are too large to be held. */
export interface RowList {
  /** as a mapping's `rows` has it */
  readonly path: string
  /** fields at the top of the document that are used; all if undefined */
  readonly columns: readonly string[] | undefined
  /** what rows are told of the document around their list, as text; undefined if they need nothing of it */
  readonly facts: ((document: RawRecord) => string) | undefined
  /** notes what an element says of others, which rows are told as the document's `gathered` */
  readonly gather?: ((gathered: Map<string, RawRecord>, element: RawRecord) => void) | undefined
}

/** An opened file of records in any container: text with lines, or columns in row groups. */
export interface Table {
  /** from the schema or header; undefined if only the records show them */
  readonly columns?: ReadonlySet<string>
  /** whether it is JSON lines */
  readonly lines?: boolean
  /** The first good records, at most `limit`; `records` still starts at the first one. */
  sample(limit: number): Promise<readonly RawRecord[]>
  /** Every record in file order. `columns`: the columns that will be used; `list`: where its rows stand, if known. */
  records(columns?: readonly string[], list?: RowList): RecordStream
  close(): Promise<void>
}
