import { type Line, readLines } from './lines.ts'
import type { RawRecord, ReadRecord, RecordStream } from './reader.ts'

/** One JSON object a line; empty lines are nothing. */
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

/** The record of a line; undefined where the line is blank. */
export function parseLine(line: Line): ReadRecord | undefined {
  if (!('text' in line)) return { line: line.line, field: '(line)', reason: line.reason }
  let value: unknown
  try {
    value = JSON.parse(line.text)
  } catch (error) {
    if (line.text.trim() === '') return undefined
    return {
      line: line.line,
      field: '(line)',
      reason: `not JSON: ${(error as Error).message.slice(0, 200)}`,
    }
  }
  return asRecord(value, line.line)
}

/** A parsed JSON value as a record; anything but an object is refused. */
export function asRecord(value: unknown, line: number): ReadRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
    return { line, field: '(line)', reason: `expected a JSON object, got ${got}` }
  }
  return { record: value as RawRecord, line }
}
