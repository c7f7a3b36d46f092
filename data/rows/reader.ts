import type { PromptInput } from '../../models/reading/messages.ts'
import type { DeclaredContext, ToolDefinition } from '../../models/reading/transcript.ts'
import type { FeedbackRecord, SignalRecord } from '../../records/decision-record.ts'
import type { Mapping } from './mapping.ts'
import type { RawRecord } from './record.ts'

export type { RawRecord } from './record.ts'

/**
 * Where a row came from, for messages: the file and its line (for CSV and JSON, the line on which the record
 * starts). In files without lines (Parquet, Arrow) `line` is the row's number in its row group, from 1.
 */
export interface RowOrigin {
  readonly path: string
  readonly line: number
  /** Parquet row group or Arrow record batch, from 0 */
  readonly rowGroup?: number
  /** its place, from 1, in the list of rows that the record on this line holds */
  readonly item?: number
}

/** `log.jsonl:12`, `log.parquet: row group 0, row 12`, or `results.json:1, item 12`. */
export function originText({ path, line, rowGroup, item }: RowOrigin): string {
  const place =
    rowGroup === undefined ? `${path}:${line}` : `${path}: row group ${rowGroup}, row ${line}`
  return item === undefined ? place : `${place}, item ${item}`
}

export type Winner = 'a' | 'b' | 'tie' | 'both_bad'

interface RowBase {
  readonly origin: RowOrigin
  readonly prompt: PromptInput
  /** a system prompt apart from the messages */
  readonly system?: string
  /** the tools that were offered */
  readonly tools?: readonly ToolDefinition[]
  readonly id?: string
  readonly category?: string
  readonly timestamp?: number
  /** the values of the keys of --context */
  readonly context?: DeclaredContext
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
  /** probability with which the logging server chose model a for the prompt */
  readonly propensity?: number
}

/** Scores in [0, 1] of models' answers to one prompt; models that were not observed are absent. */
export interface OutcomeRow extends RowBase {
  readonly kind: 'outcome'
  readonly scores: ReadonlyMap<string, number>
  readonly costs?: ReadonlyMap<string, number>
  /** answer lengths in tokens */
  readonly tokens?: ReadonlyMap<string, number>
  /** probability with which the logging server chose each model for the prompt, also of models not chosen */
  readonly propensities?: ReadonlyMap<string, number>
  /** how much the scores count where a prompt and model have several; 1 if absent */
  readonly weight?: number
  /** the score is what a weak signal lets one expect: kept apart from scores that were given */
  readonly weak?: true
}

export type LogRow = PreferenceRow | OutcomeRow

/** A refused row; rows are never repaired or dropped silently. */
export interface Reject {
  readonly kind: 'reject'
  readonly origin: RowOrigin
  readonly field: string
  readonly reason: string
}

/** A model's answer that nobody has rated, or not yet: it says who was asked, and which answers are rated. */
export interface UnratedAnswer extends Omit<RowBase, 'origin' | 'id'> {
  readonly model: string
  readonly propensities?: ReadonlyMap<string, number>
}

/** A row that is not for training by what it says itself; counted by reason, never refused. */
export interface LeftOut {
  readonly kind: 'left_out'
  /** short and the same for many rows, such as `no score` */
  readonly reason: string
  /** the answer, if the row holds one that has no rating */
  readonly answer?: UnratedAnswer
}

/** Reasons for which answers are left out that nobody has rated, or not yet, or whose rater has too large a share. */
export const UNRATED = {
  row: 'no score',
  decision: 'no feedback yet',
  share: "feedback beyond its key's share",
} as const

/** A record with its position in the file, or the reason why it could not be read. */
export type ReadRecord =
  | {
      readonly record: RawRecord
      readonly line: number
      readonly rowGroup?: number
      /** its place, from 1, in the list of rows of the document around it, and that document */
      readonly item?: number
      readonly document?: RawRecord
    }
  | {
      readonly line: number
      readonly rowGroup?: number
      readonly field: string
      readonly reason: string
    }

/** A file's records in batches, so that a million rows do not need a million promises. */
export type RecordStream = AsyncIterable<readonly ReadRecord[]>

