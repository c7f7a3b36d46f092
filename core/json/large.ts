import { randomUUID } from 'node:crypto'
import { AskedThread } from '../asked-thread.ts'
import { takingTurns } from '../turns.ts'
import { assertShape, assertUtf8, decodeBody, parsedJson } from './body.ts'

/** Strings of more bytes than this stay where they are. */
const LONG_STRING = 1024

/** Strings of fewer bytes than this are read at once: a property that reads later takes longer. */
const SHORT = 64 * 1024

/** One long string of a large body that is a value. */
interface Cut {
  /** its contents in the body's bytes, without the quotes */
  readonly start: number
  readonly end: number
  /** in `decoded`, if it has escapes or letters beyond ASCII; otherwise its bytes are its characters */
  readonly from?: number | undefined
  readonly to?: number
  /** two bytes for each UTF-16 unit, else one */
  readonly wide?: boolean
}

/** A large JSON text in which long strings are replaced by marks. */
export interface Outline {
  /** JSON; absent if nothing was cut out of the body's own */
  readonly text: string | undefined
  /** the string that replaces the nth cut is this followed by n */
  readonly mark: string
  readonly cuts: readonly Cut[]
  /** the contents of those strings that must be decoded */
  readonly decoded: Uint8Array
}

/**
 * The outline of a body. Takes about 5 ms per megabyte, so it is made in a thread.
 *
 * @throws request_invalid, too_deep, too_many_parts
 */
export function outlineOf(bytes: Buffer): Outline {
  // unknown to clients, so that no string of theirs is taken for a cut
  const mark = `${randomUUID()}:`
  const cuts: Cut[] = []
  const kept: string[] = []
  const decoded: Buffer[] = []
  let at = 0
  let to = 0
  // one character a byte
  assertShape(bytes.toString('latin1'), LONG_STRING, (quote, end) => {
    if (isKey(bytes, end)) return
    const start = quote + 1
    const its = decodedString(bytes, start, end)
    const from = to
    if (its) {
      decoded.push(its.bytes)
      to += its.bytes.length
    }
    const cut = its ? { start, end, from, to, wide: its.wide } : { start, end }
    kept.push(decodeBody(bytes.subarray(at, start)), `${mark}${cuts.length}`)
    cuts.push(cut)
    at = end
  })
  const rest = bytes.subarray(at)
  // without cuts the text is the body, which is not sent a second time
  if (cuts.length === 0) assertUtf8(rest)
  else kept.push(decodeBody(rest))
  const text = cuts.length > 0 ? kept.join('') : undefined
  return { text, mark, cuts, decoded: Buffer.concat(decoded) }
}

const COLON = 0x3a

/** Whether the string is a field's name. */
function isKey(bytes: Buffer, end: number): boolean {
  let i = end + 1
  while (bytes[i]! <= 0x20) i++
  return bytes[i] === COLON
}

/** Escapes, control characters, which JSON does not allow, and anything beyond ASCII. */
const NOT_PLAIN = /[^\x20-\x5b\x5d-\x7f]/

/** The characters of a string; undefined if they are its bytes. @throws request_invalid */
function decodedString(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly bytes: Buffer; readonly wide: boolean } | undefined {
  if (end < bytes.length && !NOT_PLAIN.test(bytes.toString('latin1', start, end))) return undefined
  const text = parsedJson(decodeBody(bytes.subarray(start - 1, end + 1))) as string
  const wide = /[^\0-\xff]/.test(text)
  return { bytes: Buffer.from(text, wide ? 'utf16le' : 'latin1'), wide }
}

/** The JSON text of a body: a `LargeJson` if it is large. */
export type BodyText = string | LargeJson

/** Number of bytes of its UTF-8. */
export const bodySize = (text: BodyText): number =>
  typeof text === 'string' ? Buffer.byteLength(text) : text.size

/** The JSON text of a large body, whose long strings are kept as bytes. */
export class LargeJson {
  /** the text with marks instead of long strings */
  readonly outline: string
  private readonly bytes: Buffer
  private readonly from: Outline

  constructor(bytes: Buffer, from: Outline, outline: string = from.text ?? bytes.toString()) {
    this.bytes = bytes
    this.from = from
    this.outline = outline
  }

  /** The text with another outline, which has some or all of the marks. */
  with(outline: string): LargeJson {
    return new LargeJson(this.bytes, this.from, outline)
  }

  /** Its UTF-8, in pieces. Long ones are parts of the body's bytes. */
  pieces(): Buffer[] {
    const { outline, bytes, from } = this
    return outline
      .split(new RegExp(`${from.mark}(\\d+)`))
      .map((piece, i) =>
        i % 2 === 0
          ? Buffer.from(piece)
          : bytes.subarray(from.cuts[Number(piece)]!.start, from.cuts[Number(piece)]!.end),
      )
  }

