/** Number of characters of a prompt that are read. */
const TEXT_LENGTH = 16_000

const OPTION_LINE = /^[ \t]*(?:\([A-Za-z]\)|[A-Z][.)])[ \t].*$/gm
const ANSWER_CUE = /\banswer:?\s*$/i
const NOT_LETTER_OR_DIGIT = /[^\p{L}\p{N}]+/gu
const CUE = 'answer'

/** Length of the closing cue that may be removed: the scan must go this far past the requested length. */
export const CUT = CUE.length

/**
 * The first `length` lower-cased letters and digits of a prompt, without lines of answer options ("A. ...",
 * "(b) ...") and a closing "Answer:".
 */
export function plainText(text: string, length: number): string {
  const cut = text.length > TEXT_LENGTH ? text.slice(0, TEXT_LENGTH) : text
  const question = cut.replace(OPTION_LINE, '').replace(ANSWER_CUE, '')
  const plain = question.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '')
  // A prompt that consists only of options or signs still needs a stem.
  if (plain !== '') return plain.slice(0, length)
  return cut.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '').slice(0, length) || cut.slice(0, length)
}

/** For each ASCII character, its lower-cased letter or digit, otherwise 0. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, code) =>
  code < 128 && /[a-z0-9]/i.test(String.fromCharCode(code))
    ? String.fromCharCode(code).toLowerCase().charCodeAt(0)
    : 0,
)

/** The number of bytes each character leaves; a table, because a branch here would be unpredictable. */
const KEPT = PLAIN.map((plain) => (plain === 0 ? 0 : 1))

const TAB = 9
const NEWLINE = 10
const RETURN = 13
const SPACE = 32
const OPEN = 40
const CLOSE = 41
const DOT = 46
const COLON = 58

/**
 * Like `plainText`, for a prompt of ASCII characters, `bytes[start..stop)`. Writes to `out` (at least
 * `length` + CUT long) and is ten times as fast, because ingestion reads every prompt. Returns the length, or
 * -1 if `plainText` must be used.
 */
export function plainAscii(
  bytes: Uint8Array,
  start: number,
  stop: number,
  out: Uint8Array,
  length: number,
): number {
  const end = Math.min(stop, start + TEXT_LENGTH)
  const wanted = length + CUT
  let made = 0
  let lineStart = true
  for (let i = start; i < end; i++) {
    if (lineStart) {
      const after = optionLineEnd(bytes, i, end)
      if (after > i) {
        i = after
        if (i >= end) break
      }
    }
    const code = bytes[i]!
    if (code >= 128) return -1
    lineStart = code === NEWLINE || code === RETURN
    out[made] = PLAIN[code]!
    made += KEPT[code]!
    if (made === wanted) return length
  }
  if (isCue(out, made - CUE.length) && endsInCue(bytes, start, lastKept(bytes, start, end))) {
    made -= CUE.length
  }
  return made > 0 ? Math.min(made, length) : -1
}

/** Position of the last character that is neither blank nor in an answer option. */
function lastKept(bytes: Uint8Array, start: number, end: number): number {
  let last = -1
  let lineStart = true
  for (let i = start; i < end; i++) {
    if (lineStart) i = optionLineEnd(bytes, i, end)
    const code = bytes[i]!
    lineStart = code === NEWLINE || code === RETURN
    if (i < end && code > SPACE) last = i
  }
  return last
}

/** The end of the line that starts at `i` if it is an answer option, otherwise `i`. */
function optionLineEnd(bytes: Uint8Array, i: number, end: number): number {
  let at = i
  while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++
  const code = bytes[at]!
  if (code === OPEN) {
    if (!letter(bytes[at + 1]!) || bytes[at + 2] !== CLOSE) return i
    at += 3
  } else {
    if (!(code >= 65 && code <= 90)) return i
    if (bytes[at + 1] !== DOT && bytes[at + 1] !== CLOSE) return i
    at += 2
  }
  if (at >= end || (bytes[at] !== SPACE && bytes[at] !== TAB)) return i
  while (at < end && bytes[at] !== NEWLINE && bytes[at] !== RETURN) at++
  return at
}

/** Whether the kept text, up to `last`, ends in the separate word "answer" or "answer:". */
function endsInCue(bytes: Uint8Array, start: number, last: number): boolean {
  const stop = bytes[last] === COLON ? last : last + 1
  const from = stop - CUE.length
  if (from < start) return false
  for (let i = 0; i < CUE.length; i++) {
    if (PLAIN[bytes[from + i]!] !== CUE.charCodeAt(i)) return false
  }
  const before = bytes[from - 1]!
  return from === start || !(letter(before) || (before >= 48 && before <= 57) || before === 95)
}

function isCue(out: Uint8Array, from: number): boolean {
  for (let i = 0; i < CUE.length; i++) if (out[from + i] !== CUE.charCodeAt(i)) return false
  return true
}

const letter = (code: number): boolean => (code >= 65 && code <= 90) || (code >= 97 && code <= 122)
