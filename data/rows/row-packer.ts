import { hash } from 'node:crypto'
import { hashText } from '../../core/hash.ts'
import { askedText, isConversation, transcript } from '../../models/reading/transcript.ts'

import { stemHash, stemHashOfBytes } from '../splits/stem.ts'
import { Names } from './names.ts'
import type { LeftOut, LogRow, OutcomeRow, PreferenceRow, Reject, UnratedAnswer } from './reader.ts'
import { KIND, type RowBlock, WINNERS } from './row-block.ts'

/** Packs rows into a separate block; `seed` is the split's. */
export function packRows(rows: readonly (LogRow | Reject | LeftOut)[], seed: number): RowBlock {
  const packer = new RowPacker(seed)
  for (const row of rows) packer.add(row)
  return packer.finish()
}

/**
 * Packs rows one by one into successive blocks. Columns are collected in memory that is reused, then copied
 * into one buffer per block: dozens of new buffers per block would keep the garbage collector busy.
 */
export class RowPacker {
  private at = 0
  private entry = 0
  private textBytes = 0
  /** rows of the block that are unrated answers, which are counted as left out */
  private unrated = 0
  private rejects: Reject[] = []
  private leftOut = new Map<string, number>()
  private rows = rowColumns(256)
  private entries = entryColumns(0)
  private text: Buffer = Buffer.from(new ArrayBuffer(64 * 1024))
  private names = emptyNames()
  private readonly seed: number
  private readonly hash = new Uint32Array(2)
  /** buffers of blocks that have been read */
  private readonly spent: ArrayBuffer[] = []

  constructor(seed: number) {
    this.seed = seed
  }

  add(row: LogRow | Reject | LeftOut): void {
    if (row.kind === 'reject') {
      this.rejects.push(row)
      return
    }
    if (row.kind === 'left_out') {
      this.leftOut.set(row.reason, (this.leftOut.get(row.reason) ?? 0) + 1)
      if (!row.answer) return
    }
    if (this.at === this.rows.kind.length) this.rows = grown(this.rows, rowColumns(this.at * 2))
    const { rows, hash: words, at } = this
    if (row.kind === 'left_out') {
      // it has no id: its rating may still come under it
      rows.id[at * 2] = 0
      rows.id[at * 2 + 1] = 0
      this.unrated++
      this.addCommon(row.answer!)
      this.addUnrated(row.answer!)
    } else {
      if (row.id === undefined) {
        rows.id[at * 2] = 0
        rows.id[at * 2 + 1] = 0
      } else {
        hashText(row.id, row.kind === 'outcome' ? 1 : 0, words)
        rows.id[at * 2] = words[0]!
        rows.id[at * 2 + 1] = words[1]! || 1
      }
      this.addCommon(row)
      if (row.kind === 'preference') this.addPreference(row)
      else this.addOutcome(row)
    }
    rows.entryOffset[at + 1] = this.entry
    this.at++
  }

  private addCommon(row: Omit<UnratedAnswer, 'model' | 'propensities'>): void {
    const { rows, at, names } = this
    this.addText(transcript(row.prompt, row.system, row.tools, row.context))
    rows.category[at] = row.category === undefined ? -1 : names.categories.add(row.category)
    rows.group[at] = row.group === undefined ? -1 : names.groups.add(row.group)
    rows.timestamp[at] = row.timestamp ?? Number.NaN
  }