/**
 * Undefined for a record that is not a row by itself, such as a header or one that a later record completes.
 */
export type ReadRow = (
  record: RawRecord,
  origin: RowOrigin,
) => LogRow | Reject | LeftOut | undefined

/** Decisions read so far, by id, waiting for their feedback. */
export interface Decisions extends Map<string, LoggedDecision> {
  /** feedback that is kept until all of it is known: how much of it counts depends on who gave the rest */
  ratings?: Rating[]
  /** what later requests of a session say of an answer, kept until its reliability can be measured */
  signals?: SignalRecord[]
}

/** Feedback on a decision, and where it was read. */
export interface Rating {
  readonly record: FeedbackRecord
  readonly origin: RowOrigin
}

export interface LoggedDecision {
  readonly model: string
  readonly time: number
  readonly propensity: number
  /** of the other models that could have been chosen, if the choice was random */
  readonly others?: Readonly<Record<string, number>>
  readonly text?: string
  readonly metadata?: RawRecord
  /** set if another model answered than was decided: a failover, a cascade */
  readonly answered?: string
  /** set once any feedback was read */
  rated?: true
}

/** User settings that change how a row is read. */
export interface ReaderSettings {
  /** the judge's lowest and highest score, rescaled to [0, 1]; [0, 1] by default */
  readonly scoreRange?: readonly [number, number]
  /** shared by the files of one run, for rows spread over several lines */
  readonly decisions?: Decisions
  /** the columns of a wide table that hold models' scores; found by their values if absent */
  readonly modelsFrom?: readonly string[]
  /** keys of declared context, which are read with each row and are never models */
  readonly context?: readonly string[]
}

/** A known layout of rows. Every one passes `testing/reader-contract.ts`. */
export interface Reader {
  readonly name: string
  /** The columns it requires. */
  readonly required: readonly string[]
  /** rows depend on earlier lines, so threads cannot share a file */
  readonly sequential?: boolean
  /**
   * For a preset: how its records become the fields that `open`'s function reads. `recognises` then sees the
   * file's own columns, before any mapping.
   */
  readonly mapping?: Mapping
  /** For a preset that needs code: the records, to be mapped, that one record of the file stands for. */
  expand?(record: RawRecord, beside: RawRecord): readonly RawRecord[]
  /**
   * With `expand`: the list in a record (as `Mapping.rows` has it) whose elements it can be given one at a time,
   * in a record with one element, so that documents need not be held.
   */
  readonly expandsList?: string
  /**
   * With `expandsList`: notes what an element says of others. `expand` gets the notes on all elements as
   * `gathered`, a Map, in its record; a document that is not held is read twice for it.
   */
  gather?(gathered: Map<string, RawRecord>, element: RawRecord): void
  /**
   * For a preset: facts about the log at `path`, from files beside it or from its first records, which
   * expressions name as `@beside.`. Plain data, because threads get a copy.
   */
  beside?(path: string, sample: readonly RawRecord[]): Promise<RawRecord>
  /** Whether a file with these columns and first records (the sample) has this layout. */
  recognises(columns: ReadonlySet<string>, sample: readonly RawRecord[]): boolean
  /**
   * What a user should know of how this file is read, besides its layout.
   *
   * @throws WeirError if the user has to say how to read it
   */
  notes?(
    columns: ReadonlySet<string>,
    sample: readonly RawRecord[],
    settings: ReaderSettings,
    path: string,
  ): readonly string[]
  /**
   * The columns that its rows are read from, so that other columns of a columnar file are not decoded; all by
   * default.
   */
  columns?(columns: ReadonlySet<string>): readonly string[]
  /**
   * Returns a function that reads its records: each gives a row, or the reason it is refused. Never throws on
   * a bad row.
   */
  open(
    columns: ReadonlySet<string>,
    sample: readonly RawRecord[],
    settings: ReaderSettings,
  ): ReadRow
}

/**
 * The layout of a file that holds scores alone, to be joined with the rows of other files: a mapping with the
 * fields `key`, `score` and, where it holds several scores, `name`; further ones are `@scores.NAME` to the rows.
 */
export interface ScoreFile extends Pick<Reader, 'name' | 'recognises'> {
  readonly mapping: Mapping
}
