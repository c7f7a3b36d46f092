/** The features counted the plain way, a character at a time: what the quick one must equal to the last bit. */
const CLASS = { other: 0, lower: 1, upper: 2, digit: 3, space: 4, line: 5 } as const
const KIND = new Uint8Array(128)
const CODE = new Uint8Array(128)
const MATHS = new Uint8Array(128)
const PUNCTUATION = new Uint8Array(128)
const QUOTE = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code)
  if (/[a-z]/.test(character)) KIND[code] = CLASS.lower
  else if (/[A-Z]/.test(character)) KIND[code] = CLASS.upper
  else if (/[0-9]/.test(character)) KIND[code] = CLASS.digit
  else if (character === '\n') KIND[code] = CLASS.line
  else if (/\s/.test(character)) KIND[code] = CLASS.space
  if ('{}[]();=<>`_'.includes(character)) CODE[code] = 1
  if ('+-*/^=\\$%'.includes(character)) MATHS[code] = 1
  if ('.,;:!?'.includes(character)) PUNCTUATION[code] = 1
  if ('"\''.includes(character)) QUOTE[code] = 1
}

const LONG_WORD = 8

export function slowSurfaceFeatures(text: string, out: Float64Array, at = 0): void {
  const length = text.length
  let words = 0
  let longWords = 0
  let wordCharacters = 0
  let lines = 1
  let digits = 0
  let capitals = 0
  let code = 0
  let maths = 0
  let punctuation = 0
  let wide = 0
  let questions = 0
  let numbers = 0
  let longestLine = 0
  let marks = 0
  let quotes = 0
  let firstLine = -1
  let blanks = 0
  let sentences = 0
  let fences = 0
  let wordLength = 0
  let inNumber = false
  let lineStart = 0
  let previous = 0
  for (let i = 0; i <= length; i++) {
    const unit = i < length ? text.charCodeAt(i) : 10
    const kind = unit < 128 ? KIND[unit]! : CLASS.lower
    const letter = kind === CLASS.lower || kind === CLASS.upper || kind === CLASS.digit
    if (letter) wordLength++
    else if (wordLength > 0) {
      words++
      wordCharacters += wordLength
      if (wordLength > LONG_WORD) longWords++
      wordLength = 0
    }
    if (kind === CLASS.digit) {
      digits++
      if (!inNumber) numbers++
      inNumber = true
    } else inNumber = false
    if (kind === CLASS.line) {
      const line = i - lineStart
      if (line > longestLine) longestLine = line
      if (firstLine < 0) firstLine = line
      if (isListed(text, lineStart, i)) marks++
      lineStart = i + 1
      if (i < length) lines++
    }
    if (i === length) break
    if (unit >= 128) wide++
    else {
      if (kind === CLASS.upper) capitals++
      code += CODE[unit]!
      maths += MATHS[unit]!
      punctuation += PUNCTUATION[unit]!
      quotes += QUOTE[unit]!
      if (unit === 63) questions++
      if (unit === 95 && previous === 95) blanks++
      if (unit === 96 && previous === 96) fences++
      if (kind === CLASS.space && (previous === 46 || previous === 63 || previous === 33))
        sentences++
    }
    previous = unit
  }
  const per = 1 / (length + 1)
  out[at] = Math.log(length + 1)
  out[at + 1] = Math.log(words + 1)
  out[at + 2] = Math.log(lines)
  out[at + 3] = digits * per
  out[at + 4] = capitals * per
  out[at + 5] = code * per
  out[at + 6] = maths * per
  out[at + 7] = punctuation * per
  out[at + 8] = wide * per
  out[at + 9] = words > 0 ? wordCharacters / words : 0
  out[at + 10] = Math.log1p(questions)
  out[at + 11] = Math.log1p(numbers)
  out[at + 12] = Math.log1p(longestLine)
  out[at + 13] = Math.log1p(marks)
  out[at + 14] = quotes * per
  out[at + 15] = Math.log1p(firstLine)
  out[at + 16] = words > 0 ? longWords / words : 0
  out[at + 17] = Math.log1p(blanks)
  out[at + 18] = Math.log1p(sentences)
  out[at + 19] = fences > 0 ? 1 : 0
}

/** True for lines that start `- `, `* `, `1. `, `2) `, `A. ` or `(b) `. */
function isListed(text: string, from: number, to: number): boolean {
  let i = from
  while (i < to && text.charCodeAt(i) === 32) i++
  let unit = text.charCodeAt(i)
  if (unit === 45 || unit === 42) return text.charCodeAt(i + 1) === 32
  if (unit === 40) unit = text.charCodeAt(++i)
  const kind = unit < 128 ? KIND[unit]! : CLASS.other
  if (kind !== CLASS.digit && kind !== CLASS.upper && kind !== CLASS.lower) return false
  i++
  if (kind === CLASS.digit) while (i < to && KIND[text.charCodeAt(i)] === CLASS.digit) i++
  const mark = text.charCodeAt(i)
  return i < to && (mark === 46 || mark === 41) && (i + 1 >= to || text.charCodeAt(i + 1) === 32)
}
