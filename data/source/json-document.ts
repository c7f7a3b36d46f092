import { WeirError } from '../../core/errors.ts'
import { elementsOf, rowsAt } from '../rows/mapping.ts'
import type { RawRecord, ReadRecord, RecordStream } from '../rows/reader.ts'
import { isRecord } from '../rows/record.ts'
import { BYTE, parseJsonBytes } from './json-value.ts'
import { LINE_BYTES_MAX } from './lines.ts'
import type { RowList, Table } from './table.ts'

/**
 * Reads until the first value of a JSON file has ended, or to `limit` bytes.
 *
 * @returns the chunks read, and whether the value is longer than that
 */
export async function readBeginning(
  chunks: AsyncIterator<Buffer>,
  first: Buffer,
  limit: number,
): Promise<{ readonly read: readonly Buffer[]; readonly isLarge: boolean }> {
  const read: Buffer[] = []
  const skim = new Skim()
  let bytes = 0
  for (let chunk = first; ; ) {
    read.push(chunk)
    const end = skim.end(chunk, 0)
    bytes += end < 0 ? chunk.length : end
    if (end >= 0 || bytes > limit) return { read, isLarge: bytes > limit }
    const next = await chunks.next()
    if (next.done) return { read, isLarge: false }
    chunk = next.value
  }
}

/** Elements of each list that recognition sees. */
const SAMPLE_ELEMENTS = 100

/**
 * A JSON document that is too large to be held, read for the elements of one list in it (`RowList`). What its
 * layout is recognised by is the document's beginning, with the first elements of each list.
 *
 * @param beginning the document's first bytes
 * @param open the file's bytes. If `once`, as for standard input, they can be had a single time: then the fields
 * that rows need must stand before their list
 * @param others how to read the file for a layout that has no list of rows
 * @returns undefined if no list begins in these bytes
 */
export function largeDocument(
  path: string,
  beginning: Buffer,
  { open, once }: { readonly open: () => AsyncIterable<Buffer>; readonly once: boolean },
  others: (chunks: AsyncIterable<Buffer>) => Table,
): Table | undefined {
  const sample = sampleOf(beginning)
  if (!sample || !holdsList(sample)) return undefined
  return {
    async sample() {
      return [sample]
    },
    async *records(columns, list) {
      const at = list && listPath(sample, list.path)
      if (!at) {
        yield* others(open()).records(columns)
        return
      }
      if (list.gather && once) {
        const reason = `rows at ${at.join('.')} need what later ones say: give it as a file, which is read twice, instead of standard input`
        throw new WeirError('file_unreadable', { path, reason })
      }
      const document = list.facts && !once ? await around(open(), at, path, list) : undefined
      yield* elementsIn(open(), at, path, list, document)
    },
    async close() {},
  }
}

const LIST_DEPTH = 5

const holdsList = (value: unknown, depth = 0): boolean =>
  Array.isArray(value)
    ? value.some(isRecord)
    : isRecord(value) &&
      depth < LIST_DEPTH &&
      Object.values(value).some((item) => holdsList(item, depth + 1))

/** Of several paths, `results.results|results`, the one at which the document's beginning has rows. */
function listPath(sample: RawRecord, paths: string): readonly string[] | undefined {
  const all = paths.split('|').filter((one) => one !== '$')
  return (all.find((one) => rowsAt(sample, one) !== undefined) ?? all[0])?.split('.')
}

/** The document around the list at a path, and what the list's elements say of each other. */
async function around(
  chunks: AsyncIterable<Buffer>,
  at: readonly string[],
  path: string,
  { columns, gather }: RowList,
): Promise<RawRecord> {
  const scanner = new DocumentScanner(at, path, columns)
  const gathered = new Map<string, RawRecord>()
  for await (const chunk of chunks) {
    for (const { bytes } of scanner.scan(chunk)) {
      if (!gather) continue
      for (const value of valuesOf(bytes)) {
        if ('value' in value && isRecord(value.value)) gather(gathered, value.value)
      }
    }
  }
  return gather ? { ...scanner.end(), gathered } : scanner.end()
}

