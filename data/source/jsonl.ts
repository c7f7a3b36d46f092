import { isUtf8 } from 'node:buffer'
import type { RawRecord, ReadRecord, RecordStream } from '../rows/reader.ts'
import { csvDialect, readCsv } from './csv.ts'
import {
  COLUMNS_MAX,
  LINE_BYTES_MAX,
  type Line,
  NOT_UTF8,
  readLines,
  tooManyColumns,
} from './lines.ts'
import type { Table } from './table.ts'

/** One JSON object per line; empty lines are skipped. */
export async function* readJsonLines(chunks: AsyncIterable<Buffer>): RecordStream & AsyncGenerator {
  for await (const lines of readLines(chunks)) {
    const batch: ReadRecord[] = []
    for (const line of lines) {
      const record = parseLine(line)
      if (record) batch.push(record)
    }
    if (batch.length > 0) yield batch
  }
}

/** The record on a line; undefined if the line is blank. */
export function parseLine(line: Line): ReadRecord | undefined {
  if (!('text' in line)) return { line: line.line, field: '(line)', reason: line.reason }
  let value: unknown
  try {
    value = JSON.parse(line.text)
  } catch (error) {
    if (line.text.trim() === '') return undefined
    const python = parsePython(line.text)
    if (python !== undefined) return asRecord(python, line.line, line.text.length)
    return {
      line: line.line,
      field: '(line)',
      reason: `not JSON: ${(error as Error).message.slice(0, 200)}`,
    }
  }
  return asRecord(value, line.line, line.text.length)
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
function asRecord(value: unknown, line: number, length: number): ReadRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
    return { line, field: '(line)', reason: `expected a JSON object, got ${got}` }
  }
  const fields = length > COLUMNS_MAX ? Object.keys(value).length : 0
  if (fields > COLUMNS_MAX) return { line, field: '(line)', reason: tooManyColumns(fields) }
  return { record: value as RawRecord, line }
}

const BYTE = {
  quote: 0x22,
  backslash: 0x5c,
  comma: 0x2c,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
  newline: 0x0a,
} as const

/**
 * The elements of one JSON array, or consecutive JSON objects in any layout, holding only one of them in
 * memory: only strings and brackets are scanned to find where each ends.
 */
async function* readJsonValues(
  chunks: AsyncIterable<Buffer>,
): RecordStream & AsyncGenerator<readonly ReadRecord[]> {
  const scanner = new Scanner()
  for await (const chunk of chunks) {
    const batch = scanner.scan(chunk)
    if (batch.length > 0) yield batch
  }
  const last = scanner.end()
  if (last) yield [last]
}

class Scanner {
  private line = 1
  private depth = 0
  /** Nesting depth of an element: 1 inside an array, 0 for consecutive objects. */
  private base: 0 | 1 | undefined
  private inString = false
  private escaped = false
  private finished = false
  private startLine = 1
  private held: Buffer[] = []
  private heldBytes = 0
  private tooLong = false

