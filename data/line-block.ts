import { isUtf8 } from 'node:buffer'
import { parseLine } from './jsonl.ts'
import { decodeLine, type Line, NEWLINE } from './lines.ts'
import { createPlacer, type PlacerSpec } from './placer.ts'
import type { LogRow, Reject } from './reader.ts'
import { READERS } from './readers/registry.ts'
import { packRows, type RowBlock } from './row-block.ts'

/** Whole lines: `head` (what the block before left over) and then `bytes`, to its last newline. */
export interface LineBlock {
  readonly head: Uint8Array
  readonly bytes: Uint8Array
}

/** Lines are numbered from 1 within the block; rejects say so too. */
export interface PackedBlock {
  readonly lines: number
  readonly block: RowBlock
  /** the buffer that the lines came in, to be filled again */
  readonly spent?: ArrayBuffer
}

/** What reads blocks of JSON lines, in this thread or another. */
export function readLineBlock(spec: PlacerSpec, seed: number): (block: LineBlock) => PackedBlock {
  const reader = READERS.find((known) => known.name === spec.format)
  if (!reader) throw new Error(`no reader named ${spec.format}`)
  const place = createPlacer(reader, spec)
  return ({ head, bytes }) => {
    const lines = splitLines(head, bytes)
    const rows: (LogRow | Reject)[] = []
    for (const line of lines) {
      const record = parseLine(line)
      const row = record && place(record)
      if (row) rows.push(row)
    }
    return { lines: lines.length, block: packRows(rows, seed) }
  }
}

function splitLines(head: Uint8Array, bytes: Uint8Array): Line[] {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const lines: Line[] = []
  let start = 0
  if (head.length > 0) {
    const end = body.indexOf(NEWLINE)
    start = end < 0 ? body.length : end + 1
    lines.push(decodeLine(Buffer.concat([head, body.subarray(0, end < 0 ? body.length : end)]), 1))
  }
  const valid = isUtf8(body.subarray(start))
  for (let end = body.indexOf(NEWLINE, start); end >= 0; end = body.indexOf(NEWLINE, start)) {
    lines.push(decodeLine(body.subarray(start, end), lines.length + 1, valid))
    start = end + 1
  }
  if (start < body.length) lines.push(decodeLine(body.subarray(start), lines.length + 1, valid))
  return lines
}
