import type { RowBlock } from '../rows/row-block.ts'
import { type ArrowWriter, openArrowWriter, readArrow } from '../source/arrow.ts'
import { Growable } from './growable.ts'
import { HashIndex } from './hash-index.ts'

/** A record batch is full at this many bytes or prompts, independent of the row blocks' boundaries. */
const BATCH_BYTES = 4 << 20
const BATCH_ROWS = 16_384

/** Consecutive prompts: text i is `bytes[offsets[i]..offsets[i+1])`, UTF-8. */
export interface PromptBatch {
  /** index of the first prompt */
  readonly start: number
  readonly offsets: Int32Array
  readonly bytes: Uint8Array
}

/** A batch to be written, with the SHA-256 of each prompt. */
interface FullBatch extends Omit<PromptBatch, 'start'> {
  readonly digests: Uint8Array
}

/**
 * Distinct prompts in order of appearance: texts and digests are written to the file as they arrive, and what
 * tells prompts apart stays in memory until `finish`.
 */
export class PromptStore {
  private readonly path: string
  private index = new HashIndex()
  private readonly writer: ArrowWriter
  /** full batches waiting to be written */
  private readonly full: FullBatch[] = []
  size = 0
  private start = 0
  private bytes = Buffer.allocUnsafe(BATCH_BYTES)
  private digests = new Uint8Array(BATCH_ROWS * 32)
  private offsets = new Int32Array(BATCH_ROWS + 1)

  private constructor(path: string, writer: ArrowWriter) {
    this.path = path
    this.writer = writer
  }

  static async create(path: string): Promise<PromptStore> {
    return new PromptStore(path, await openArrowWriter(path))
  }

  /** The number of row i's prompt, equal for equal exact texts. Call `flush` between blocks. */
  add({ digest, text, textOffset }: RowBlock, i: number): number {
    const entry = this.index.add(digest, i * 32)
    if (entry === this.size) {
      this.digests.set(digest.subarray(i * 32, (i + 1) * 32), (entry - this.start) * 32)
      this.size++
      this.append(text, textOffset[i]!, textOffset[i + 1]!)
    }
    return entry
  }

  /** First 32 bits of a prompt's hash. */
  keyOf(entry: number): number {
    return this.index.keyOf(entry)
  }

  /** Writes the full batches. */
  async flush(): Promise<void> {
    for (const { offsets, bytes, digests } of this.full.splice(0)) {
      await this.writer.write({
        rows: offsets.length - 1,
        columns: {
          hash: { kind: 'bytes', width: 32, bytes: digests },
          text: { kind: 'text', offsets, bytes },
        },
      })
    }
  }

  /** Writes the rest; nothing may be added after it. Await this before `batches`. */
  async finish(): Promise<void> {
    this.seal()
    await this.flush()
    await this.writer.close()
    this.index = new HashIndex()
  }

  /** Every prompt in order, read back from the file. */
  async *batches(): AsyncGenerator<PromptBatch> {
    let start = 0
    for await (const batch of readArrow(this.path)) {
      const { offsets, bytes } = batch.text('text')
      yield { start, offsets: offsets.subarray(0, batch.rows + 1), bytes }
      start += batch.rows
    }
  }

  /** Closes the file, complete or not. */
  abandon(): Promise<void> {
    return this.writer.abandon()
  }

  private append(text: Uint8Array, start: number, end: number): void {
    const at = this.size - 1 - this.start
    const from = this.offsets[at]!
    const to = from + end - start
    if (to > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(to, this.bytes.length * 2))
      this.bytes.copy(grown, 0, 0, from)
      this.bytes = grown
    }
    this.bytes.set(text.subarray(start, end), from)
    this.offsets[at + 1] = to
    if (to >= BATCH_BYTES || at + 1 === BATCH_ROWS) this.seal()
  }

  private seal(): void {
    const rows = this.size - this.start
    if (rows === 0) return
    const offsets = this.offsets.slice(0, rows + 1)
    const bytes = this.bytes.subarray(0, offsets[rows])
    this.full.push({ offsets, bytes, digests: this.digests.slice(0, rows * 32) })
    this.start = this.size
    this.bytes = Buffer.allocUnsafe(BATCH_BYTES)
    this.offsets[0] = 0
  }
}

const NONE = -1

/** Per-prompt data other than the text: 8 bytes each, 4 more if any has a category, 8 more if any has a time. */
export class PromptColumns {
  private readonly stems = new Growable(Uint32Array)
  private readonly category = new Growable(Int32Array)
  private readonly first = new Growable(Float64Array)

  /** Adds a new prompt, first seen in row i of a block. */
  add(block: RowBlock, i: number): void {
    this.stems.push(block.stem[i * 2]!)
    this.stems.push(block.stem[i * 2 + 1]!)
  }

  /** The first category given for a prompt is kept. */
  addCategory(prompt: number, category: number): void {
    this.category.extend(prompt + 1, NONE)
    if (this.category.at(prompt) === NONE) this.category.set(prompt, category)
  }

  /** `time`: NaN for none */
  addTime(prompt: number, time: number): void {
    if (Number.isNaN(time)) return
    this.first.extend(prompt + 1, Number.NaN)
    if (!(time >= this.first.at(prompt))) this.first.set(prompt, time)
  }

  setStem(prompt: number, [low, high]: Uint32Array): void {
    this.stems.set(prompt * 2, low!)
    this.stems.set(prompt * 2 + 1, high!)
  }

  /** 64-bit hashes, two words per prompt. */
  allStems(): Uint32Array {
    return this.stems.view()
  }

  /** -1 if none. */
  allCategories(): Int32Array {
    this.category.extend(this.stems.length / 2, NONE)
    return this.category.view()
  }

  /** Seconds since 1970 of the first row with the prompt; NaN if no row has a time. */
  allFirst(): Float64Array {
    this.first.extend(this.stems.length / 2, Number.NaN)
    return this.first.view()
  }
}