  scan(chunk: Buffer): ReadRecord[] {
    const batch: ReadRecord[] = []
    let from = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (byte === BYTE.newline) this.line++
      if (this.inString) {
        if (this.escaped) this.escaped = false
        else if (byte === BYTE.backslash) this.escaped = true
        else if (byte === BYTE.quote) this.inString = false
        continue
      }
      if (byte === BYTE.quote) this.inString = true
      else if (byte === BYTE.openBrace || byte === BYTE.openBracket) {
        if (this.base === undefined) {
          this.base = byte === BYTE.openBracket ? 1 : 0
          from = this.base === 1 ? i + 1 : i
          this.startLine = this.line
        }
        this.depth++
      } else if (byte === BYTE.closeBrace || byte === BYTE.closeBracket) {
        this.depth--
        const closesArray = this.base === 1 && this.depth <= 0
        if (closesArray || (this.base === 0 && this.depth <= 0)) {
          this.depth = 0
          this.hold(chunk.subarray(from, closesArray ? i : i + 1))
          this.emit(batch)
          from = i + 1
          if (closesArray) this.finished = true
        }
      } else if (byte === BYTE.comma && this.base === 1 && this.depth === 1) {
        this.hold(chunk.subarray(from, i))
        this.emit(batch)
        from = i + 1
      }
    }
    this.hold(chunk.subarray(from))
    return batch
  }

  /** The remainder at the end of the file; in a complete file it is blank. */
  end(): ReadRecord | undefined {
    const rest = Buffer.concat(this.held).toString().trim()
    if (this.base === 1 && !this.finished) {
      return { line: this.line, field: '(file)', reason: 'the JSON array is not closed' }
    }
    if (rest === '' && !this.tooLong) return undefined
    return { line: this.startLine, field: '(record)', reason: 'the file ends inside this value' }
  }

  private hold(bytes: Buffer): void {
    if (bytes.length === 0 || this.tooLong) return
    this.heldBytes += bytes.length
    if (this.heldBytes > LINE_BYTES_MAX) {
      this.tooLong = true
      this.held = []
    } else this.held.push(bytes)
  }

  private emit(batch: ReadRecord[]): void {
    const bytes = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held)
    const tooLong = this.tooLong
    const line = this.startLine + leadingLines(bytes)
    this.held = []
    this.heldBytes = 0
    this.tooLong = false
    this.startLine = this.line
    if (tooLong) {
      batch.push({ line, field: '(record)', reason: `longer than ${LINE_BYTES_MAX} bytes` })
    } else if (!isUtf8(bytes)) {
      batch.push({ line, field: '(record)', reason: NOT_UTF8 })
    } else {
      const text = bytes.toString().trim()
      if (text !== '') batch.push(parse(text, line))
    }
  }
}

function parse(text: string, line: number): ReadRecord {
  try {
    return asRecord(JSON.parse(text), line, text.length)
  } catch (error) {
    const python = parsePython(text)
    if (python !== undefined) return asRecord(python, line, text.length)
    const reason = `not JSON: ${(error as Error).message.slice(0, 200)}`
    return { line, field: '(record)', reason }
  }
}

/** Newlines before the value's first character. */
function leadingLines(bytes: Buffer): number {
  let lines = 0
  for (const byte of bytes) {
    if (byte === BYTE.newline) lines++
    else if (byte > 0x20) break
  }
  return lines
}

const HEAD_BYTES = 4096

/** JSONL, a JSON array or objects, CSV or TSV, recognised by the first non-blank characters. */
export function openText(head: Buffer, chunks: AsyncIterable<Buffer>): Table {
  const text = head
    .toString('utf8', 0, HEAD_BYTES)
    .replace(/^\uFEFF/, '')
    .trimStart()
  const firstLine = text.split('\n', 1)[0]!.trimEnd()
  if (text.startsWith('[')) return streamed(readJsonValues(chunks))
  if (text.startsWith('{')) {
    // A line that ends after an opening bracket or a comma is part of an object spread over lines.
    const spread = /[{[,]$/.test(firstLine) && text.includes('\n')
    return spread ? streamed(readJsonValues(chunks)) : streamed(readJsonLines(chunks), true)
  }
  return streamed(readCsv(chunks, csvDialect(text)))
}

function streamed(stream: RecordStream, lines = false): Table {
  const iterator = stream[Symbol.asyncIterator]()
  const held: (readonly ReadRecord[])[] = []
  return {
    lines,
    async sample(limit) {
      const sample: RawRecord[] = []
      while (sample.length < limit) {
        const next = await iterator.next()
        if (next.done) break
        held.push(next.value)
        for (const item of next.value) {
          if ('record' in item && sample.length < limit) sample.push(item.record)
        }
      }
      return sample
    },
    async *records() {
      while (held.length > 0) yield held.shift()!
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        yield next.value
      }
    },
    async close() {
      await iterator.return?.()
    },
  }
}
