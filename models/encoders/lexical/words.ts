/**
 * Words and pairs of neighbouring words as 32-bit hashes, in one pass over the text without allocating a
 * string per word. A word is a run of letters, digits, `_` and non-ASCII characters that are neither
 * punctuation nor CJK. A CJK character is one word, since CJK text has no spaces, and so is an ASCII
 * punctuation mark: blanks, formulas and quotes show what is asked (.012 of APGR on MMLU, docs/routers.md).
 */
export type OnGram = (hash: number, start: number, end: number) => void

const WORD_SEED = 0x811c9dc5
const WORD_PRIME = 0x01000193
const PAIR_PRIME = 0x9e3779b1

/** 1 if an ASCII character is part of a word, 2 if it is a word by itself. */
const ASCII_WORD = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code)
  if (/[a-z0-9_]/.test(character)) ASCII_WORD[code] = 1
  else if (code > 32 && code < 127) ASCII_WORD[code] = 2
}

/** Calls `onGram` for each word and each pair, in order, with its span in `text` (already lower-cased). */
export function eachGram(text: string, onGram: OnGram): void {
  const length = text.length
  let previous = 0
  let previousStart = -1
  let hash = WORD_SEED
  let start = -1
  for (let i = 0; i <= length; i++) {
    const code = i < length ? text.charCodeAt(i) : 0
    const kind = code < 128 ? ASCII_WORD[code]! : wideKind(code)
    if (kind === 1) {
      if (start < 0) start = i
      hash = Math.imul(hash ^ code, WORD_PRIME)
      continue
    }
    if (start >= 0) {
      emit(start, i)
      start = -1
      hash = WORD_SEED
    }
    if (kind === 2) {
      hash = Math.imul(hash ^ code, WORD_PRIME)
      emit(i, i + 1)
      hash = WORD_SEED
    }
  }

  function emit(from: number, to: number): void {
    const word = mix(hash)
    onGram(word, from, to)
    if (previousStart >= 0) onGram(mix(Math.imul(previous, PAIR_PRIME) + word), previousStart, to)
    previous = word
    previousStart = from
  }
}

/** 0: separates words; 1: part of a word; 2: a word by itself. */
function wideKind(code: number): 0 | 1 | 2 {
  if (code < 0x2000) return code === 0xa0 || code === 0xab || code === 0xbb || code === 0xbf ? 0 : 1
  if (code <= 0x206f) return 0
  if (code < 0x3000) return 1
  if (code < 0x3040) return 0
  if (code < 0x9fff || (code >= 0xac00 && code <= 0xd7af)) return 2
  return 1
}

/** murmur3's finaliser: spreads the bits, so that a bucket can be taken from the low ones. */
function mix(value: number): number {
  let h = value ^ (value >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
