import type { RowBlock } from './row-block.ts'

const NONE = -1

/** What is known of every prompt beside its text, 20 bytes each. */
export class PromptColumns {
  private stems = new Uint32Array(8192)
  private category = new Int32Array(4096)
  private first = new Float64Array(4096)
  length = 0

  /** A prompt met for the first time, in row i of a block. */
  add(block: RowBlock, i: number): void {
    if (this.length === this.category.length) this.grow()
    const at = this.length++
    this.stems[at * 2] = block.stem[i * 2]!
    this.stems[at * 2 + 1] = block.stem[i * 2 + 1]!
    this.category[at] = NONE
    this.first[at] = block.timestamp[i]!
  }

  /** The first category named for a prompt counts. */
  addCategory(prompt: number, category: number): void {
    if (this.category[prompt] === NONE) this.category[prompt] = category
  }

  addTime(prompt: number, time: number): void {
    if (!(time >= this.first[prompt]!)) this.first[prompt] = time
  }

  setStem(prompt: number, hash: Uint32Array): void {
    this.stems.set(hash, prompt * 2)
  }

  /** 64-bit hashes, two words a prompt. */
  allStems(): Uint32Array {
    return this.stems.subarray(0, this.length * 2)
  }

  /** -1 for none. */
  allCategories(): Int32Array {
    return this.category.subarray(0, this.length)
  }

  /** Seconds since 1970 of the first row with the prompt; NaN where no row has a time. */
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
