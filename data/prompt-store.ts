import { type FileHandle, open } from 'node:fs/promises'
import { Growable } from './growable.ts'
import { HashIndex } from './hash-index.ts'
import type { RowBlock } from './row-block.ts'

const FLUSH_BYTES = 4 << 20
const BLOCK_BYTES = 8 << 20
const BLOCK_ROWS = 16_384

/** Consecutive prompts: text i is `bytes[offsets[i]..offsets[i+1])`, UTF-8. */
export interface PromptBlock {
  /** number of the first prompt */
  readonly start: number
  readonly offsets: Int32Array
  readonly bytes: Buffer
}

/** Distinct prompts in the order they are met; texts lie in a file, only their digests in memory. */
export class PromptStore {
  private readonly index = new HashIndex()
  private readonly lengths = new Growable(Uint32Array)
  private readonly file: FileHandle
  private pending = Buffer.allocUnsafe(FLUSH_BYTES * 2)
  private pendingBytes = 0

  private constructor(file: FileHandle) {
    this.file = file
  }

  static async create(path: string): Promise<PromptStore> {
    return new PromptStore(await open(path, 'w+'))
  }

  get size(): number {
    return this.index.size
  }

  /** SHA-256 digests of all prompts in order, 32 bytes each. */
  digests(): Uint8Array {
    return this.index.bytes()
  }

  /** The number of row i's prompt, the same for the same exact text. Call `flush` between blocks. */
  add({ digest, text, textOffset }: RowBlock, i: number): number {
    const entry = this.index.add(digest, i * 32)
    if (entry === this.lengths.length) this.append(text, textOffset[i]!, textOffset[i + 1]!)
    return entry
  }

  /** First 32 bits of a prompt's hash. */
  keyOf(entry: number): number {
    return this.index.keyOf(entry)
  }

  /** Writes what is held in memory, once there is enough of it. */
  async flush(all = false): Promise<void> {
    if (this.pendingBytes === 0 || (this.pendingBytes < FLUSH_BYTES && !all)) return
    await this.file.writev([this.pending.subarray(0, this.pendingBytes)])
    this.pendingBytes = 0
  }

  /** Every prompt in order, block by block. */
  async *blocks(): AsyncGenerator<PromptBlock> {
    await this.flush(true)
    let position = 0
    for (let start = 0; start < this.size; ) {
      let end = start
      let length = 0
      while (
        end < this.size &&
        end - start < BLOCK_ROWS &&
        (end === start || length < BLOCK_BYTES)
      ) {
        length += this.lengths.at(end++)
      }
      const offsets = new Int32Array(end - start + 1)
      for (let i = start; i < end; i++)
        offsets[i - start + 1] = offsets[i - start]! + this.lengths.at(i)
      const bytes = Buffer.allocUnsafe(length)
      for (let at = 0; at < length; ) {
        const { bytesRead } = await this.file.read(bytes, at, length - at, position + at)
        if (bytesRead === 0) throw new Error('the prompt spill file ends early')
        at += bytesRead
      }
      yield { start, offsets, bytes }
      position += length
      start = end
    }
  }

  close(): Promise<void> {
    return this.file.close()
  }

  private append(text: Uint8Array, start: number, end: number): void {
    const room = this.pendingBytes + end - start
    if (room > this.pending.length) {
      const grown = Buffer.allocUnsafe(Math.max(room, this.pending.length * 2))
      this.pending.copy(grown, 0, 0, this.pendingBytes)
      this.pending = grown
    }
    this.pending.set(text.subarray(start, end), this.pendingBytes)
    this.pendingBytes = room
    this.lengths.push(end - start)
  }
}
