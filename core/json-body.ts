import { isAscii, isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { WeirError } from './errors.ts'

/** Largest request body in bytes: fits a prompt of a million characters, but not ten megabytes. */
export const BODY_LIMIT = 8 * 1024 * 1024

/** Deepest nesting of a request body; chat messages with tools need about ten. */
export const DEPTH_LIMIT = 64

/**
 * Maximum number of keys, objects and lists in a body. They cost a hundred times more than their bytes: a
 * body of nothing else would take seconds to parse.
 */
export const PARTS_LIMIT = 100_000
/** What a list item or a further key counts toward that limit: a list of 800,000 numbers fits. */
const ITEM_PART = 1 / 8

/**
 * Decodes a body. @throws request_invalid if it is not UTF-8, since replacing characters would change the
 * prompt
 */
export function decodeBody(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
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
  const { depth, parts } = jsonShape(text, DEPTH_LIMIT, PARTS_LIMIT)
  if (depth > DEPTH_LIMIT) throw new WeirError('too_deep', { limit: DEPTH_LIMIT })
  if (parts > PARTS_LIMIT) throw new WeirError('too_many_parts', { limit: PARTS_LIMIT })
  try {
    return JSON.parse(text)
  } catch (cause) {
    // V8's message quotes the body, so only its beginning is returned
    const got = `${(cause as Error).message.slice(0, 80)}`
    throw new WeirError('request_invalid', { where: 'body', expected: 'JSON', got }, { cause })
  }
}

/** Whether brackets nest at most `limit` deep; strings are skipped. */
export const nestedWithin = (text: string, limit: number): boolean =>
  jsonShape(text, limit, Number.POSITIVE_INFINITY).depth <= limit

/** The nesting depth of brackets, and the number of keys, objects and lists; stops beyond either limit. */
function jsonShape(
  text: string,
  depthLimit: number,
  partsLimit: number,
): { readonly depth: number; readonly parts: number } {
  let depth = 0
  let deepest = 0
  let parts = 0
  for (let i = 0; i < text.length && deepest <= depthLimit && parts <= partsLimit; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      i = stringEnd(text, i)
    } else if (code === 0x5b || code === 0x7b) {
      parts++
      if (++depth > deepest) deepest = depth
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    } else if (code === 0x3a) {
      parts++
    } else if (code === 0x2c) {
      parts += ITEM_PART
    }
  }
  return { depth: deepest, parts }
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

/** Strings of this many bytes are cut out of a large body before it is parsed. */
const LONG_STRING = 64 * 1024
/** Bytes that are looked at between two turns of the event loop. */
const STRETCH = 1024 * 1024
/** Strings of a body that are looked at. */
const STRINGS_LIMIT = 10_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A body and the JSON text that it was parsed from. */
export interface ParsedBody {
  /** the body's text, or an equal one whose letters beyond ASCII are escaped */
  readonly text: string
  readonly value: unknown
}

/**
 * Parses a large body in several turns of the event loop, so that others are answered between them. Parsing is
 * one step, and takes 30 ms for 20 MB; so long strings without escapes, such as images in base64, are cut
 * out before it and put in after it.
 *
 * @throws request_invalid, too_deep, too_many_parts
 */
export async function parseLargeBody(bytes: Buffer): Promise<ParsedBody> {
  const cuts = await longStrings(bytes)
  if (cuts.length === 0) {
    const text = decodeBody(bytes)
    await turn()
    return { text, value: parseJsonBody(text) }
  }
  // one byte a character: its text is copied as a whole, and the strings are parts of it
  const whole = isAscii(bytes) ? bytes.toString('latin1') : undefined
  await turn()
  // unknown to clients, so that no string of theirs is taken for a cut
  const mark = `${randomUUID()}:`
  let outline = ''
  let length = 0
  const parts: string[] = []
  const starts: number[] = []
  const keep = (from: number, to: number): void => {
    const text = decodeBody(bytes.subarray(from, to))
    // of a long text it would take longer than it saves
    const ascii = whole !== undefined || text.length > STRETCH ? text : escaped(text)
    outline += text
    length += ascii.length
    if (whole === undefined) parts.push(ascii)
  }
  let at = 0
  for (const [i, { start, end }] of cuts.entries()) {
    keep(at, start)
    outline += `${mark}${i}`
    starts.push(length)
    length += end - start
    at = end
    if (whole !== undefined) continue
    parts.push(bytes.toString('latin1', start, end))
    if (end - start > STRETCH) await turn()
  }
  keep(at, bytes.length)
  const value = parseJsonBody(outline)
  await turn()
  const text = whole ?? parts.join('')
  await turn()
  const cut = (name: string): string | undefined => {
    if (!name.startsWith(mark)) return undefined
    const i = Number(name.slice(mark.length))
    const { start, end } = cuts[i]!
    return text.slice(starts[i]!, starts[i]! + end - start)
  }
  return { text, value: withStrings(value, cut) }
}

interface Cut {
  readonly start: number
  readonly end: number
}

/** The contents of long strings of ASCII without escapes that are values, in order. */
async function longStrings(bytes: Buffer): Promise<Cut[]> {
  const cuts: Cut[] = []
  let rested = 0
  let strings = 0
  for (let i = bytes.indexOf(0x22); i >= 0; i = bytes.indexOf(0x22, i + 1)) {
    const end = byteStringEnd(bytes, i)
    // a body of many short strings is parsed as it is: looking at each would take longer
    if (end < 0 || ++strings > STRINGS_LIMIT) return cuts
    if (end - i > LONG_STRING && (await isPlain(bytes, i + 1, end)) && !isKey(bytes, end)) {
      cuts.push({ start: i + 1, end })
    }
    i = end
    if (i - rested > STRETCH) {
      rested = i
      await turn()
    }
  }
  return cuts
}

function byteStringEnd(bytes: Buffer, start: number): number {
  let quotes = 0
  for (let end = bytes.indexOf(0x22, start + 1); end >= 0; end = bytes.indexOf(0x22, end + 1)) {
    if (++quotes > STRINGS_LIMIT) return -1
    let before = end
    while (bytes[before - 1] === 0x5c) before--
    // an even number of backslashes escape each other
    if ((end - before) % 2 === 0) return end
  }
  return -1
}

/** Whether the string is a field's name. */
function isKey(bytes: Buffer, end: number): boolean {
  let i = end + 1
  while (i < bytes.length && bytes[i]! <= 0x20) i++
  return bytes[i] === 0x3a
}

/** No escapes, no control characters, which JSON does not allow, nothing beyond ASCII. */
const NOT_PLAIN = /[^\x20-\x5b\x5d-\x7f]/

async function isPlain(bytes: Buffer, start: number, end: number): Promise<boolean> {
  for (let at = start; at < end; at += STRETCH) {
    if (NOT_PLAIN.test(bytes.toString('latin1', at, Math.min(end, at + STRETCH)))) return false
    if (at + STRETCH < end) await turn()
  }
  return true
}

/** With escapes for letters beyond ASCII, so that the text takes one byte a character and is copied fast. */
function escaped(text: string): string {
  return text.replace(/[^\p{ASCII}]/gu, (letter) =>
    [...Array(letter.length).keys()]
      .map((i) => `\\u${letter.charCodeAt(i).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** The value with some strings replaced; objects and lists are changed in place. */
function withStrings(value: unknown, replace: (text: string) => string | undefined): unknown {
  if (typeof value === 'string') return replace(value) ?? value
  if (typeof value !== 'object' || value === null) return value
  const fields = value as Record<string, unknown>
  for (const field of Object.keys(fields)) {
    const its = fields[field]
    if (typeof its !== 'string' && (typeof its !== 'object' || its === null)) continue
    const now = withStrings(its, replace)
    // `__proto__` is an own field of what was parsed, and an assignment would set the prototype
    if (now !== its) Object.defineProperty(fields, field, { value: now })
  }
  return value
}
