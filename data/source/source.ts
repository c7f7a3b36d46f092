import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import { specialKind } from '../../core/regular-file.ts'

/** One opened log: its decompressed bytes, and facts about the file that are known once they are read. */
export interface Source {
  readonly path: string
  /** bytes on disk, for progress; 0 if unknown (stdin) */
  readonly size: number
  /** counts what its contents expand to */
  readonly expansion: Expansion
  /** bytes of the file read so far */
  bytesRead(): number
  /** `buffers`: a source of buffers for reading a plain file; new ones by default. */
  chunks(buffers?: Buffers): AsyncIterable<Buffer>
  /** Whether the file is gzip or zstd; known once the first chunk has been read. */
  compressed(): boolean
  /** SHA-256 of the file on disk; reads the file if `chunks` was not read to its end. */
  sha256(): Promise<string>
}

/** Reusable buffers: allocating a gigabyte of new ones costs more than reading it. */
export interface Buffers {
  take(): Buffer
}

/** The path that means standard input. */
export const STDIN = '-'

const CHUNK_BYTES = 1 << 18

/** Expansion that a compressed file is allowed past its first 64 MiB; real logs stay below 100. */
const MAX_RATIO = 200
const FREE_BYTES = 64 * 2 ** 20

/** Counts what a file's contents expand to, and refuses a decompression bomb before it fills the memory. */
export class Expansion {
  private bytes = 0
  private readonly path: string
  private readonly maxBytes: number

  /** @param maxBytes the most bytes it may expand to, whatever the ratio */
  constructor(path: string, maxBytes = Number.POSITIVE_INFINITY) {
    this.path = path
    this.maxBytes = maxBytes
  }

  /**
   * @param bytes further expanded bytes
   * @param read bytes of the file read so far that they come from
   * @throws file_too_large above --max-bytes, or above 200 times the bytes read once past 64 MiB
   */
  add(bytes: number, read: number): void {
    this.bytes += bytes
    const refuse = (reason: string): WeirError =>
      new WeirError('file_too_large', { path: this.path, reason })
    if (this.bytes > this.maxBytes) {
      throw refuse(`holds more than ${this.maxBytes} bytes (--max-bytes)`)
    }
    if (this.bytes > FREE_BYTES && this.bytes > MAX_RATIO * read) {
      throw refuse(
        `expands to more than ${MAX_RATIO} times its size (${this.bytes} bytes from ${read}), as decompression bombs do; if you trust it, unpack it first`,
      )
    }
  }

  /** Starts again, for another reading. */
  restart(): void {
    this.bytes = 0
  }
}

/**
 * @param maxBytes the most bytes that its contents may have once decompressed
 * @throws file_not_found, file_unreadable (also for a FIFO, socket or device); while its chunks are read:
 * file_truncated, file_too_large, cancelled
 */
export async function openSource(
  path: string,
  signal?: AbortSignal,
  maxBytes?: number,
): Promise<Source> {
  const expansion = new Expansion(path, maxBytes)
  const size = path === STDIN ? 0 : await fileSize(path)
  let read = 0
  let digest: string | undefined
  let compression: 'gzip' | 'zstd' | 'none' = 'none'

  async function* raw(buffers?: Buffers): AsyncGenerator<Buffer> {
    const hash = createHash('sha256')
    read = 0
    const chunks = path === STDIN ? standardInput(signal) : fileChunks(path, buffers)
    try {
      for await (const chunk of chunks as AsyncIterable<Buffer>) {
        throwIfAborted(signal)
        hash.update(chunk)
        read += chunk.length
        yield chunk
      }
    } catch (cause) {
      if (cause instanceof WeirError) throw cause
      throwIfAborted(signal)
      throw new WeirError('file_unreadable', { path, reason: (cause as Error).message }, { cause })
    }
    digest = hash.digest('hex')
  }

  return {
    path,
    size,
    expansion,
    bytesRead: () => read,
    async sha256() {
      if (digest === undefined) {
        for await (const _ of raw());
      }
      return digest!
    },
    compressed: () => compression !== 'none',
    async *chunks(buffers) {
      const bytes = raw(buffers)
      const first = await bytes.next()
      if (first.done) return
      compression = compressionOf(first.value)
      const whole = prepend([first.value], bytes)
      expansion.restart()
      const count = (expanded: number): void => expansion.add(expanded, read)
      if (compression === 'zstd') {
        try {
          refuseWindow(path, first.value)
        } catch (error) {
          await bytes.return(undefined)
          throw error
        }
        yield* unzstd(path, whole, count)
        return
      }
      for await (const chunk of compression === 'gzip' ? gunzip(path, whole) : whole) {
        throwIfAborted(signal)
        count(chunk.length)
        yield chunk
      }
    },
  }
}

/** The window that zstd's own decoder accepts by default; fzstd would allocate whatever a file asks for. */
const MAX_WINDOW = 2 ** 27

/** @throws file_too_large */
function refuseWindow(path: string, head: Buffer): void {
  const window = zstdWindow(head)
  if (window <= MAX_WINDOW) return
  const reason = `asks for a window of ${window} bytes; at most ${MAX_WINDOW} are given`
  throw new WeirError('file_too_large', { path, reason })
}

