import type { RowBlock } from '../rows/row-block.ts'
import { type ArrowWriter, openArrowWriter, readArrow } from '../source/arrow.ts'
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

/**
 * Distinct prompts in order of appearance: texts are written to the file as they arrive, digests stay in
 * memory.
 */
export class PromptStore {
  private readonly path: string
  private readonly index = new HashIndex()
  private readonly writer: ArrowWriter
  /** full batches waiting to be written */
  private readonly full: PromptBatch[] = []
  private start = 0
  private bytes = Buffer.allocUnsafe(BATCH_BYTES)
  private offsets = new Int32Array(BATCH_ROWS + 1)

  private constructor(path: string, writer: ArrowWriter) {
    this.path = path
    this.writer = writer
  }

  static async create(path: string): Promise<PromptStore> {
    return new PromptStore(path, await openArrowWriter(path))
  }

  get size(): number {
    return this.index.size
  }

  /** The number of row i's prompt, equal for equal exact texts. Call `flush` between blocks. */
  add({ digest, text, textOffset }: RowBlock, i: number): number {
    const next = this.index.size
    const entry = this.index.add(digest, i * 32)
    if (entry === next) this.append(text, textOffset[i]!, textOffset[i + 1]!)
    return entry
  }

  /** First 32 bits of a prompt's hash. */
  keyOf(entry: number): number {
    return this.index.keyOf(entry)
  }

  /** Writes the full batches. */
  async flush(): Promise<void> {
    for (const batch of this.full.splice(0)) {
      const { start, offsets, bytes } = batch
      const rows = offsets.length - 1
      const digests = this.index.bytes().slice(start * 32, (start + rows) * 32)
      await this.writer.write({
        rows,
        columns: {
          hash: { kind: 'bytes', width: 32, bytes: digests },
          text: { kind: 'text', offsets, bytes },
        },
      })
    }
  }

  /** Writes the rest; await this before `batches`. */
  async finish(): Promise<void> {
    this.seal()
    await this.flush()
    await this.writer.close()
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
    this.full.push({ start: this.start, offsets, bytes: this.bytes.subarray(0, offsets[rows]) })
    this.start = this.size
    this.bytes = Buffer.allocUnsafe(BATCH_BYTES)
    this.offsets[0] = 0
  }
}

const NONE = -1

/** Per-prompt data other than the text, 20 bytes each. */
export class PromptColumns {
  private stems = new Uint32Array(8192)
  private category = new Int32Array(4096)
  private first = new Float64Array(4096)
  length = 0

  /** Adds a new prompt, first seen in row i of a block. */
  add(block: RowBlock, i: number): void {
    if (this.length === this.category.length) this.grow()
    const at = this.length++
    this.stems[at * 2] = block.stem[i * 2]!
    this.stems[at * 2 + 1] = block.stem[i * 2 + 1]!
    this.category[at] = NONE
    this.first[at] = block.timestamp[i]!
  }

  /** The first category given for a prompt is kept. */
  addCategory(prompt: number, category: number): void {
    if (this.category[prompt] === NONE) this.category[prompt] = category
  }

  addTime(prompt: number, time: number): void {
    if (!(time >= this.first[prompt]!)) this.first[prompt] = time
  }

  setStem(prompt: number, hash: Uint32Array): void {
    this.stems.set(hash, prompt * 2)
  }

  /** 64-bit hashes, two words per prompt. */
  allStems(): Uint32Array {
    return this.stems.subarray(0, this.length * 2)
  }

  /** -1 if none. */
  allCategories(): Int32Array {
    return this.category.subarray(0, this.length)
  }

  /** Seconds since 1970 of the first row with the prompt; NaN if no row has a time. */
  allFirst(): Float64Array {
    return this.first.subarray(0, this.length)
  }

  private grow(): void {
    const { stems, category, first } = this
    this.stems = new Uint32Array(stems.length * 2)
    this.category = new Int32Array(category.length * 2)
    this.first = new Float64Array(first.length * 2)
    this.stems.set(stems)
    this.category.set(category)
    this.first.set(first)
  }
}