async function* elementsIn(
  chunks: AsyncIterable<Buffer>,
  at: readonly string[],
  path: string,
  list: RowList,
  whole: RawRecord | undefined,
): RecordStream & AsyncGenerator<readonly ReadRecord[]> {
  const scanner = new DocumentScanner(at, path, whole || !list.facts ? [] : list.columns)
  let document = whole
  let item = 0
  for await (const chunk of chunks) {
    const batch: ReadRecord[] = []
    for (const { bytes, line, soFar } of scanner.scan(chunk)) {
      document ??= list.facts ? soFar() : {}
      for (const value of valuesOf(bytes)) {
        item++
        if ('value' in value && isRecord(value.value)) {
          batch.push({ record: value.value, line, item, document })
        } else {
          const reason =
            'reason' in value ? value.reason : `expected an object, got ${typeof value.value}`
          batch.push({ line, field: `${at.join('.')}[${item - 1}]`, reason })
        }
      }
    }
    if (batch.length > 0) yield batch
  }
  const all = scanner.end()
  if (item === 0 && !scanner.found) {
    yield [{ line: 1, field: at.join('.'), reason: 'expected a list of rows, got nothing' }]
  }
  if (!whole && list.facts && document && list.facts(all) !== list.facts(document)) {
    const reason = `fields that its rows need stand after their list at ${at.join('.')}: give it as a file, which is read twice, instead of standard input`
    throw new WeirError('file_unreadable', { path, reason })
  }
}

function valuesOf(
  bytes: Buffer | undefined,
): readonly ({ readonly value: unknown } | { readonly reason: string })[] {
  if (!bytes) return [{ reason: `longer than ${LINE_BYTES_MAX} bytes` }]
  const parsed = parseJsonBytes(bytes)
  return 'value' in parsed ? elementsOf(parsed.value).map((value) => ({ value })) : [parsed]
}

/** Finds the end of a JSON value by its strings and brackets alone. */
class Skim {
  newlines = 0
  private depth = 0
  private inString = false
  private escaped = false
  private plain = false

  restart(): void {
    this.depth = 0
    this.inString = false
    this.escaped = false
    this.plain = false
  }

  /** @returns the place after the value's last byte; -1 if it goes on after the chunk */
  end(chunk: Buffer, from: number): number {
    let i = from
    while (i < chunk.length) {
      if (this.inString) {
        i = this.stringEnd(chunk, i)
        if (i < 0) return -1
        if (this.depth === 0) return i
        continue
      }
      const byte = chunk[i]!
      if (byte === BYTE.quote) this.inString = true
      else if (byte === BYTE.openBrace || byte === BYTE.openBracket) this.depth++
      else if (byte === BYTE.closeBrace || byte === BYTE.closeBracket) {
        if (this.depth === 0) return i
        if (--this.depth === 0) return i + 1
      } else if (byte === BYTE.newline) {
        if (this.plain && this.depth === 0) return i
        this.newlines++
      } else if (this.depth === 0) {
        const ends = byte === BYTE.comma || byte <= 0x20
        if (ends && this.plain) return i
        if (byte > 0x20) this.plain = true
      }
      i++
    }
    return -1
  }

  /** The place after the string's closing quote; -1 if it goes on after the chunk. */
  private stringEnd(chunk: Buffer, from: number): number {
    let i = from
    if (this.escaped) {
      this.escaped = false
      i++
    }
    for (;;) {
      const quote = chunk.indexOf(BYTE.quote, i)
      const end = quote < 0 ? chunk.length : quote
      let slashes = 0
      while (end - slashes > i && chunk[end - slashes - 1] === BYTE.backslash) slashes++
      if (quote < 0) {
        this.escaped = slashes % 2 === 1
        return -1
      }
      i = quote + 1
      if (slashes % 2 === 0) {
        this.inString = false
        return i
      }
    }
  }
}

interface Element {
  /** undefined if it is too long to be held */
  readonly bytes: Buffer | undefined
  readonly line: number
  /** the document around it, as far as it was read */
  soFar(): RawRecord
}

interface Frame {
  readonly kind: 'object' | 'array' | 'list'
  /** keys of the path that lead here */
  readonly matched: number
  /** whether its bytes belong to the document around the list */
  readonly kept: boolean
  key: string
  expects: 'key' | 'colon' | 'value' | 'comma'
}

/**
 * Cuts a document into the elements of the list at a path and the document around them, whose list is empty.
 * Lists on the way to it are gone through, as `rowsAt` does. Only strings and brackets are looked at, and the
 * keys on the way; each element is parsed by itself.
 */
class DocumentScanner {
  /** whether anything stands at the path */
  found = false
  private readonly path: readonly string[]
  private readonly file: string
  private readonly columns: ReadonlySet<string> | undefined
  private readonly frames: Frame[] = []
  private readonly skim = new Skim()
  private what: 'key' | 'element' | 'kept' | 'dropped' | undefined
  private held: Buffer[] = []
  private heldBytes = 0
  private startLine = 1
  private line = 1
  private around: Buffer[] = []
  private aroundBytes = 0
  private finished = false

  /** @param columns fields at the top of the document to keep; all if undefined */
  constructor(path: readonly string[], file: string, columns: readonly string[] | undefined) {
    this.path = path
    this.file = file
    this.columns = columns && new Set(columns)
  }

