import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'

/** One opened log: its decompressed bytes, and facts about the file that are known once they are read. */
export interface Source {
  readonly path: string
  /** bytes on disk, for progress; 0 if unknown (stdin) */
  readonly size: number
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

/** Throws `file_not_found` and `file_unreadable` here, and `file_truncated` while its chunks are read. */
export async function openSource(path: string, signal?: AbortSignal): Promise<Source> {
  const size = path === STDIN ? 0 : await fileSize(path)
  let read = 0
  let digest: string | undefined
  let compression: 'gzip' | 'zstd' | 'none' = 'none'

  async function* raw(buffers?: Buffers): AsyncGenerator<Buffer> {
    const hash = createHash('sha256')
    read = 0
    const chunks = path === STDIN ? process.stdin : fileChunks(path, buffers)
    try {
      for await (const chunk of chunks as AsyncIterable<Buffer>) {
        throwIfAborted(signal)
        hash.update(chunk)
        read += chunk.length
        yield chunk
      }
    } catch (cause) {
      if (cause instanceof WeirError) throw cause
      throw new WeirError('file_unreadable', { path, reason: (cause as Error).message }, { cause })
    }
    digest = hash.digest('hex')
  }

  return {
    path,
    size,
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
      const whole = prepend(first.value, bytes)
      if (compression === 'gzip') yield* gunzip(path, whole)
      else if (compression === 'zstd') yield* unzstd(path, whole)
      else yield* whole
    },
  }
}

function compressionOf(head: Buffer): 'gzip' | 'zstd' | 'none' {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  return head.length > 3 && head.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none'
}

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
  return info.size
}

async function* prepend(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    yield* rest
  } finally {
    await rest.return(undefined)
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

/**
 * The only import of fzstd (Node 20 has no zstd). Decompresses as a stream; throws `file_truncated` if the
 * file ends inside a frame.
 */
async function* unzstd(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { Decompress, ZstdErrorCode } = await import('fzstd')
  let out: Buffer[] = []
  const stream = new Decompress((data) => {
    // The library returns views of a window that it overwrites.
    if (data.length > 0) out.push(Buffer.from(data))
  })
  const push = (chunk: Uint8Array, final: boolean): void => {
    try {
      stream.push(chunk, final)
    } catch (cause) {
      const { code, message } = cause as { code?: number; message: string }
      throw code === ZstdErrorCode.UnexpectedEOF || final
        ? new WeirError('file_truncated', { path, reason: message }, { cause })
        : new WeirError('file_unreadable', { path, reason: `zstd: ${message}` }, { cause })
    }
  }
  for await (const chunk of chunks) {
    push(chunk, false)
    yield* out.splice(0)
  }
  push(new Uint8Array(0), true)
  yield* out
  out = []
}
