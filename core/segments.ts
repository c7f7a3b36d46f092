import { closeSync, fdatasync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from './errors.ts'
import { makeFolders } from './files.ts'

// Append-only files of lines, written in three ways: `SegmentFile` has a line on disk when the call returns,
// `openSegments` writes many lines together without blocking, `appendLine` adds an occasional line.

/**
 * A new file that grows by whole lines. Writes are synchronous: written lines survive a crash of the process
 * (`kill -9`), synced lines survive a crash of the machine.
 */
export class SegmentFile {
  readonly path: string
  bytes = 0
  #descriptor: number
  #rest: Buffer = Buffer.alloc(0)
  #dirty = false
  #syncing = false
  #closed = false

  /** @throws EEXIST if it exists */
  constructor(path: string) {
    this.path = path
    this.#descriptor = openSync(path, 'ax')
  }

  /** bytes not yet written to disk */
  get waiting(): number {
    return this.#rest.length
  }

  /**
   * @param lines with their newlines
   * @throws the disk's error; the unwritten rest is kept and written by the next call
   */
  write(lines: string): void {
    const bytes = Buffer.from(lines)
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    while (this.#rest.length > 0) {
      const written = writeSync(this.#descriptor, this.#rest)
      this.#rest = this.#rest.subarray(written)
      this.bytes += written
      this.#dirty = true
    }
  }

  sync(): void {
    fdatasyncSync(this.#descriptor)
    this.#dirty = false
  }

  /** Starts a sync, unless nothing is new or one is in progress. */
  syncLater(): void {
    if (!this.#dirty || this.#syncing) return
    this.#dirty = false
    this.#syncing = true
    fdatasync(this.#descriptor, (error) => {
      this.#syncing = false
      if (error) this.#dirty = true
      if (this.#closed) closeSync(this.#descriptor)
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // if a sync is in progress, the file is closed after it
    if (!this.#syncing) closeSync(this.#descriptor)
  }

  /** Syncs as far as the disk allows, and closes. Its failures were reported by the writes. */
  closeSynced(): void {
    try {
      this.sync()
    } catch {
      // see above
    }
    this.close()
  }
}

/** Whether writing works. Reports when it begins to fail and when it works again, not every failure. */
export class WriteHealth {
  readonly #report: (failure: Error | undefined) => void
  failing = false

  /** @param report called once with the failure, and once without it when writing works again */
  constructor(report: (failure: Error | undefined) => void) {
    this.#report = report
  }

  /** Writes; a failure is reported and not thrown. */
  attempt(write: () => void): void {
    try {
      write()
      if (this.failing) this.#report(undefined)
      this.failing = false
    } catch (error) {
      const first = !this.failing
      this.failing = true
      if (first) this.#report(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/**
 * Appends one line to a file and syncs it. If a crash cut off the last line, that line is ended first so that
 * it stays separate. Only one process at a time may do this to a file.
 *
 * @param line without a newline
 */
export async function appendLine(path: string, line: string): Promise<void> {
  const file = await open(path, 'a+')
  try {
    const { size } = await file.stat()
    const last = Buffer.alloc(1)
    if (size > 0) await file.read(last, 0, 1, size - 1)
    const torn = size > 0 && last[0] !== NEWLINE
    await file.write(`${torn ? '\n' : ''}${line}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
}

export interface SegmentWriterOptions {
  readonly folder: string
  /** the next segment's file name, which must be new, and its first line without a newline; counted from 0 */
  readonly begin: (segment: number) => { readonly name: string; readonly header: string }
  /** bytes after which a new segment is started */
  readonly segmentBytes?: number
  /**
   * milliseconds between fsyncs: how much a power cut can lose. A crash of the process can lose `flushMs`.
   */
  readonly syncMs?: number
  /** maximum milliseconds that lines wait in memory */
  readonly flushMs?: number
  /** maximum bytes in memory before writers must wait */
  readonly bufferLimit?: number
  /** called once when writing begins to fail and once when it works again */
  readonly onHealth?: (failure: Error | undefined) => void
  /** opens a segment; tests pass files that fail */
  readonly openFile?: (path: string) => Promise<Pick<FileHandle, 'write' | 'datasync' | 'close'>>
}

/**
 * Appends lines to segment files. Lines are buffered briefly and written together. A slow disk makes writers
 * wait (`room`). If the disk fails (full, gone), writing is retried every second; lines are kept up to the
 * limit, and lines beyond it are counted as dropped.
 */
export interface SegmentWriter {
  /** Queues a line, given without its newline. */
  append(line: string): void
  /** Resolves once every line appended so far has been written and fsynced. @throws log_unavailable */
  flushed(): Promise<void>
  /** A promise to await before appending more; undefined while there is room. */
  room(): Promise<void> | undefined
  readonly failing: boolean
  /** lines dropped since the start because the disk failed and memory was full */
  readonly dropped: number
  /**
   * Writes the remaining lines and closes; lines that a failing disk does not accept are counted as dropped.
   */
  close(): Promise<void>
}

const RETRY_MS = 1000
const WRITE_AT = 1 << 18

/** Opens the first segment and writes its header. @throws file_unwritable */
export async function openSegments(options: SegmentWriterOptions): Promise<SegmentWriter> {
  const {
    folder,
    segmentBytes = 64 << 20,
    syncMs = 1000,
    flushMs = 100,
    bufferLimit = 32 << 20,
  } = options
  const openFile = options.openFile ?? ((path: string) => open(path, 'ax'))

  let file: Pick<FileHandle, 'write' | 'datasync' | 'close'>
  let written = 0
  let segment = 0
  const lines = new LineBuffer()
  let waitingBytes = 0
  /** bytes of a chunk not yet written to disk */
  let rest: Buffer = Buffer.alloc(0)
  let appended = 0
  let synced = 0
  let dirty = false
  let lastSync = performance.now()
  let failure: Error | undefined
  let dropped = 0
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let syncers: { upTo: number; resolve: () => void; reject: (error: WeirError) => void }[] = []
  const roomers: (() => void)[] = []

  const openSegment = async (): Promise<void> => {
    const { name, header } = options.begin(segment)
    file = await openFile(join(folder, name))
    segment++
    written = 0
    rest = Buffer.concat([Buffer.from(`${header}\n`), rest])
  }

  const writeRest = async (): Promise<void> => {
    while (rest.length > 0) {
      const { bytesWritten } = await file.write(rest)
      rest = rest.subarray(bytesWritten)
      written += bytesWritten
      dirty = true
    }
  }

  /** One round: writes the waiting lines, then syncs if someone waits for it or it is due. */
  const round = async (): Promise<void> => {
    const upTo = appended
    if (lines.lines > 0) {
      const taken = lines.take()
      rest = rest.length > 0 ? Buffer.concat([rest, taken]) : taken
    }
    await writeRest()
    waitingBytes = lines.length
    if (waitingBytes < bufferLimit) for (const wake of roomers.splice(0)) wake()
    if (dirty && (syncers.length > 0 || closed || performance.now() - lastSync >= syncMs)) {
      await file.datasync()
      dirty = false
      lastSync = performance.now()
    }
    if (!dirty) {
      synced = upTo
      const done = syncers.filter((syncer) => syncer.upTo <= synced)
      syncers = syncers.filter((syncer) => syncer.upTo > synced)
      for (const syncer of done) syncer.resolve()
    }
    if (written >= segmentBytes) {
      if (dirty) await file.datasync()
      dirty = false
      // opened first: where that fails, lines go on into the full segment until it works
      const full = file
      await openSegment()
      await full.close()
    }
  }

  const work = async (): Promise<void> => {
    try {
      await round()
      if (failure) options.onHealth?.(undefined)
      failure = undefined
    } catch (error) {
      const first = failure === undefined
      failure = error instanceof Error ? error : new Error(String(error))
      if (first) options.onHealth?.(failure)
      const reason = failure.message
      for (const syncer of syncers.splice(0)) {
        syncer.reject(new WeirError('log_unavailable', { reason }, { cause: failure }))
      }
      for (const wake of roomers.splice(0)) wake()
    }
  }

  /** Runs at most one round at a time; starts the next one itself if needed. */
  const run = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    working ??= work().finally(() => {
      working = undefined
      schedule()
    })
    return working
  }
  const schedule = (): void => {
    if (timer !== undefined || working || closed) return
    const waiting = lines.lines > 0 || rest.length > 0
    if (!waiting && !dirty && syncers.length === 0) return
    const soon = syncers.length > 0 || waitingBytes >= WRITE_AT
    const delay = failure ? RETRY_MS : soon ? 0 : waiting ? flushMs : syncMs
    timer = setTimeout(run, delay)
    timer.unref()
  }

  try {
    makeFolders(folder)
    await openSegment()
    // finds a full disk now, not at the first line
    await writeRest().catch(async (cause: unknown) => {
      await file.close()
      throw cause
    })
  } catch (cause) {
    throw new WeirError(
      'file_unwritable',
      { path: folder, reason: (cause as Error).message },
      { cause },
    )
  }
  return {
    append(line) {
      if (failure && waitingBytes > bufferLimit) {
        dropped++
        return
      }
      const before = lines.length
      lines.add(line)
      appended++
      waitingBytes += lines.length - before
      if (timer === undefined || waitingBytes >= WRITE_AT) {
        if (waitingBytes >= WRITE_AT && !working && !failure) void run()
        else schedule()
      }
    },
    flushed() {
      if (failure) {
        return Promise.reject(new WeirError('log_unavailable', { reason: failure.message }))
      }
      return new Promise((resolve, reject) => {
        syncers.push({ upTo: appended, resolve, reject })
        clearTimeout(timer)
        timer = undefined
        schedule()
      })
    },
    room() {
      if (waitingBytes < bufferLimit || failure) return undefined
      return new Promise((resolve) => roomers.push(resolve))
    },
    get failing() {
      return failure !== undefined
    },
    get dropped() {
      return dropped
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await working
      await work()
      if (failure) dropped += lines.lines
      await file.close().catch(() => {})
    },
  }
}

/**
 * Lines collected as bytes. As strings they would be many small objects that survive a young-generation
 * collection or two; encoded at once, they cost the garbage collector nothing.
 */
export class LineBuffer {
  /** number of lines collected */
  lines = 0
  /** number of bytes collected */
  length = 0
  private bytes = Buffer.allocUnsafe(START)

  /** @param line without a newline */
  add(line: string): void {
    // a UTF-16 unit takes at most three bytes of UTF-8
    const needed = this.length + 3 * line.length + 1
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.bytes.length))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    this.length += this.bytes.write(line, this.length, 'utf8')
    this.bytes[this.length++] = NEWLINE
    this.lines++
  }

  /** Returns the collected bytes, which the caller then owns, and starts with a new buffer. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length)
    this.bytes = Buffer.allocUnsafe(Math.max(START, Math.min(this.bytes.length, KEEP)))
    this.length = 0
    this.lines = 0
    return taken
  }
}

const START = 1 << 16
/** Maximum buffer size kept after a burst, in bytes. */
const KEEP = 1 << 20
const NEWLINE = 10

/** Makes a folder, unless it exists. @throws file_unwritable */
export function makeFolder(path: string): void {
  try {
    makeFolders(path)
  } catch (cause) {
    throw new WeirError('file_unwritable', { path, reason: (cause as Error).message }, { cause })
  }
}
