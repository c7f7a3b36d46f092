/**
 * Features of a prompt that need no knowledge of its words. Counts are on a log scale and shares are of the
 * characters, so that each is of order one before it is standardised.
 */
export const SURFACE_FEATURES = [
  'length (characters)',
  'words',
  'lines',
  'share of digits',
  'share of capitals',
  'share of code marks',
  'share of maths marks',
  'share of punctuation',
  'share of non-ASCII',
  'mean word length',
  'question marks',
  'numbers',
  'longest line',
  'list or choice marks',
  'share of quotes',
  'first line length',
  'share of long words',
  'blanks to fill in',
  'sentences',
  'code fence',
] as const

export const SURFACE_COUNT = SURFACE_FEATURES.length

/** All characters beyond ASCII share one class: a letter, and `wide`. */
const WIDE = 128
const SIZE = 129

const codesOf = (pattern: RegExp): readonly number[] =>
  Array.from({ length: 128 }, (_, code) => code).filter((code) =>
    pattern.test(String.fromCharCode(code)),
  )
const DIGITS = codesOf(/[0-9]/)
const CAPITALS = codesOf(/[A-Z]/)
const SMALL = codesOf(/[a-z]/)
const CODE = codesOf(/[{}[\]();=<>`_]/)
const MATHS = codesOf(/[-+*/^=\\$%]/)
const PUNCTUATION = codesOf(/[.,;:!?]/)
const QUOTES = codesOf(/["']/)
const LINE_BREAK = 10

/**
 * The class bits of a character and, in `AFTER`, which of them matter for the next one: a letter after a
 * non-letter starts a word, a space after a full stop ends a sentence, `_` after `_` is a blank to fill in.
 */
const LETTER = 1
const DIGIT = 1 << 16
const SPACE = 2
const BLANK = 4
const FENCE = 8
const LINE = 16
const IS = new Int32Array(SIZE)
const AFTER = new Int32Array(SIZE).fill(LETTER | DIGIT | LINE)
const setBits = (table: Int32Array, codes: readonly number[], bits: number): void => {
  for (const code of codes) table[code]! |= bits
}
const clearBits = (table: Int32Array, codes: readonly number[], bits: number): void => {
  for (const code of codes) table[code]! &= ~bits
}
const LETTERS = [...SMALL, ...CAPITALS, ...DIGITS, WIDE]
setBits(IS, LETTERS, LETTER)
setBits(IS, DIGITS, DIGIT)
setBits(IS, codesOf(/[^\S\n]/), SPACE)
setBits(IS, [LINE_BREAK], LINE)
setBits(IS, codesOf(/_/), BLANK)
setBits(IS, codesOf(/`/), FENCE)
clearBits(AFTER, LETTERS, LETTER)
clearBits(AFTER, DIGITS, DIGIT)
setBits(AFTER, codesOf(/[.?!]/), SPACE)
setBits(AFTER, codesOf(/_/), BLANK)
setBits(AFTER, codesOf(/`/), FENCE)
const STARTS = LETTER | DIGIT

/** A word longer than 8 characters is long. */
const LONG_AT = 9
/** Words and numbers are counted in the two halves of one integer, which is emptied before they overlap. */
const CHUNK = 1 << 14
/** Count of each character: scratch space, so that a request allocates nothing. */
const seen = new Uint32Array(SIZE)
const sumOf = (codes: readonly number[]): number => {
  let sum = 0
  for (let k = 0; k < codes.length; k++) sum += seen[codes[k]!]!
  return sum
}

/**
 * Writes the prompt's features into `out` at `at` (SURFACE_COUNT numbers). One pass, no allocation, and no
 * branch that depends on where words end: processors mispredict those, which took most of the time.
 */
export function surfaceFeatures(text: string, out: Float64Array, at = 0): void {
  const length = text.length
  let words = 0
  let numbers = 0
  let longWords = 0
  let lines = 1
  let longestLine = 0
  let marks = 0
  let firstLine = -1
  let blanks = 0
  let sentences = 0
  let fences = 0
  let lineStart = 0
  let after = AFTER[0]!
  let inWord = 0
  seen.fill(0)
  for (let from = 0; from < length; from += CHUNK) {
    const to = Math.min(from + CHUNK, length)
    let starts = 0
    for (let i = from; i < to; i++) {
      const unit = text.charCodeAt(i)
      const code = unit < WIDE ? unit : WIDE
      const is = IS[code]!
      const hit = is & after
      after = AFTER[code]!
      seen[code]!++
      starts += hit & STARTS
      inWord = (inWord + 1) & -(is & LETTER)
      longWords += ((inWord ^ LONG_AT) - 1) >>> 31
      if (hit > LETTER && (hit & ~STARTS) !== 0) {
        if (hit & SPACE) sentences++
        else if (hit & BLANK) blanks++
        else if (hit & FENCE) fences++
        else {
          const line = i - lineStart
          if (line > longestLine) longestLine = line
          if (firstLine < 0) firstLine = line
          if (isListed(text, lineStart, i)) marks++
          lineStart = i + 1
          lines++
        }
      }
    }
    words += starts & 0xffff
    numbers += starts >>> 16
  }
  const line = length - lineStart
  if (line > longestLine) longestLine = line
  if (firstLine < 0) firstLine = line
  if (isListed(text, lineStart, length)) marks++
  const digits = sumOf(DIGITS)
  const capitals = sumOf(CAPITALS)
  const wide = seen[WIDE]!
  const wordCharacters = digits + capitals + wide + sumOf(SMALL)
  const per = 1 / (length + 1)
  out[at] = Math.log(length + 1)
  out[at + 1] = Math.log(words + 1)
  out[at + 2] = Math.log(lines)
  out[at + 3] = digits * per
  out[at + 4] = capitals * per
  out[at + 5] = sumOf(CODE) * per
  out[at + 6] = sumOf(MATHS) * per
  out[at + 7] = sumOf(PUNCTUATION) * per
  out[at + 8] = wide * per
  out[at + 9] = words > 0 ? wordCharacters / words : 0
  out[at + 10] = Math.log1p(seen[63]!)
  out[at + 11] = Math.log1p(numbers)
  out[at + 12] = Math.log1p(longestLine)
  out[at + 13] = Math.log1p(marks)
  out[at + 14] = sumOf(QUOTES) * per
  out[at + 15] = Math.log1p(firstLine)
  out[at + 16] = words > 0 ? longWords / words : 0
  out[at + 17] = Math.log1p(blanks)
  out[at + 18] = Math.log1p(sentences)
  out[at + 19] = fences > 0 ? 1 : 0
}

/** True for lines that start with `- `, `* `, `1. `, `2) `, `A. ` or `(b) `. */
function isListed(text: string, from: number, to: number): boolean {
  let i = from
  while (i < to && text.charCodeAt(i) === 32) i++
  let unit = text.charCodeAt(i)
  if (unit === 45 || unit === 42) return text.charCodeAt(i + 1) === 32
  if (unit === 40) unit = text.charCodeAt(++i)
  const kind = unit < WIDE ? IS[unit]! : 0
  if ((kind & LETTER) === 0) return false
  i++
  if (kind & DIGIT) while (i < to && isDigit(text.charCodeAt(i))) i++
  const mark = text.charCodeAt(i)
  return i < to && (mark === 46 || mark === 41) && (i + 1 >= to || text.charCodeAt(i + 1) === 32)
}

const isDigit = (unit: number): boolean => unit >= 48 && unit <= 57