  /** Number of bytes of its UTF-8. */
  get size(): number {
    return this.pieces().reduce((sum, { length }) => sum + length, 0)
  }

  /** What the text says. A long string is read from the bytes when it is first used. @throws request_invalid */
  value(): unknown {
    const { outline, bytes, from } = this
    const { mark, cuts, decoded } = from
    const read = (name: string): string => {
      const { start, end, from: first, to, wide } = cuts[Number(name.slice(mark.length))]!
      if (first === undefined) return bytes.toString('latin1', start, end)
      const its = Buffer.from(decoded.buffer, decoded.byteOffset, decoded.length)
      return its.toString(wide ? 'utf16le' : 'latin1', first, to)
    }
    const value = parsedJson(outline)
    if (typeof value === 'string') return value.startsWith(mark) ? read(value) : value
    const isShort = (name: string): boolean => {
      const { start, end } = cuts[Number(name.slice(mark.length))]!
      return end - start < SHORT
    }
    if (cuts.length > 0) readLater(value, mark, read, isShort)
    return value
  }
}

/** Replaces marks within a value by properties that read their strings. */
function readLater(
  value: unknown,
  mark: string,
  read: (name: string) => string,
  isShort: (name: string) => boolean,
): void {
  if (typeof value !== 'object' || value === null) return
  const fields = value as Record<string | number, unknown>
  const visit = (field: string | number): void => {
    const its = fields[field]
    if (typeof its !== 'string') {
      readLater(its, mark, read, isShort)
    } else if (its.startsWith(mark)) {
      let text: string | undefined
      const get = (): string => {
        text ??= read(its)
        return text
      }
      const later = { configurable: true, enumerable: true }
      // `__proto__` is an own field of what was parsed, and an assignment would set the prototype
      if (isShort(its)) Object.defineProperty(fields, field, { value: get() })
      else Object.defineProperty(fields, field, { ...later, get })
    }
  }
  // the keys of a long list would take longer than parsing it
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) visit(i)
  else for (const field of Object.keys(fields)) visit(field)
}

/** Characters of strings above which a value is written in pieces, and of which one piece has at most. */
const PIECE = 256 * 1024

/**
 * The UTF-8 of a value's JSON, in pieces. Takes as long as `JSON.stringify`, but others are served between the pieces:
 * written at once, a conversation of 60 MB would hold them for half a second.
 *
 * @returns the JSON as one string if it is short
 */
export async function jsonPieces(value: unknown): Promise<string | Buffer[]> {
  if (!hasLongText(value, 2 * PIECE)) return JSON.stringify(value)
  // unknown to clients, so that no string of theirs is taken for a cut
  const mark = `${randomUUID()}:`
  const cuts: string[] = []
  const outline = JSON.stringify(value, (_, its) =>
    typeof its === 'string' && its.length > LONG_STRING ? `${mark}${cuts.push(its) - 1}` : its,
  )
  const pieces: Buffer[] = []
  const turn = takingTurns(PIECE)
  const add = async (text: string): Promise<void> => {
    pieces.push(Buffer.from(text))
    await turn(text.length)
  }
  for (const [i, part] of outline.split(new RegExp(`${mark}(\\d+)`)).entries()) {
    if (i % 2 === 0) {
      await add(part)
      continue
    }
    const text = cuts[Number(part)]!
    for (let at = 0; at < text.length; at += PIECE) {
      // half of a surrogate pair is written as an escape, and so is the other half
      await add(JSON.stringify(text.slice(at, at + PIECE)).slice(1, -1))
    }
  }
  return pieces
}

/** Whether the strings of a value have at least so many characters together. */
export const hasLongText = (value: unknown, characters: number): boolean =>
  charactersLeft(value, characters) <= 0

/** What is left of so many characters after the strings of a value; stops at 0. */
function charactersLeft(value: unknown, most: number): number {
  if (typeof value === 'string') return most - value.length
  if (typeof value !== 'object' || value === null) return most
  let left = most
  for (const one of Object.values(value)) {
    left = charactersLeft(one, left)
    if (left <= 0) break
  }
  return left
}

/** Reads large bodies in a thread. */
export class LargeJsonReader {
  private readonly thread = new AskedThread('./large-worker', import.meta.url)

  /**
   * Must not be used afterwards: `bytes` are moved to the thread and back.
   *
   * @throws request_invalid, too_deep, too_many_parts
   */
  async read(bytes: Buffer): Promise<LargeJson> {
    const own =
      bytes.length === bytes.buffer.byteLength ? bytes : Buffer.from(Uint8Array.from(bytes).buffer)
    const reply = await this.thread.ask(own, [own.buffer as ArrayBuffer])
    const { bytes: back, outline } = reply as { bytes: Uint8Array; outline: Outline }
    const { buffer, byteOffset, length } = back
    return new LargeJson(Buffer.from(buffer as ArrayBuffer, byteOffset, length), outline)
  }

  close(): Promise<void> {
    return this.thread.close()
  }
}
