import { hashBytes, hashText } from '../../core/hash.ts'
import type { SplitRule } from '../../models/bundle/manifest.ts'
import { wholeText } from '../../models/reading/recipe.ts'
import { askedText } from '../../models/reading/transcript.ts'
import { CUT, plainAscii, plainText } from './plain-text.ts'

/** A prefix shared by more than this fraction of the prompts is a template, not part of the question. */
const SHARED_SHARE = 0.05
/** Shorter shared openings ("what is the") are coincidence, and so is a prefix that few prompts share. */
const SHARED_MIN_LENGTH = 24
const SHARED_MIN_PROMPTS = 20
/** Letters and digits that are read to find a template; and those in a stem. */
const HEAD_LENGTH = 4_000
const STEM_LENGTH = 160

/** Lower-cased letters and digits of the prompt without answer options and closing "Answer:". */
export function plainHead(text: string, length = HEAD_LENGTH): string {
  const scanned = plainAscii(encoded, 0, encodeStart(text), scratch, length)
  return scanned >= 0 ? scratch.toString('latin1', 0, scanned) : plainText(text, length)
}

const scratch = Buffer.alloc(HEAD_LENGTH + CUT)
const encoded = Buffer.alloc(64 * 1024)

/** Writes the text's first 16,000 characters as UTF-8 to `encoded`. */
const encodeStart = (text: string): number =>
  encoded.write(text.length > 16_000 ? text.slice(0, 16_000) : text, 0)

/**
 * What two copies of the same question have in common: the first 160 characters of the plain head without the
 * longest matching shared prefix. Copies that differ in case, spacing or options have the same stem.
 */
export function stem(text: string, prefixes: readonly string[]): string {
  const head = plainHead(text, STEM_LENGTH + longest(prefixes))
  const start = prefixLength(head, prefixes)
  return head.slice(start, start + STEM_LENGTH)
}

/** The stem of a stored prompt (see `transcript`) by the rule that its dataset was split by. */
export function promptStem(
  prompt: string,
  { prefixes, asked }: Pick<SplitRule, 'prefixes' | 'asked'>,
): string {
  return stem(asked ? askedText(prompt) : wholeText(prompt), prefixes)
}

/** The stem's 64-bit hash, by `hashText`. */
export function stemHash(
  text: string,
  prefixes: readonly string[],
  seed: number,
  out: Uint32Array,
): void {
  hashText(stem(text, prefixes), seed, out)
}

/**
 * Like `stemHash` without prefixes, for UTF-8 text in `bytes[start..end)`; makes no string if it is ASCII.
 */
export function stemHashOfBytes(
  text: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  seed: number,
  out: Uint32Array,
): void {
  const length = plainAscii(bytes, start, end, scratch, STEM_LENGTH)
  if (length >= 0) hashBytes(scratch, 0, length, seed, out)
  else stemHash(text, [], seed, out)
}

function longest(prefixes: readonly string[]): number {
  return prefixes.reduce((length, prefix) => Math.max(length, prefix.length), 0)
}

function prefixLength(head: string, prefixes: readonly string[]): number {
  let length = 0
  for (const prefix of prefixes) {
    if (prefix.length > length && prefix.length < head.length && head.startsWith(prefix)) {
      length = prefix.length
    }
  }
  return length
}

/** Prefixes (of plain heads) shared by over 5% of the distinct prompts, longest first. */
export function findSharedPrefixes(prompts: readonly string[]): string[] {
  return sharedPrefixes(prompts.map((prompt) => plainHead(prompt)))
}

function sharedPrefixes(heads: readonly string[]): string[] {
  const enough = Math.max(SHARED_MIN_PROMPTS, Math.floor(heads.length * SHARED_SHARE) + 1)
  return sharedStarts(heads, enough, SHARED_MIN_LENGTH)
}

/**
 * Starts of at least `minLength` characters that at least `enough` of the texts share, longest first. When sorted,
 * texts with a common start are adjacent, so the two ends of a window show what all share.
 */
export function sharedStarts(
  texts: readonly string[],
  enough: number,
  minLength: number,
): string[] {
  const sorted = [...texts].sort()
  const found = new Set<string>()
  for (let i = 0; i + enough <= sorted.length; i++) {
    const first = sorted[i]!
    const last = sorted[i + enough - 1]!
    let shared = 0
    while (shared < first.length && first.charCodeAt(shared) === last.charCodeAt(shared)) shared++
    if (shared >= minLength) found.add(first.slice(0, shared))
  }
  return [...found].sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
}

const LIMIT = 20_000

/**
 * Plain heads of the prompts with the smallest hashes: a sample that depends only on the prompts, not on
 * their order; all of them if there are few.
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