  *scan(chunk: Buffer): Generator<Element> {
    let i = 0
    while (i < chunk.length) {
      if (this.what !== undefined) {
        const before = this.skim.newlines
        const end = this.skim.end(chunk, i)
        this.line += this.skim.newlines - before
        this.hold(chunk.subarray(i, end < 0 ? chunk.length : end))
        if (end < 0) return
        i = end
        const element = this.close()
        if (element) yield element
        continue
      }
      const byte = chunk[i]!
      if (byte === BYTE.newline) this.line++
      if (byte <= 0x20 || this.isMark(chunk, i)) i++
      else if (this.step(byte)) i++
    }
  }

  /**
   * @returns the document around the list
   * @throws file_unreadable if the document has not ended
   */
  end(): RawRecord {
    if (!this.finished) this.refuse(`the file ends inside the JSON document (line ${this.line})`)
    return this.document('')
  }

  /** A byte outside of values that are skimmed. @returns false to look at it again, as a value's first byte */
  private step(byte: number): boolean {
    const frame = this.frames.at(-1)
    if (!frame) {
      if (byte !== BYTE.openBrace || this.finished) {
        this.refuse(`line ${this.line}: expected one JSON object, got more after it`)
      }
      this.push('object', 0, true)
      return true
    }
    if (byte === BYTE.closeBrace || byte === BYTE.closeBracket) {
      if ((byte === BYTE.closeBrace) !== (frame.kind === 'object')) {
        this.refuse(
          `line ${this.line}: not JSON: expected the end of ${frame.kind === 'object' ? 'an object' : 'a list'}, got ${String.fromCharCode(byte)}`,
        )
      }
      this.frames.pop()
      if (frame.kept) this.keep(CLOSING[frame.kind])
      if (this.frames.length === 0) this.finished = true
      return true
    }
    if (byte === BYTE.comma) {
      if (frame.kind === 'object') this.keepIn(frame, ',')
      frame.expects = frame.kind === 'object' ? 'key' : 'value'
      return true
    }
    if (frame.expects === 'key' && byte === BYTE.quote) {
      this.begin('key')
      return false
    }
    if (frame.expects === 'colon' && byte === BYTE.colon) {
      this.keepIn(frame, ':')
      frame.expects = 'value'
      return true
    }
    if (frame.expects !== 'value') {
      this.refuse(
        `line ${this.line}: not JSON: expected a ${frame.expects}, got ${String.fromCharCode(byte)}`,
      )
    }
    frame.expects = 'comma'
    return this.value(frame, byte)
  }

  private value(frame: Frame, byte: number): boolean {
    const isObject = frame.kind === 'object'
    const onPath = !isObject || frame.key === this.path[frame.matched]
    const matched = frame.matched + Number(isObject && onPath)
    const arrives = onPath && matched === this.path.length
    // what lists on the way hold is not kept: it would grow with the file
    const kept = frame.kept && isObject
    if (arrives) this.found = true
    if (frame.kind === 'list') this.begin('element')
    else if (arrives && byte === BYTE.openBracket) {
      this.push('list', matched, kept)
      return true
    } else if (arrives) {
      this.keepIn(frame, 'null')
      this.begin('element')
    } else if (onPath && (byte === BYTE.openBrace || byte === BYTE.openBracket)) {
      this.push(byte === BYTE.openBrace ? 'object' : 'array', matched, kept)
      return true
    } else if (kept && (this.frames.length > 1 || this.columns?.has(frame.key) !== false)) {
      this.begin('kept')
    } else {
      if (kept) this.keep('null')
      this.begin('dropped')
    }
    return false
  }

  private push(kind: Frame['kind'], matched: number, kept: boolean): void {
    if (kept) this.keep(kind === 'object' ? '{' : '[')
    this.frames.push({ kind, matched, kept, key: '', expects: kind === 'object' ? 'key' : 'value' })
  }

  private begin(what: 'key' | 'element' | 'kept' | 'dropped'): void {
    this.what = what
    this.held = []
    this.heldBytes = 0
    this.startLine = this.line
    this.skim.restart()
  }

  private hold(bytes: Buffer): void {
    this.heldBytes += bytes.length
    if (this.what === 'dropped') return
    if (this.heldBytes <= LINE_BYTES_MAX) this.held.push(bytes)
    else this.held = []
  }

