/** Characters of a prompt that are looked at. */
const TEXT_LENGTH = 16_000

const OPTION_LINE = /^[ \t]*(?:\([A-Za-z]\)|[A-Z][.)])[ \t].*$/gm
const ANSWER_CUE = /\banswer:?\s*$/i
const NOT_LETTER_OR_DIGIT = /[^\p{L}\p{N}]+/gu
const CUE = 'answer'

/** Length of what a closing cue takes off: the scan must see that far past what is asked for. */
export const CUT = CUE.length

/**
 * The first `length` lower-cased letters and digits of a prompt, without its lines of answer options
 * ("A. ...", "(b) ...") and a closing "Answer:".
 */
export function plainText(text: string, length: number): string {
  const cut = text.length > TEXT_LENGTH ? text.slice(0, TEXT_LENGTH) : text
  const question = cut.replace(OPTION_LINE, '').replace(ANSWER_CUE, '')
  const plain = question.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '')
  // A prompt that is nothing but options, or signs, still needs a stem of its own.
  if (plain !== '') return plain.slice(0, length)
  return cut.toLowerCase().replace(NOT_LETTER_OR_DIGIT, '').slice(0, length) || cut.slice(0, length)
}

/** For each ASCII character its lower-cased letter or digit, else 0. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, code) =>
  /[a-z0-9]/i.test(String.fromCharCode(code))
    ? String.fromCharCode(code).toLowerCase().charCodeAt(0)
    : 0,
)

const TAB = 9
const NEWLINE = 10
const RETURN = 13
const SPACE = 32
const OPEN = 40
const CLOSE = 41
const DOT = 46
const COLON = 58

/**
 * The same for a prompt of ASCII characters, into `out` (at least `length` + CUT long), ten times as
 * fast: ingestion reads every prompt. Returns how long it is, or -1 where `plainText` has to tell.
 */
export function plainAscii(text: string, out: Uint8Array, length: number): number {
  const end = Math.min(text.length, TEXT_LENGTH)
  const wanted = length + CUT
  let made = 0
  let lineStart = true
  let lastKept = -1
  for (let i = 0; i < end; i++) {
    if (lineStart) {
      const after = optionLineEnd(text, i, end)
      if (after > i) {
        i = after
        if (i >= end) break
      }
    }
    const code = text.charCodeAt(i)
    if (code >= 128) return -1
    lineStart = code === NEWLINE || code === RETURN
    if (code > SPACE) lastKept = i
    const plain = PLAIN[code]!
    if (plain === 0) continue
    out[made++] = plain
    if (made === wanted) return length
  }
  if (endsInCue(text, lastKept)) made -= CUE.length
  return made > 0 ? Math.min(made, length) : -1
}

/** Where the line that starts at `i` ends if it is an answer option, else `i`. */
function optionLineEnd(text: string, i: number, end: number): number {
  let at = i
  while (at < end && (text.charCodeAt(at) === SPACE || text.charCodeAt(at) === TAB)) at++
  let code = text.charCodeAt(at)
  if (code === OPEN) {
    code = text.charCodeAt(at + 1)
    if (!letter(code) || text.charCodeAt(at + 2) !== CLOSE) return i
    at += 3
  } else {
    if (!(code >= 65 && code <= 90)) return i
    code = text.charCodeAt(at + 1)
    if (code !== DOT && code !== CLOSE) return i
    at += 2
  }
  if (at >= end) return i
  code = text.charCodeAt(at)
  if (code !== SPACE && code !== TAB) return i
  while (at < end && text.charCodeAt(at) !== NEWLINE && text.charCodeAt(at) !== RETURN) at++
  return at
}

function endsInCue(text: string, last: number): boolean {
  const stop = text.charCodeAt(last) === COLON ? last : last + 1
  const start = stop - CUE.length
  if (start < 0 || text.slice(start, stop).toLowerCase() !== CUE) return false
  const before = text.charCodeAt(start - 1)
  return start === 0 || !(letter(before) || (before >= 48 && before <= 57) || before === 95)
}

const letter = (code: number): boolean => (code >= 65 && code <= 90) || (code >= 97 && code <= 122)
