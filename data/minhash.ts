import { hashText } from './hash64.ts'
import { plainHead } from './stem.ts'

/** Hashes of a signature; two texts agree in each with probability equal to their Jaccard similarity. */
export const SIGNATURE = 32
/** Characters in a shingle, of the plain text. */
const SHINGLE = 8
const HEAD = 2_000

/** Odd multipliers and offsets of the permutations, from a fixed generator. */
const MULTIPLIERS = new Uint32Array(SIGNATURE)
const OFFSETS = new Uint32Array(SIGNATURE)
for (let i = 0, words = new Uint32Array(2); i < SIGNATURE; i++) {
  hashText(`minhash ${i}`, 0, words)
  MULTIPLIERS[i] = words[0]! | 1
  OFFSETS[i] = words[1]!
}

/** MinHash (Broder 1997) of a prompt's character shingles, written to `out` from `at`. */
export function minHash(text: string, out: Uint32Array, at: number): void {
  out.fill(0xffffffff, at, at + SIGNATURE)
  for (const shingle of shingles(text)) {
    for (let i = 0; i < SIGNATURE; i++) {
      const mixed = (Math.imul(shingle, MULTIPLIERS[i]!) + OFFSETS[i]!) >>> 0
      if (mixed < out[at + i]!) out[at + i] = mixed
    }
  }
}

/** Part of the shingles of either text that both have. */
export function similarity(a: string, b: string): number {
  const left = new Set(shingles(a))
  const right = new Set(shingles(b))
  let both = 0
  for (const shingle of left) if (right.has(shingle)) both++
  return both / (left.size + right.size - both)
}

/** Rolling hashes of every run of SHINGLE characters; of the whole where it is shorter. */
function* shingles(text: string): Generator<number> {
  const plain = plainHead(text, HEAD)
  const last = Math.max(0, plain.length - SHINGLE)
  for (let start = 0; start <= last; start++) {
    let hash = 0x811c9dc5
    const end = Math.min(plain.length, start + SHINGLE)
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ plain.charCodeAt(i), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    yield (hash ^ (hash >>> 12)) >>> 0
  }
}
