import type { RawRecord, ReadRecord, RecordStream } from '../rows/reader.ts'
import { csvDialect, readCsv } from './csv.ts'
import { asRecord, BYTE, parseJsonBytes, parseLine } from './json-value.ts'
import { LINE_BYTES_MAX, readLines } from './lines.ts'
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
    } else if (!bytes.every((byte) => byte <= 0x20)) {
      const parsed = parseJsonBytes(bytes)
      if ('value' in parsed) batch.push(asRecord(parsed.value, line, bytes.length))
      else batch.push({ line, field: '(record)', reason: parsed.reason })
    }
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
