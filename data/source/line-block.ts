import { isAscii, isUtf8 } from 'node:buffer'
import { READERS } from '../readers.ts'
import { createPlacer, type PlacerSpec } from '../rows/placer.ts'
import type { LeftOut, LogRow, Reject } from '../rows/reader.ts'
import type { RowBlock } from '../rows/row-block.ts'
import { RowPacker } from '../rows/row-packer.ts'
import { parseLine } from './json-value.ts'
import { decodeLine, type Line, NEWLINE, validLine } from './lines.ts'

/** Whole lines: `head` (left over from the previous block), then `bytes` up to its last newline. */
export interface LineBlock {
  readonly head: Uint8Array
  readonly bytes: Uint8Array
  /** the buffer of a row block that has been read, for reuse */
  readonly spent?: ArrayBuffer
}

/** Lines are numbered from 1 within the block, in rejects too. */
export interface PackedBlock {
  readonly lines: number
  readonly block: RowBlock
  /** the buffer that held the lines, for reuse */
  readonly spent?: ArrayBuffer
}

/** Returns a function that reads blocks of JSON lines, on this thread or another. */
export function readLineBlock(spec: PlacerSpec, seed: number): (block: LineBlock) => PackedBlock {
  const reader = READERS.find((known) => known.name === spec.format)
  if (!reader) throw new Error(`no reader named ${spec.format}`)
  const place = createPlacer(reader, spec)
  const packer = new RowPacker(seed)
  const take = (row: LogRow | Reject | LeftOut): void => packer.add(row)
  return (block) => {
    if (block.spent) packer.takeBack(block.spent)
    // Packed at once, so that a line's row and record are short-lived.
    const lines = eachLine(block, (line) => {
      const record = parseLine(line)
      if (record) place(record, take)
    })
    return { lines, block: packer.finish() }
  }
}

/** Passes on one line after another, so that none outlives its parsing; returns the number of lines. */
function eachLine({ head, bytes }: LineBlock, take: (line: Line) => void): number {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let lines = 0
  let start = 0
  if (head.length > 0) {
    const end = body.indexOf(NEWLINE)
    start = end < 0 ? body.length : end + 1
    const rest = body.subarray(0, end < 0 ? body.length : end)
    take(decodeLine(Buffer.concat([head, rest]), ++lines))
  }
  const ascii = isAscii(body.subarray(start))
  const valid = ascii || isUtf8(body.subarray(start))
  for (let end = body.indexOf(NEWLINE, start); end >= 0; end = body.indexOf(NEWLINE, start)) {
    take(
      valid
        ? validLine(body, start, end, ++lines, ascii ? 'latin1' : 'utf8')
        : decodeLine(body.subarray(start, end), ++lines),
    )
    start = end + 1
  }
  if (start < body.length) take(decodeLine(body.subarray(start), ++lines))
  return lines
}