  /** The rows since the last block, as a block. */
  finish(): RowBlock {
    const { at: kept, entry, textBytes, names, rejects, leftOut } = this
    const text = this.text.subarray(0, textBytes)
    const parts = { ...this.rows, ...this.entries, text }
    const lengths = lengthsOf(kept, entry, textBytes)
    const bytes = (name: keyof typeof parts): number =>
      aligned(lengths[name] * parts[name].BYTES_PER_ELEMENT)
    const keys = Object.keys(parts) as (keyof typeof parts)[]
    const buffer = this.buffer(keys.reduce((sum, name) => sum + bytes(name), 0))
    const columns: Record<string, unknown> = {}
    let from = 0
    for (const name of keys) {
      const part = parts[name]
      columns[name] = copied(part, buffer, from, lengths[name])
      from += bytes(name)
    }
    const block = {
      rows: kept - this.unrated + rejects.length + total(leftOut),
      rejects,
      leftOut,
      kept,
      ...(columns as unknown as typeof parts),
      names: {
        models: names.models.list(),
        categories: names.categories.list(),
        groups: names.groups.list(),
        judges: names.judges.list(),
      },
    }
    this.at = 0
    this.unrated = 0
    this.entry = 0
    this.textBytes = 0
    this.rejects = []
    this.leftOut = new Map()
    this.names = emptyNames()
    return block
  }

  /** Takes back the buffer of a block that has been read, for reuse. */
  takeBack(buffer: ArrayBuffer): void {
    this.spent.push(buffer)
  }

  private buffer(bytes: number): ArrayBuffer {
    const held = this.spent.pop()
    if (held && held.byteLength >= bytes) return held
    // Extra room, so that the next blocks, which are about the same size, fit too.
    return new ArrayBuffer(aligned(Math.ceil(bytes * 1.25)))
  }

  private addText(text: string): void {
    const { at, rows, hash: words } = this
    // At most three bytes of UTF-8 per UTF-16 unit.
    const room = this.textBytes + text.length * 3
    if (room > this.text.length) {
      const larger = Buffer.from(new ArrayBuffer(Math.max(room, this.text.length * 2)))
      this.text.copy(larger, 0, 0, this.textBytes)
      this.text = larger
    }
    const start = this.textBytes
    this.textBytes += this.text.write(text, start)
    if (isConversation(text)) stemHash(askedText(text), [], this.seed, words)
    else stemHashOfBytes(text, this.text, start, this.textBytes, this.seed, words)
    rows.stem[at * 2] = words[0]!
    rows.stem[at * 2 + 1] = words[1]!
    // As a binary string the digest costs a third of what a buffer costs.
    rows.digest.write(hash('sha256', text, 'binary'), at * 32, 'latin1')
    rows.textOffset[at + 1] = this.textBytes
  }

  private addPreference(row: PreferenceRow): void {
    const { rows, at, names } = this
    rows.kind[at] = KIND.preference
    rows.modelA[at] = names.models.add(row.modelA)
    rows.modelB[at] = names.models.add(row.modelB)
    rows.winner[at] = WINNERS.indexOf(row.winner)
    rows.weight[at] = row.weight ?? 1
    rows.judge[at] = row.judge === undefined ? -1 : names.judges.add(row.judge)
    rows.propensity[at] = row.propensity ?? Number.NaN
  }

  private addOutcome(row: OutcomeRow): void {
    const unasked = [...(row.propensities ?? [])].filter(([model]) => !row.scores.has(model))
    this.makeRoom(row.scores.size + unasked.length)
    const { rows, at, entries } = this
    rows.kind[at] = row.weak ? KIND.weak : KIND.outcome
    rows.modelA[at] = 0
    rows.modelB[at] = 0
    rows.winner[at] = 0
    rows.weight[at] = row.weight ?? 1
    rows.judge[at] = 0
    rows.propensity[at] = Number.NaN
    for (const [model, score] of row.scores) {
      entries.entryModel[this.entry] = this.names.models.add(model)
      entries.entryScore[this.entry] = score
      entries.entryCost[this.entry] = row.costs?.get(model) ?? Number.NaN
      entries.entryTokens[this.entry] = row.tokens?.get(model) ?? Number.NaN
      entries.entryPropensity[this.entry] = row.propensities?.get(model) ?? Number.NaN
      this.entry++
    }
    for (const [model, propensity] of unasked) this.addPropensity(model, propensity)
  }