  private close(): Element | undefined {
    const { what, startLine: line } = this
    this.what = undefined
    if (what === 'dropped') return undefined
    const fits = this.heldBytes <= LINE_BYTES_MAX
    const bytes = fits ? Buffer.concat(this.held) : undefined
    this.held = []
    if (what === 'element') return { bytes, line, soFar: () => this.soFar() }
    if (!bytes)
      this.refuse(`line ${line}: a value beside its rows is longer than ${LINE_BYTES_MAX} bytes`)
    const frame = this.frames.at(-1)!
    if (what === 'key') {
      const parsed = parseJsonBytes(bytes)
      if (!('value' in parsed)) return this.refuse(`line ${line}: ${parsed.reason}`)
      frame.key = String(parsed.value)
      frame.expects = 'colon'
    }
    this.keepIn(frame, bytes)
    return undefined
  }

  private keepIn(frame: Frame, bytes: string | Buffer): void {
    if (frame.kept) this.keep(bytes)
  }

  private keep(bytes: string | Buffer): void {
    if (this.columns?.size === 0) return
    this.aroundBytes += bytes.length
    if (this.aroundBytes > LINE_BYTES_MAX) {
      this.refuse(
        `its fields beside the list at ${this.path.join('.')} are longer than ${LINE_BYTES_MAX} bytes`,
      )
    }
    this.around.push(Buffer.from(bytes as string))
  }

  private soFar(): RawRecord {
    const open = this.frames.filter(({ kept }) => kept).reverse()
    return this.document(open.map(({ kind }) => CLOSING[kind]).join(''))
  }

  private document(closing: string): RawRecord {
    if (this.columns?.size === 0) return {}
    const parsed = parseJsonBytes(Buffer.concat([...this.around, Buffer.from(closing)]))
    if ('value' in parsed && isRecord(parsed.value)) return parsed.value
    return this.refuse('reason' in parsed ? parsed.reason : 'expected a JSON object')
  }

  private isMark(chunk: Buffer, i: number): boolean {
    return this.frames.length === 0 && !this.finished && MARK.includes(chunk[i]!)
  }

  private refuse(reason: string): never {
    throw new WeirError('file_unreadable', { path: this.file, reason })
  }
}

/** a byte order mark in UTF-8 */
const MARK: readonly number[] = [0xef, 0xbb, 0xbf]
const CLOSING = { object: '}', array: ']', list: ']' } as const

/**
 * The document's beginning as a document: it ends after the last value that is there whole, and its lists after
 * `SAMPLE_ELEMENTS`. Undefined if it is no JSON.
 */
function sampleOf(bytes: Buffer): RawRecord | undefined {
  const kept: Buffer[] = []
  /** open brackets, and the elements of each list that have ended */
  const open: { readonly isList: boolean; ended: number }[] = []
  let from = 0
  let whole: { readonly end: number; readonly closing: string } | undefined
  const skim = new Skim()
  const closing = (): string =>
    open
      .map(({ isList }) => (isList ? ']' : '}'))
      .reverse()
      .join('')
  let i = 0
  while (i < bytes.length) {
    const byte = bytes[i]!
    if (byte === BYTE.quote) {
      skim.restart()
      const end = skim.end(bytes, i)
      if (end < 0) break
      i = end
      continue
    }
    if (byte === BYTE.openBrace || byte === BYTE.openBracket) {
      open.push({ isList: byte === BYTE.openBracket, ended: 0 })
      whole = { end: i + 1, closing: closing() }
    } else if (byte === BYTE.closeBrace || byte === BYTE.closeBracket) {
      open.pop()
      whole = { end: i + 1, closing: closing() }
    } else if (byte === BYTE.comma) {
      whole = { end: i, closing: closing() }
      const list = open.at(-1)
      if (list?.isList && ++list.ended >= SAMPLE_ELEMENTS) {
        kept.push(bytes.subarray(from, i))
        const end = listEnd(bytes, i)
        if (end < 0) return parsed(kept, whole.closing)
        from = end
        i = end
        continue
      }
    }
    i++
  }
  if (!whole) return undefined
  return parsed([...kept, bytes.subarray(from, whole.end)], whole.closing)
}

/** The place of the bracket that closes the list; -1 if it is not there. */
function listEnd(bytes: Buffer, from: number): number {
  const skim = new Skim()
  let i = from
  while (i >= 0 && i < bytes.length) {
    const byte = bytes[i]!
    if (byte === BYTE.closeBracket) return i
    if (byte === BYTE.comma || byte <= 0x20) i++
    else {
      skim.restart()
      i = skim.end(bytes, i)
    }
  }
  return -1
}

function parsed(parts: readonly Buffer[], closing: string): RawRecord | undefined {
  const found = parseJsonBytes(Buffer.concat([...parts, Buffer.from(closing)]))
  return 'value' in found && isRecord(found.value) ? found.value : undefined
}
