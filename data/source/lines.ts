import { isUtf8 } from 'node:buffer'
import { WeirError } from '../../core/errors.ts'

/** A line's text and number (from 1), or the reason why it cannot be read as text. */
export type Line =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly reason: string }

/** Longer lines are skipped and refused, so that a broken file cannot fill the memory. */
export const LINE_BYTES_MAX = 32 * 1024 * 1024

/** Records with more fields are refused: recognising a layout looks at every field by many names. */
export const COLUMNS_MAX = 10_000

export const tooManyColumns = (got: number): string =>
  `expected at most ${COLUMNS_MAX} columns, got ${got}`

/** @throws file_unreadable for a file whose head says more columns than anybody has */
export function assertColumns(path: string, columns: number): void {
  if (columns <= COLUMNS_MAX) return
  throw new WeirError('file_unreadable', { path, reason: tooManyColumns(columns) })
}

export const NEWLINE = 0x0a

/** Splits UTF-8 bytes at newlines (removing CRLF and a byte order mark), in one batch per chunk. */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line[]> {
  let line = 1
  let held: Buffer[] = []
  let heldBytes = 0
  let skipping = false

  const finish = (tail: Buffer): Line => {
    const number = line++
    if (skipping) {
      skipping = false
      return overlongLine(number)
    }
    let bytes = tail
    if (held.length > 0) {
      bytes = Buffer.concat([...held, tail])
      held = []
      heldBytes = 0
    }
    return decodeLine(bytes, number)
  }

  for await (const chunk of chunks) {
    const batch: Line[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      batch.push(finish(chunk.subarray(start, end)))
      start = end + 1
    }
    if (start < chunk.length && !skipping) {
      held.push(chunk.subarray(start))
      heldBytes += chunk.length - start
      if (heldBytes > LINE_BYTES_MAX) {
        held = []
        heldBytes = 0
        skipping = true
      }
    }
    if (batch.length > 0) yield batch
  }
  if (heldBytes > 0 || skipping) yield [finish(Buffer.alloc(0))]
}

/** The reason for text that is no UTF-8, as files from older programs are. */
export const NOT_UTF8 =
  'not valid UTF-8 (if it is Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE)'

/** Decodes one line's bytes, unless they are not UTF-8. */
export function decodeLine(bytes: Buffer, line: number): Line {
  if (!isUtf8(bytes)) return { line, reason: NOT_UTF8 }
  return validLine(bytes, 0, bytes.length, line)
}

/** Like `decodeLine`, for bytes known to be UTF-8; ASCII is read faster as `latin1`. */
export function validLine(
  bytes: Buffer,
  start: number,
  end: number,
  line: number,
  encoding: 'utf8' | 'latin1' = 'utf8',
): Line {
  const marked =
    line === 1 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf
  const from = marked ? start + 3 : start
  const to = end > from && bytes[end - 1] === 0x0d ? end - 1 : end
  return { line, text: bytes.toString(encoding, from, to) }
}

/** The result for a line that is too long to read. */
export function overlongLine(line: number): Line {
  return { line, reason: `longer than ${LINE_BYTES_MAX} bytes` }
}
