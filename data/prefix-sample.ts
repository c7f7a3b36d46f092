import { plainHead, sharedPrefixes } from './stem.ts'

const LIMIT = 20_000

/**
 * Plain heads of the prompts with the smallest hashes: a sample that depends on the prompts alone, not
 * on their order, and all of them where there are few.
 */
export class PrefixSample {
  private heads: { readonly key: number; readonly head: string }[] = []
  private below = 0x1_0000_0000

  /** `key`: the first 32 bits of the prompt's hash. */
  wants(key: number): boolean {
    return key < this.below
  }

  add(key: number, text: string): void {
    this.heads.push({ key, head: plainHead(text) })
    while (this.heads.length > LIMIT) {
      this.below /= 2
      this.heads = this.heads.filter((item) => item.key < this.below)
    }
  }

  prefixes(): string[] {
    return sharedPrefixes(this.heads.map((item) => item.head))
  }
}