/** The window that a zstd file's first frame asks for, in bytes (RFC 8878, 3.1.1.1). */
function zstdWindow(head: Buffer): number {
  const descriptor = head[4] ?? 0
  const single = (descriptor & 0x20) !== 0
  if (!single) {
    const byte = head[5] ?? 0
    const base = 2 ** (10 + (byte >> 3))
    return base + (base / 8) * (byte & 7)
  }
  // its window is its content, whose size stands after the dictionary's id
  const at = 5 + [0, 1, 2, 4][descriptor & 3]!
  const width = [1, 2, 4, 8][descriptor >> 6]!
  if (head.length < at + width) return 0
  if (width === 8) return Number(head.readBigUInt64LE(at))
  return head.readUIntLE(at, width) + (width === 2 ? 256 : 0)
}

function compressionOf(head: Buffer): 'gzip' | 'zstd' | 'none' {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  if (head.length < 4) return 'none'
  const magic = head.readUInt32LE(0)
  // a skippable frame first: pzstd and seekable zstd write them
  return magic === 0xfd2fb528 || magic >>> 4 === 0x184d2a5 ? 'zstd' : 'none'
}

/** Decompresses whole zstd buffers, as Arrow files hold them. @throws from the function: file_too_large */
export async function loadZstd(): Promise<(bytes: Uint8Array) => Uint8Array> {
  const { Decompress } = await import('fzstd')
  const path = 'a compressed buffer'
  return (bytes) => {
    refuseWindow(path, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    const expansion = new Expansion(path)
    const parts: Uint8Array[] = []
    const stream = new Decompress((part) => {
      expansion.add(part.length, bytes.length)
      // the library returns views of a window that it overwrites
      parts.push(part.slice())
    })
    stream.push(bytes, true)
    return Buffer.concat(parts)
  }
}

/** Standard input, which an abort ends even while nothing comes. */
const standardInput = (signal: AbortSignal | undefined): NodeJS.ReadableStream =>
  signal ? addAbortSignal(signal, process.stdin) : process.stdin

async function* fileChunks(path: string, buffers?: Buffers): AsyncGenerator<Buffer> {
  const file = await open(path, 'r')
  try {
    for (;;) {
      const buffer = buffers?.take() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

async function fileSize(path: string): Promise<number> {
  const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new WeirError('file_not_found', { path }, { cause })
    throw new WeirError('file_unreadable', { path, reason: cause.message }, { cause })
  })
  if (info.isDirectory()) {
    throw new WeirError('file_unreadable', { path, reason: 'it is a folder; expected a file' })
  }
  const kind = specialKind(info)
  if (kind) {
    const reason = `it is ${kind}; expected a file, or - for standard input`
    throw new WeirError('file_unreadable', { path, reason })
  }
  return info.size
}

/** Chunks that were read already, and the rest, which is closed with the result. */
export async function* prepend(
  first: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer> {
  try {
    yield* first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}

async function* gunzip(path: string, raw: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES })
  let failed: unknown
  const feeding = (async () => {
    try {
      for await (const chunk of raw) {
        if (unzip.destroyed) return
        if (!unzip.write(chunk)) await drained(unzip)
      }
      unzip.end()
    } catch (error) {
      failed = error
      unzip.destroy()
    }
  })()
  try {
    for await (const chunk of unzip as AsyncIterable<Buffer>) yield chunk
    await feeding
  } catch (cause) {
    if (failed) throw failed
    const code = (cause as NodeJS.ErrnoException).code
    const reason = (cause as Error).message
    throw code === 'Z_BUF_ERROR'
      ? new WeirError('file_truncated', { path, reason }, { cause })
      : new WeirError('file_unreadable', { path, reason: `gzip: ${reason}` }, { cause })
  } finally {
    unzip.destroy()
    await feeding
  }
}

function drained(stream: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}

/** Compressed bytes decompressed at a time: a block of 4 bytes can expand to 128 KiB. */
const ZSTD_SLICE = 1024

/**
 * The only import of fzstd (Node 20 has no zstd). Decompresses as a stream; throws `file_truncated` if the
 * file ends inside a frame.
 *
 * @param count gets the number of bytes of each block, and may throw
 */
async function* unzstd(
  path: string,
  chunks: AsyncIterable<Buffer>,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const { Decompress, ZstdErrorCode } = await import('fzstd')
  let out: Buffer[] = []
  const stream = new Decompress((data) => {
    // The library returns views of a window that it overwrites.
    if (data.length === 0) return
    count(data.length)
    out.push(Buffer.from(data))
  })
  const push = (chunk: Uint8Array, final: boolean): void => {
    try {
      stream.push(chunk, final)
    } catch (cause) {
      if (cause instanceof WeirError) throw cause
      const { code, message } = cause as { code?: number; message: string }
      throw code === ZstdErrorCode.UnexpectedEOF || final
        ? new WeirError('file_truncated', { path, reason: message }, { cause })
        : new WeirError('file_unreadable', { path, reason: `zstd: ${message}` }, { cause })
    }
  }
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; from += ZSTD_SLICE) {
      push(chunk.subarray(from, from + ZSTD_SLICE), false)
      yield* out.splice(0)
    }
  }
  push(new Uint8Array(0), true)
  yield* out
  out = []
}
