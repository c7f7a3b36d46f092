import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, SegmentFile } from '../../core/segments.ts'
import { dayOf } from './period.ts'
import type { SpendLine } from './spend-line.ts'
import { closeSynced, WriteHealth } from './write-health.ts'

export interface SpendJournalOptions {
  readonly folder: string
  /** tells the files of several processes apart */
  readonly owner: string
  /** milliseconds since 1970 */
  readonly now: () => number
  /** told once when writing begins to fail and once when it works again */
  readonly onHealth: (failure: Error | undefined) => void
}

const FLUSH_MS = 100
const SYNC_MS = 1000
/** Bytes, about, that may wait for a failing disk. */
const MOST_WAITING = 8 << 20

/** Spend lines on disk, a file a day and process: a crash takes a tenth of a second of them, a power cut a second. */
export class SpendJournal {
  readonly #options: SpendJournalOptions
  #file: { readonly day: string; readonly file: SegmentFile } | undefined
  #waiting = ''
  #timer: NodeJS.Timeout | undefined
  readonly #health: WriteHealth
  /** lines given up because the disk failed and memory was full */
  dropped = 0
  readonly #syncer: NodeJS.Timeout

  /** @throws file_unwritable */
  constructor(options: SpendJournalOptions) {
    this.#options = options
    this.#health = new WriteHealth(options.onHealth)
    makeFolder(options.folder)
    this.#syncer = setInterval(() => {
      if (this.#health.failing) this.flush()
      this.#file?.file.syncLater()
    }, SYNC_MS)
    this.#syncer.unref()
  }

  append(line: SpendLine): void {
    if (this.#waiting.length + (this.#file?.file.waiting ?? 0) > MOST_WAITING) {
      this.dropped++
      return
    }
    this.#waiting += `${JSON.stringify(line)}\n`
    if (this.#timer || this.#health.failing) return
    this.#timer = setTimeout(() => this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting === '' && !this.#health.failing) return
    this.#health.attempt(() => {
      const file = this.#today()
      const lines = this.#waiting
      // from here on they are the file's to write
      this.#waiting = ''
      file.write(lines)
    })
  }

  close(): void {
    clearInterval(this.#syncer)
    this.flush()
    closeSynced(this.#file?.file)
  }

  #today(): SegmentFile {
    const day = dayOf(this.#options.now())
    const open = this.#file
    // a day's last lines that the disk did not take go on where they began
    if (open && (open.day === day || open.file.waiting > 0)) return open.file
    const { folder, owner } = this.#options
    const begin = `spend-${day}-${owner}-`
    const taken = readdirSync(folder).filter((name) => name.startsWith(begin)).length
    const name = `${begin}${String(taken).padStart(4, '0')}.jsonl`
    this.#file?.file.close()
    this.#file = { day, file: new SegmentFile(join(folder, name)) }
    return this.#file.file
  }
}
