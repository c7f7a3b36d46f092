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

  /**
   * What the text says. A very long string is read from the bytes when it is first used; many shorter ones are read
   * in turns with other work, as 60 MB of them take long.
   *
   * @throws request_invalid
   */
  async value(): Promise<unknown> {
    const { mark, cuts } = this.from
    const value = parsedJson(this.outline)
    if (typeof value === 'string') return value.startsWith(mark) ? this.read(value) : value
    if (cuts.length > 0) await this.readStrings(value)
    return value
  }

  /** The string that a mark stands for. */
  private read(name: string): string {
    const { mark, cuts, decoded } = this.from
    const { start, end, from: first, to, wide } = cuts[Number(name.slice(mark.length))]!
    if (first === undefined) return this.bytes.toString('latin1', start, end)
    const its = Buffer.from(decoded.buffer, decoded.byteOffset, decoded.length)
    return its.toString(wide ? 'utf16le' : 'latin1', first, to)
  }

  /** Replaces the marks within a value by their strings, or by properties that read them. */
  private async readStrings(value: unknown): Promise<void> {
    const { mark, cuts } = this.from
    const turn = takingTurns(READ_AT_ONCE)
    const waiting: unknown[] = [value]
    const visit = (fields: Record<string | number, unknown>, field: string | number): number => {
      const its = fields[field]
      if (typeof its === 'object' && its !== null) waiting.push(its)
      if (typeof its !== 'string' || !its.startsWith(mark)) return 1
      const { start, end } = cuts[Number(its.slice(mark.length))]!
      if (end - start < SHORT) {
        // `__proto__` is an own field of what was parsed, and an assignment would set the prototype
        Object.defineProperty(fields, field, { value: this.read(its) })
        return end - start
      }
      let text: string | undefined
      const get = (): string => {
        text ??= this.read(its)
        return text
      }
      Object.defineProperty(fields, field, { configurable: true, enumerable: true, get })
      return 1
    }
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const fields = next as Record<string | number, unknown>
      // the keys of a long list would take longer than parsing it
      const names = Array.isArray(next) ? undefined : Object.keys(fields)
      const count = names?.length ?? (next as unknown[]).length
      for (let i = 0; i < count; i++) {
        const pause = turn(visit(fields, names ? names[i]! : i))
        if (pause) await pause
      }
    }
  }
}

/** Bytes of strings that are read between two turns of others. */
const READ_AT_ONCE = 1024 * 1024

/** What a value weighs: its strings' characters, and this for everything in it. A heavier one is written in pieces. */
const NODE_WEIGHT = 8
const PIECE = 256 * 1024

/**
 * The UTF-8 of a value's JSON, in pieces. Takes as long as `JSON.stringify`, but others are served between the pieces:
 * written at once, a conversation of 60 MB would hold them for half a second.
 *
 * @param value plain data, as `JSON.parse` gives it; fields may be undefined
 * @returns the JSON as one string if it is short
 */
export async function jsonPieces(value: unknown): Promise<string | Buffer[]> {
  if (weightLeft(value, 2 * PIECE, NODE_WEIGHT) > 0) return JSON.stringify(value)
  const pieces: Buffer[] = []
  const turn = takingTurns(PIECE)
  let pending = ''
  const add = (text: string): Promise<void> | undefined => {
    pending += text
    if (pending.length < PIECE) return undefined
    pieces.push(Buffer.from(pending))
    const { length } = pending
    pending = ''
    return turn(length)
  }
  const writeText = async (text: string): Promise<void> => {
    await add('"')
    for (let at = 0; at < text.length; at += PIECE) {
      // half of a surrogate pair is written as an escape, and so is the other half
      await add(JSON.stringify(text.slice(at, at + PIECE)).slice(1, -1))
    }
    await add('"')
  }

  const write = async (heavy: unknown): Promise<void> => {
    if (typeof heavy === 'string') return writeText(heavy)
    const list = Array.isArray(heavy) ? heavy : undefined
    const fields = heavy as Readonly<Record<string, unknown>>
    const names = list ? undefined : Object.keys(fields)
    const length = list?.length ?? names!.length
    let comma = ''
    /** writes neighbours that are not heavy together */
    const writeLight = (from: number, to: number): Promise<void> | undefined => {
      const some = list
        ? list.slice(from, to)
        : Object.fromEntries(names!.slice(from, to).map((name) => [name, fields[name]]))
      const text = JSON.stringify(some).slice(1, -1)
      if (text === '') return undefined
      const written = add(comma + text)
      comma = ','
      return written
    }
    await add(list ? '[' : '{')
    let from = 0
    let left = PIECE
    for (let i = 0; i < length; i++) {
      const one = list ? list[i] : fields[names![i]!]
      left = weightLeft(one, left - (names?.[i]?.length ?? 0), NODE_WEIGHT)
      if (left > 0) continue
      if (i > from) await writeLight(from, i)
      from = i
      left = weightLeft(one, PIECE, NODE_WEIGHT)
      if (left > 0) continue
      await add(list ? comma : `${comma}${JSON.stringify(names![i])}:`)
      comma = ','
      await write(one)
      from = i + 1
      left = PIECE
    }
    if (length > from) await writeLight(from, length)
    await add(list ? ']' : '}')
  }

  await write(value)
  pieces.push(Buffer.from(pending))
  return pieces
}

/** Whether the strings of a value have at least so many characters together. */
export const hasLongText = (value: unknown, characters: number): boolean =>
  weightLeft(value, characters, 0) <= 0

/** What is left of so much after the characters of a value's strings, and `node` for each value in it; stops at 0. */
function weightLeft(value: unknown, most: number, node: number): number {
  if (typeof value === 'string') return most - value.length - node
  if (typeof value !== 'object' || value === null) return most - node
  let left = most - node
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && left > 0; i++) left = weightLeft(value[i], left, node)
    return left
  }
  const fields = value as Readonly<Record<string, unknown>>
  for (const name of Object.keys(fields)) {
    if (left <= 0) break
    left = weightLeft(fields[name], left - (node && name.length), node)
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
