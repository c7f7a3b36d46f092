import { isUtf8 } from 'node:buffer'
import { WeirError } from '../errors.ts'

/** Largest request body in bytes: fits a prompt of a million characters, but not ten megabytes. */
export const BODY_LIMIT = 8 * 1024 * 1024

/** Deepest nesting of a request body; chat messages with tools need about ten. */
export const DEPTH_LIMIT = 64

/**
 * Maximum number of keys, strings, objects and lists in a body. They cost a hundred times more than their
 * bytes: a body of nothing else would take seconds to parse.
 */
export const PARTS_LIMIT = 100_000
/** What a list item or a further key counts toward that limit: 300,000 tokens to embed, as many as OpenAI takes, fit. */
const ITEM_PART = 1 / 4

/**
 * Decodes a body. @throws request_invalid if it is not UTF-8, since replacing characters would change the
 * prompt
 */
export function decodeBody(bytes: Buffer): string {
  assertUtf8(bytes)
  return bytes.toString()
}

/** @throws request_invalid */
export function assertUtf8(bytes: Buffer): void {
  if (isUtf8(bytes)) return
  throw new WeirError('request_invalid', { where: 'body', expected: 'UTF-8', got: 'other bytes' })
}

/**
 * Parses a body. Fields that the schema does not name are refused later, so a key like `__proto__` never
 * reaches code that merges objects.
 *
 * @throws request_invalid, too_deep, too_many_parts
 */
export function parseJsonBody(text: string): unknown {
  if (text === '') {
    throw new WeirError('request_invalid', { where: 'body', expected: 'JSON', got: 'nothing' })
  }
  assertShape(text)
  return parsedJson(text)
}

/**
 * @param onLong called with the indices of the quotes of each string of more than `long` characters
 * @throws too_deep, too_many_parts, request_invalid for a very long number or run of blanks
 */
export function assertShape(
  text: string,
  long = Number.POSITIVE_INFINITY,
  onLong: (start: number, end: number) => void = () => {},
): void {
  const { depth, parts } = jsonShape(text, DEPTH_LIMIT, PARTS_LIMIT, long, onLong)
  if (depth > DEPTH_LIMIT) throw new WeirError('too_deep', { limit: DEPTH_LIMIT })
  if (parts > PARTS_LIMIT) throw new WeirError('too_many_parts', { limit: PARTS_LIMIT })
}

/** @throws request_invalid */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    // V8's message quotes the body, so only its beginning is returned
    const got = `${(cause as Error).message.slice(0, 80)}`
    throw new WeirError('request_invalid', { where: 'body', expected: 'JSON', got }, { cause })
  }
}

/** What `jsonShape` looks at, and the run of other characters after which it searches the next of them. */
const STRUCTURE = /["[\]{},]/g
const LONG_RUN = 32
/** Most characters of a number, or of blanks in a row: nobody needs more, and megabytes of them take long to parse. */
const MOST_RUN = 10_000
/** What a string that is cut out of a large body counts more than others. */
const LONG_PARTS = 3

/** The nesting depth of brackets, and the number of keys, strings, objects and lists; stops beyond either limit. */
function jsonShape(
  text: string,
  depthLimit: number,
  partsLimit: number,
  long = Number.POSITIVE_INFINITY,
  onLong: (start: number, end: number) => void = () => {},
): { readonly depth: number; readonly parts: number } {
  let depth = 0
  let deepest = 0
  let parts = 0
  let seen = -1
  for (let i = 0; i < text.length && deepest <= depthLimit && parts <= partsLimit; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      const end = stringEnd(text, i)
      if (end - i > long) {
        onLong(i, end)
        parts += LONG_PARTS
      }
      i = end
      parts++
    } else if (code === 0x5b || code === 0x7b) {
      parts++
      if (++depth > deepest) deepest = depth
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    } else if (code === 0x2c) {
      parts += ITEM_PART
    } else {
      if (i - seen > LONG_RUN) {
        // a long number or blanks: searching takes a fifth of the time that looking at each takes
        STRUCTURE.lastIndex = i
        const next = STRUCTURE.test(text) ? STRUCTURE.lastIndex - 1 : text.length
        if (next - seen > MOST_RUN) throw tooLongRun(next - seen - 1)
        i = next - 1
        seen = i
      }
      continue
    }
    seen = i
  }
  return { depth: deepest, parts }
}

const tooLongRun = (got: number): WeirError => {
  const expected = `numbers and blanks of at most ${MOST_RUN} characters`
  return new WeirError('request_invalid', { where: 'body', expected, got: `${got} in a row` })
}

/** Index of the quote that ends the string starting at `start`, or of the text's end. */
export function stringEnd(text: string, start: number): number {
  const end = text.indexOf('"', start + 1)
  if (end < 0) return text.length
  if (text.charCodeAt(end - 1) !== 0x5c) return end
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) return i
    if (code === 0x5c) i++
  }
  return text.length
}
