import { isUtf8 } from 'node:buffer'
import type { RawRecord, ReadRecord } from '../rows/reader.ts'
import { COLUMNS_MAX, type Line, NOT_UTF8, tooManyColumns } from './lines.ts'

/** The bytes that JSON's structure is made of. */
export const BYTE = {
  quote: 0x22,
  backslash: 0x5c,
  comma: 0x2c,
  colon: 0x3a,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
  newline: 0x0a,
} as const

/** A JSON value, or why the text holds none. Python's NaN and Infinity are read. */
export function parseJson(text: string): { readonly value: unknown } | { readonly reason: string } {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    const python = parsePython(text)
    if (python !== undefined) return { value: python }
    return { reason: `not JSON: ${(error as Error).message.slice(0, 200)}` }
  }
}

/** Like `parseJson`, from the bytes of UTF-8, with or without a byte order mark. */
export function parseJsonBytes(bytes: Buffer): ReturnType<typeof parseJson> {
  return isUtf8(bytes) ? parseJson(bytes.toString().trim()) : { reason: NOT_UTF8 }
}

/** The record on a line; undefined if the line is blank. */
export function parseLine(line: Line): ReadRecord | undefined {
  if (!('text' in line)) return { line: line.line, field: '(line)', reason: line.reason }
  const parsed = parseJson(line.text)
  if ('value' in parsed) return asRecord(parsed.value, line.line, line.text.length)
  if (line.text.trim() === '') return undefined
  return { line: line.line, field: '(line)', reason: parsed.reason }
}

/**
 * JSON as Python writes it: NaN becomes null (no value), Infinity a number that no field takes. Undefined if
 * the text is not JSON even so.
 */
function parsePython(text: string): unknown {
  if (!/NaN|Infinity/.test(text)) return undefined
  let plain = ''
  let at = 0
  while (at < text.length) {
    const quote = text.indexOf('"', at)
    const between = text.slice(at, quote < 0 ? text.length : quote)
    plain += between.replace(/\bNaN\b/g, 'null').replace(/\bInfinity\b/g, '1e999')
    if (quote < 0) break
    let end = text.indexOf('"', quote + 1)
    while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
    if (end < 0) return undefined
    plain += text.slice(quote, end + 1)
    at = end + 1
  }
  try {
    return JSON.parse(plain)
  } catch {
    return undefined
  }
}

/** Whether an odd number of backslashes stands before the place. */
function isEscaped(text: string, at: number): boolean {
  let from = at
  while (text[from - 1] === '\\') from--
  return (at - from) % 2 === 1
}

/**
 * A parsed JSON value as a record; anything other than an object is refused.
 *
 * @param length of its text: only a long one can have too many fields
 */
export function asRecord(value: unknown, line: number, length: number): ReadRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
    return { line, field: '(line)', reason: `expected a JSON object, got ${got}` }
  }
  const fields = length > COLUMNS_MAX ? Object.keys(value).length : 0
  if (fields > COLUMNS_MAX) return { line, field: '(line)', reason: tooManyColumns(fields) }
  return { record: value as RawRecord, line }
}