  private addUnrated({ model, propensities }: UnratedAnswer): void {
    this.makeRoom(propensities?.size ?? 0)
    const { rows, at } = this
    rows.kind[at] = KIND.unrated
    rows.modelA[at] = this.names.models.add(model)
    rows.modelB[at] = 0
    rows.winner[at] = 0
    rows.weight[at] = 1
    rows.judge[at] = 0
    rows.propensity[at] = Number.NaN
    for (const [name, propensity] of propensities ?? []) this.addPropensity(name, propensity)
  }

  /** An entry of a model without a score. */
  private addPropensity(model: string, propensity: number): void {
    const { entries } = this
    entries.entryModel[this.entry] = this.names.models.add(model)
    entries.entryScore[this.entry] = Number.NaN
    entries.entryCost[this.entry] = Number.NaN
    entries.entryTokens[this.entry] = Number.NaN
    entries.entryPropensity[this.entry] = propensity
    this.entry++
  }

  private makeRoom(entries: number): void {
    const needed = this.entry + entries
    if (needed <= this.entries.entryModel.length) return
    this.entries = grown(this.entries, entryColumns(Math.max(1024, needed * 2)))
  }
}

const total = (counts: ReadonlyMap<string, number>): number => {
  let sum = 0
  for (const count of counts.values()) sum += count
  return sum
}

/** Per-row columns; the offset columns have one more element. */
const rowColumns = (rows: number) => ({
  kind: new Uint8Array(rows),
  id: new Uint32Array(rows * 2),
  digest: Buffer.from(new ArrayBuffer(rows * 32)),
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
  propensity: new Float32Array(rows),
  entryOffset: new Int32Array(rows + 1),
})

const entryColumns = (entries: number) => ({
  entryModel: new Int32Array(entries),
  entryScore: new Float64Array(entries),
  entryCost: new Float64Array(entries),
  entryTokens: new Float64Array(entries),
  entryPropensity: new Float64Array(entries),
})

type Columns = ReturnType<typeof rowColumns> & ReturnType<typeof entryColumns> & { text: Buffer }

/** The number of used elements in each column. */
function lengthsOf(rows: number, entries: number, text: number): Record<keyof Columns, number> {
  const [pair, offsets] = [rows * 2, rows + 1]
  return {
    ...{ kind: rows, id: pair, digest: rows * 32, stem: pair, textOffset: offsets, category: rows },
    ...{ group: rows, timestamp: rows, modelA: rows, modelB: rows, winner: rows, weight: rows },
    ...{ judge: rows, entryOffset: offsets, entryModel: entries, entryScore: entries },
    ...{ entryCost: entries, entryTokens: entries, entryPropensity: entries },
    ...{ propensity: rows, text },
  }
}

type NumberArray = Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array

/** Copies the first `length` numbers into the buffer at `from`. */
function copied(part: NumberArray, buffer: ArrayBuffer, from: number, length: number): NumberArray {
  const { byteOffset, BYTES_PER_ELEMENT: width } = part
  const used = new Uint8Array(part.buffer, byteOffset, length * width)
  new Uint8Array(buffer, from, length * width).set(used)
  if (part instanceof Float64Array) return new Float64Array(buffer, from, length)
  if (part instanceof Float32Array) return new Float32Array(buffer, from, length)
  if (part instanceof Int32Array) return new Int32Array(buffer, from, length)
  if (part instanceof Uint32Array) return new Uint32Array(buffer, from, length)
  return new Uint8Array(buffer, from, length)
}

/** Returns the larger columns after copying the smaller ones' contents into them. */
function grown<T extends Record<string, NumberArray>>(smaller: T, larger: T): T {
  for (const [name, column] of Object.entries(smaller)) larger[name]!.set(column)
  return larger
}

const aligned = (bytes: number): number => (bytes + 7) & ~7

const emptyNames = () => ({
  models: new Names(),
  categories: new Names(),
  groups: new Names(),
  judges: new Names(),
})
