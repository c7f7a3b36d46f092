import { hash } from 'node:crypto'
import { promptText } from '../models/messages.ts'
import { WINNERS } from './dataset.ts'
import { hashText } from './hash64.ts'
import { Names } from './names.ts'
import type { LogRow, OutcomeRow, PreferenceRow, Reject } from './reader.ts'
import { stemHashOfBytes } from './stem.ts'

/** Rows that a block may hold of each kind; the codes of `kind`. */
export const KIND = { preference: 0, outcome: 1 } as const

/**
 * Some consecutive rows of a log as columns, ready to pass between threads: a number a row, and the texts
 * as bytes. Names are numbered within the block, -1 is none.
 */
export interface RowBlock {
  /** rows met, kept and refused */
  readonly rows: number
  readonly rejects: readonly Reject[]
  /** rows kept; the length of what follows */
  readonly kept: number
  readonly kind: Uint8Array
  /** 64-bit hash of the row's id, two words a row; both 0 for none */
  readonly id: Uint32Array
  /** SHA-256 of the prompt, 32 bytes a row */
  readonly digest: Uint8Array
  /** 64-bit hash of the stem without shared prefixes taken off, two words a row */
  readonly stem: Uint32Array
  /** UTF-8 of prompt i: `text[textOffset[i]..textOffset[i+1])` */
  readonly textOffset: Int32Array
  readonly text: Uint8Array
  readonly category: Int32Array
  readonly group: Int32Array
  /** seconds since 1970, NaN for none */
  readonly timestamp: Float64Array
  /** of preference rows */
  readonly modelA: Int32Array
  readonly modelB: Int32Array
  /** index into WINNERS */
  readonly winner: Uint8Array
  readonly weight: Float32Array
  readonly judge: Int32Array
  /** scores of outcome row i: entries `entryOffset[i]..entryOffset[i+1]` of the next four */
  readonly entryOffset: Int32Array
  readonly entryModel: Int32Array
  readonly entryScore: Float64Array
  readonly entryCost: Float64Array
  readonly entryTokens: Float64Array
  readonly names: Readonly<Record<'models' | 'categories' | 'groups' | 'judges', readonly string[]>>
}

/** Packs rows; `seed` is the split's. */
export function packRows(rows: readonly (LogRow | Reject)[], seed: number): RowBlock {
  const kept: LogRow[] = []
  const rejects: Reject[] = []
  let entries = 0
  for (const row of rows) {
    if (row.kind === 'reject') rejects.push(row)
    else {
      kept.push(row)
      if (row.kind === 'outcome') entries += row.scores.size
    }
  }
  const packer = new Packer(kept.length, entries, seed)
  for (const row of kept) packer.add(row)
  return packer.finish(rows.length, rejects)
}

/** The block's buffers, to hand over instead of copying. */
export function transferList(block: RowBlock): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const value of Object.values(block)) {
    if (ArrayBuffer.isView(value)) buffers.add(value.buffer as ArrayBuffer)
  }
  return [...buffers]
}

class Packer {
  private at = 0
  private entry = 0
  private textBytes = 0
  private text: Buffer
  private readonly seed: number
  private readonly models = new Names()
  private readonly categories = new Names()
  private readonly groups = new Names()
  private readonly judges = new Names()
  private readonly hash = new Uint32Array(2)
  private readonly columns
  private readonly digest: Buffer

  constructor(rows: number, entries: number, seed: number) {
    this.seed = seed
    this.text = Buffer.from(new ArrayBuffer(rows * 300 + 1024))
    this.digest = Buffer.from(new ArrayBuffer(rows * 32))
    this.columns = {
      kind: new Uint8Array(rows),
      id: new Uint32Array(rows * 2),
      stem: new Uint32Array(rows * 2),
      textOffset: new Int32Array(rows + 1),
      category: new Int32Array(rows),
      group: new Int32Array(rows),
      timestamp: new Float64Array(rows),
      modelA: new Int32Array(rows),
      modelB: new Int32Array(rows),
      winner: new Uint8Array(rows),
      weight: new Float32Array(rows),
      judge: new Int32Array(rows),
      entryOffset: new Int32Array(rows + 1),
      entryModel: new Int32Array(entries),
      entryScore: new Float64Array(entries),
      entryCost: new Float64Array(entries),
      entryTokens: new Float64Array(entries),
    }
  }

  add(row: LogRow): void {
    const { columns, hash: words, at } = this
    this.addText(promptText(row.prompt))
    if (row.id !== undefined) {
      hashText(row.id, row.kind === 'outcome' ? 1 : 0, words)
      columns.id[at * 2] = words[0]!
      columns.id[at * 2 + 1] = words[1]! || 1
    }
    columns.category[at] = row.category === undefined ? -1 : this.categories.add(row.category)
    columns.group[at] = row.group === undefined ? -1 : this.groups.add(row.group)
    columns.timestamp[at] = row.timestamp ?? Number.NaN
    if (row.kind === 'preference') this.addPreference(row)
    else this.addOutcome(row)
    columns.entryOffset[at + 1] = this.entry
    this.at++
  }

  finish(rows: number, rejects: readonly Reject[]): RowBlock {
    return {
      rows,
      rejects,
      kept: this.at,
      ...this.columns,
      digest: this.digest,
      text: this.text.subarray(0, this.textBytes),
      names: {
        models: this.models.list(),
        categories: this.categories.list(),
        groups: this.groups.list(),
        judges: this.judges.list(),
      },
    }
  }

  private addText(text: string): void {
    const { at, columns, hash: words } = this
    // At most three bytes of UTF-8 a UTF-16 unit.
    const room = this.textBytes + text.length * 3
    if (room > this.text.length) {
      const grown = Buffer.from(new ArrayBuffer(Math.max(room, this.text.length * 2)))
      this.text.copy(grown, 0, 0, this.textBytes)
      this.text = grown
    }
    const start = this.textBytes
    this.textBytes += this.text.write(text, start)
    stemHashOfBytes(text, this.text, start, this.textBytes, this.seed, words)
    columns.stem[at * 2] = words[0]!
    columns.stem[at * 2 + 1] = words[1]!
    // As a binary string the digest costs a third of what it costs as a buffer.
    this.digest.write(hash('sha256', text, 'binary'), at * 32, 'latin1')
    columns.textOffset[at + 1] = this.textBytes
  }

  private addPreference(row: PreferenceRow): void {
    const { columns, at } = this
    columns.kind[at] = KIND.preference
    columns.modelA[at] = this.models.add(row.modelA)
    columns.modelB[at] = this.models.add(row.modelB)
    columns.winner[at] = WINNERS.indexOf(row.winner)
    columns.weight[at] = row.weight ?? 1
    columns.judge[at] = row.judge === undefined ? -1 : this.judges.add(row.judge)
  }

  private addOutcome(row: OutcomeRow): void {
    const { columns } = this
    columns.kind[this.at] = KIND.outcome
    for (const [model, score] of row.scores) {
      columns.entryModel[this.entry] = this.models.add(model)
      columns.entryScore[this.entry] = score
      columns.entryCost[this.entry] = row.costs?.get(model) ?? Number.NaN
      columns.entryTokens[this.entry] = row.tokens?.get(model) ?? Number.NaN
      this.entry++
    }
  }
}
