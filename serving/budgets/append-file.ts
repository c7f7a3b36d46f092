import { closeSync, fdatasync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { WeirError } from '../../core/errors.ts'

/**
 * A new file that grows by whole lines. Writing is synchronous: what was written survives the process
 * (`kill -9`), and what was synced survives the machine.
 */
export class AppendFile {
  readonly path: string
  bytes = 0
  #descriptor: number
  #rest: Buffer = Buffer.alloc(0)
  #dirty = false
  #syncing = false
  #closed = false

  /** @throws EEXIST where it is there */
  constructor(path: string) {
    this.path = path
    this.#descriptor = openSync(path, 'ax')
  }

  /** bytes that the disk has not taken */
  get waiting(): number {
    return this.#rest.length
  }

  /**
   * @param lines with their newlines
   * @throws what the disk says; what it did not take is kept and written by the next call
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

  /** Begins to sync, unless there is nothing new or it is under way. */
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
    // one that is being synced is closed afterwards
    if (!this.#syncing) closeSync(this.#descriptor)
  }
}

/** @throws file_unwritable */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (cause) {
    throw new WeirError('file_unwritable', { path, reason: (cause as Error).message }, { cause })
  }
}
