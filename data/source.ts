import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { WeirError } from '../models/errors.ts'

/** One log file, opened: its decompressed bytes, and what is known of the file once they are read. */
export interface Source {
  readonly path: string
  /** bytes on disk, for progress */
  readonly size: number
  /** bytes of the file read so far */
  bytesRead(): number
  chunks(): AsyncIterable<Buffer>
  /** SHA-256 of the file as it lies on disk; complete once `chunks` has ended. */
  sha256(): string
}

const CHUNK_BYTES = 1 << 18

/** Throws `file_not_found` and `file_unreadable` here, `file_truncated` while its chunks are read. */
export async function openSource(path: string, signal?: AbortSignal): Promise<Source> {
  const info = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new WeirError('file_not_found', { path }, { cause })
    throw new WeirError('file_unreadable', { path, reason: cause.message }, { cause })
  })
  if (info.isDirectory()) {
    throw new WeirError('file_unreadable', { path, reason: 'it is a folder; expected a file' })
  }
  const hash = createHash('sha256')
  let read = 0
  let digest: string | undefined

  async function* raw(): AsyncGenerator<Buffer> {
    try {
      const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES })
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (signal?.aborted) throw new WeirError('cancelled', { signal: String(signal.reason) })
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
    size: info.size,
    bytesRead: () => read,
    sha256: () => {
      if (digest === undefined) throw new Error(`sha256 of ${path} asked for before its end`)
      return digest
    },
    chunks: () => decompressed(path, raw()),
  }
}

async function* decompressed(path: string, raw: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const first = await raw.next()
  if (first.done) return
  const head = first.value
  if (head[0] === 0x1f && head[1] === 0x8b) yield* gunzip(path, head, raw)
  else {
    yield head
    yield* raw
  }
}

async function* gunzip(
  path: string,
  head: Buffer,
  raw: AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES })
  let failed: unknown
  const feeding = (async () => {
    try {
      if (!unzip.write(head)) await drained(unzip)
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
