import { Readable } from 'node:stream'
import { MalformedAnswer } from './dialect.ts'

/** Bytes that wait for a slow client before the upstream is paused. */
const HIGH_WATER = 256 * 1024

/**
 * The bytes of an answer that is passed on while it comes. Where `push` returns false, the upstream must be
 * paused until `onDrained`.
 *
 * @param onClosed the reader wants no more, or has read everything
 */
export function passedBytes(onDrained: () => void, onClosed: () => void): Readable {
  const bytes = new Readable({
    highWaterMark: HIGH_WATER,
    read: onDrained,
    destroy(error, done) {
      onClosed()
      done(error)
    },
  })
  // whoever reads it gets the error, even if it came first
  return bytes.on('error', () => {})
}

/** Longest value that is kept, in bytes: token counts and errors are short. */
const VALUE_LIMIT = 64 * 1024
/** Longest name of a member that can be wanted, in bytes. */
const NAME_LIMIT = 64

/**
 * Reads some members of a JSON object from its bytes as they pass, without holding the object. Of the rest it only
 * checks that brackets and strings are closed.
 */
export class MemberScanner {
  /** by name: the JSON text of the wanted members so far, cut after 64 KiB; the last of a name counts */
  readonly values = new Map<string, string>()
  private readonly wanted: ReadonlySet<string>
  private depth = 0
  private inString = false
  /** the next byte is escaped */
  private escaped = false
  private state: 'before' | 'name' | 'value' | 'after' = 'before'
  private name: string | undefined
  /** pieces of the name or value that is being read */
  private pieces: Buffer[] | undefined
  private kept = 0

  constructor(wanted: Iterable<string>) {
    this.wanted = new Set(wanted)
  }

  /** @throws MalformedAnswer if it is no object */
  push(bytes: Buffer): void {
    let from = 0
    for (let i = 0; i < bytes.length; i++) {
      if (this.inString) {
        i = this.skipString(bytes, i)
        continue
      }
      const byte = bytes[i]!
      if (byte <= 0x20 || this.state === 'after') continue
      if (byte === QUOTE) {
        this.inString = true
        if (this.state === 'name') from = this.keep(i)
        continue
      }
      if (this.state === 'before') this.begin(byte)
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.depth++
      else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        if (--this.depth > 0) continue
        this.endValue(bytes, from, i)
        this.state = 'after'
      } else if (this.depth === 1 && byte === COMMA) {
        this.endValue(bytes, from, i)
        this.state = 'name'
      } else if (this.depth === 1 && byte === COLON && this.state === 'name') {
        this.name = this.take(bytes, from, i)
        this.state = 'value'
        if (this.name !== undefined && this.wanted.has(this.name)) from = this.keep(i + 1)
      }
    }
    if (this.pieces) this.add(bytes, from, bytes.length)
  }

  /** @throws MalformedAnswer if the object is not complete */
  end(): void {
    if (this.state !== 'after') throw new MalformedAnswer('the answer ended in the middle')
  }

  private begin(byte: number): void {
    // a byte order mark
    if (byte >= 0xbb) return
    if (byte !== OPEN_OBJECT) throw new MalformedAnswer('the answer is no JSON object')
    this.depth = 1
    this.state = 'name'
  }

  /** Index of the string's last byte in these bytes. */
  private skipString(bytes: Buffer, start: number): number {
    let i = start
    if (this.escaped) {
      this.escaped = false
      i++
    }
    const { length } = bytes
    for (; i < length; i++) {
      const byte = bytes[i]
      if (byte === BACKSLASH) {
        i++
      } else if (byte === QUOTE) {
        this.inString = false
        return i
      }
    }
    this.escaped = i > length
    return length
  }

  private keep(from: number): number {
    this.pieces = []
    this.kept = 0
    return from
  }

  private add(bytes: Buffer, from: number, to: number): void {
    const most = this.state === 'name' ? NAME_LIMIT : VALUE_LIMIT
    const end = Math.min(to, from + Math.max(0, most - this.kept))
    if (end <= from) return
    this.pieces!.push(bytes.subarray(from, end))
    this.kept += end - from
  }

  /** The text that was kept, up to `to`. */
  private take(bytes: Buffer, from: number, to: number): string | undefined {
    if (!this.pieces) return undefined
    this.add(bytes, from, to)
    const text = Buffer.concat(this.pieces).toString('utf8').trim()
    this.pieces = undefined
    if (this.state !== 'name') return text
    try {
      return JSON.parse(text) as string
    } catch {
      return undefined
    }
  }

  private endValue(bytes: Buffer, from: number, to: number): void {
    if (this.state !== 'value' || this.name === undefined) return
    const text = this.take(bytes, from, to)
    if (text !== undefined) this.values.set(this.name, text)
    this.name = undefined
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
