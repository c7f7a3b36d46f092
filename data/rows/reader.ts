import type { PromptInput } from '../../models/decision/messages.ts'

/**
 * Where a row came from, for people: the file and its line (for CSV and JSON, the line the record starts
 * at). In files without lines (Parquet, Arrow) `line` is the row's number, from 1, in that row group.
 */
export interface RowOrigin {
  readonly path: string
  readonly line: number
  /** row group of Parquet or record batch of Arrow, from 0 */
  readonly rowGroup?: number
}

/** `log.jsonl:12`, or `log.parquet: row group 0, row 12`. */
export function originText({ path, line, rowGroup }: RowOrigin): string {
  return rowGroup === undefined ? `${path}:${line}` : `${path}: row group ${rowGroup}, row ${line}`
}

export type Winner = 'a' | 'b' | 'tie' | 'both_bad'

interface RowBase {
  readonly origin: RowOrigin
  readonly prompt: PromptInput
  readonly id?: string
  readonly category?: string
  readonly timestamp?: number
  /** the value of the --group-by column */
  readonly group?: string
}

/** A comparison of two models' answers to one prompt. */
export interface PreferenceRow extends RowBase {
  readonly kind: 'preference'
  readonly modelA: string
  readonly modelB: string
  readonly winner: Winner
  readonly judge?: string
  readonly weight?: number
  /** probability with which the server that logged it gave the prompt model a */
  readonly propensity?: number
}

/** Scores in [0, 1] of models' answers to one prompt; a model that was not observed is absent. */
export interface OutcomeRow extends RowBase {
  readonly kind: 'outcome'
  readonly scores: ReadonlyMap<string, number>
  readonly costs?: ReadonlyMap<string, number>
  /** answer lengths in tokens */
  readonly tokens?: ReadonlyMap<string, number>
  /** probability with which the server that logged it gave the prompt that model */
  readonly propensities?: ReadonlyMap<string, number>
}

export type LogRow = PreferenceRow | OutcomeRow

/** A row that was refused: never repaired, never dropped silently. */
export interface Reject {
  readonly kind: 'reject'
  readonly origin: RowOrigin
  readonly field: string
  readonly reason: string
}

/** One record of a file before anything is known of its layout: column name to value. */
export type RawRecord = Readonly<Record<string, unknown>>

/** A record with its place in the file, or the reason why there is none there. */
export type ReadRecord =
  | { readonly record: RawRecord; readonly line: number; readonly rowGroup?: number }
  | {
      readonly line: number
      readonly rowGroup?: number
      readonly field: string
      readonly reason: string
    }

/** A file's records in batches, so that a million rows are not a million promises. */
export type RecordStream = AsyncIterable<readonly ReadRecord[]>

/** Undefined for a record that is no row of its own, such as a header or one that a later record completes. */
export type ReadRow = (record: RawRecord, origin: RowOrigin) => LogRow | Reject | undefined

/** Decisions met so far, by id, waiting for what came of them. */
export type Decisions = Map<
  string,
  {
    readonly model: string
    readonly time: number
    readonly propensity: number
    readonly text?: string
    /** another model answered than was decided: a failover, a cascade */
    readonly answered?: string
  }
>

/** What the person asked for that changes how a row is read. */
export interface ReaderSettings {
  /** the judge's lowest and highest score, rescaled to [0, 1]; [0, 1] by default */
  readonly scoreRange?: readonly [number, number]
  /** shared by the files of one run, for rows that are spread over several lines */
  readonly decisions?: Decisions
}

/** A known layout of rows. Every one passes `testing/reader-contract.ts`. */
export interface Reader {
  readonly name: string
  /** The columns it cannot do without. */
  readonly required: readonly string[]
  /** rows depend on earlier lines, so that threads cannot share a file */
  readonly sequential?: boolean
  /** Whether a file with these columns (of its first records, the sample) is of this layout. */
  recognises(columns: ReadonlySet<string>, sample: readonly RawRecord[]): boolean
  /** The columns its rows are read from, so that a columnar file's others are never decoded; all by default. */
  columns?(columns: ReadonlySet<string>): readonly string[]
  /** What reads its rows: one row of the log, or why it is refused. Never throws on a bad row. */
  open(
    columns: ReadonlySet<string>,
    sample: readonly RawRecord[],
    settings: ReaderSettings,
  ): ReadRow
}
