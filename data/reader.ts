import type { PromptInput } from '../models/messages.ts'

/** Where a row came from, for people: the file and its line (for CSV, the line the record starts at). */
export interface RowOrigin {
  readonly path: string
  readonly line: number
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
}

/** Scores in [0, 1] of models' answers to one prompt; a model that was not observed is absent. */
export interface OutcomeRow extends RowBase {
  readonly kind: 'outcome'
  readonly scores: ReadonlyMap<string, number>
  readonly costs?: ReadonlyMap<string, number>
  /** answer lengths in tokens */
  readonly tokens?: ReadonlyMap<string, number>
}

export type LogRow = PreferenceRow | OutcomeRow

/** A row that was refused: never repaired, never dropped silently. */
export interface Reject {
  readonly kind: 'reject'
  readonly origin: RowOrigin
  readonly field: string
  readonly reason: string
}
