import type { Reject } from './reader.ts'

/** Codes of a preference's winner, as stored in `preferences.arrow`. */
export const WINNERS = ['a', 'b', 'tie', 'both_bad'] as const

/** Row kinds in a block, and their codes in `kind`. */
export const KIND = { preference: 0, outcome: 1, weak: 2, unrated: 3 } as const

/**
 * Consecutive rows of a log as columns, ready to pass between threads: one number per row, and the texts as
 * bytes. Names are numbered within the block; -1 is none. All columns share one buffer, which can be
 * transferred instead of copied, and reused once the block has been read.
 */
export interface RowBlock {
  /** rows read: kept, refused and left out */
  readonly rows: number
  readonly rejects: readonly Reject[]
  /** rows left out, by reason */
  readonly leftOut: ReadonlyMap<string, number>
  /** rows kept, and left out ones that hold an unrated answer; the length of the columns below */
  readonly kept: number
  readonly kind: Uint8Array
  /** 64-bit hash of the row's id, two words per row; both 0 for none */
  readonly id: Uint32Array
  /** SHA-256 of the prompt, 32 bytes per row */
  readonly digest: Uint8Array
  /** 64-bit hash of the stem before shared prefixes are removed, two words per row */
  readonly stem: Uint32Array
  /** UTF-8 of prompt i: `text[textOffset[i]..textOffset[i+1])` */
  readonly textOffset: Int32Array
  readonly text: Uint8Array
  readonly category: Int32Array
  readonly group: Int32Array
  /** seconds since 1970, NaN for none */
  readonly timestamp: Float64Array
  /** for preference rows; `modelA` is the model of an unrated answer as well */
  readonly modelA: Int32Array
  readonly modelB: Int32Array
  /** index into WINNERS */
  readonly winner: Uint8Array
  readonly weight: Float32Array
  readonly judge: Int32Array
  /** NaN for none, and for outcome rows, whose entries have their own */
  readonly propensity: Float32Array
  /** scores of outcome row i: entries `entryOffset[i]..entryOffset[i+1]` of the next five */
  readonly entryOffset: Int32Array
  readonly entryModel: Int32Array
  readonly entryScore: Float64Array
  readonly entryCost: Float64Array
  readonly entryTokens: Float64Array
  readonly entryPropensity: Float64Array
  readonly names: Readonly<Record<'models' | 'categories' | 'groups' | 'judges', readonly string[]>>
}
