import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, SegmentFile } from '../../core/segments.ts'
import type { BookState } from './book.ts'
import { type BudgetLine, segmentName } from './budget-lines.ts'
import { closeSynced, WriteHealth } from './write-health.ts'

export interface BudgetJournalOptions {
  readonly folder: string
  /** numbers of the segments that are there */
  readonly segments: readonly number[]
  /** what each segment begins with */
  readonly state: () => BookState
  /** milliseconds since 1970 */
  readonly now: () => number
  /** told once when writing begins to fail and once when it works again */
  readonly onHealth: (failure: Error | undefined) => void
  readonly segmentBytes?: number
}

const SEGMENT_BYTES = 16 << 20
/** Milliseconds that a settlement may wait: a crash that loses it counts its claim instead. */
const FLUSH_MS = 100
/** Between syncs; a failing disk is tried again so often too. */
const SYNC_MS = 1000

/**
 * Budgets on disk. A claim is written before its question goes out; settlements follow with the next claim
 * or a moment later. Where the disk fails, budgets go on in memory and a whole state is written as soon as
 * it can be. Older segments are deleted, all but the last before.
 */
export class BudgetJournal {
  readonly #options: BudgetJournalOptions
  readonly #segments: number[]
  #file: SegmentFile | undefined
  #waiting = ''
  #timer: NodeJS.Timeout | undefined
  readonly #health: WriteHealth
  readonly #syncer: NodeJS.Timeout

  /** @throws what the disk says: a server does not start where it cannot write */
  constructor(options: BudgetJournalOptions) {
    this.#options = options
    this.#segments = [...options.segments]
    this.#health = new WriteHealth(options.onHealth)
    makeFolder(options.folder)
    this.#begin()
    this.#syncer = setInterval(() => {
      if (this.#health.failing) this.#write('')
      else this.#file?.syncLater()
    }, SYNC_MS)
    this.#syncer.unref()
  }

  /** On disk, as far as the process is concerned, when it returns. */
  now(line: BudgetLine): void {
    this.#waiting += `${JSON.stringify(line)}\n`
    this.flush()
  }

  soon(line: BudgetLine): void {
    this.#waiting += `${JSON.stringify(line)}\n`
    if (this.#timer) return
    this.#timer = setTimeout(() => this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting === '') return
    const lines = this.#waiting
    this.#waiting = ''
    if (!this.#health.failing) this.#write(lines)
  }

  #write(lines: string): void {
    const most = this.#options.segmentBytes ?? SEGMENT_BYTES
    this.#health.attempt(() => {
      // a state holds what the lines say, and what went missing before them
      if (this.#health.failing || this.#file!.bytes >= most) this.#begin()
      else this.#file!.write(lines)
    })
  }

  close(): void {
    clearInterval(this.#syncer)
    this.flush()
    closeSynced(this.#file)
  }

  /** The next segment, its state on disk before an older one goes. */
  #begin(): void {
    const { folder, state, now } = this.#options
    const n = (this.#segments.at(-1) ?? 0) + 1
    const path = join(folder, segmentName(n))
    const file = new SegmentFile(path)
    const line: BudgetLine = { object: 'budget_state', format: 1, time: now(), ...state() }
    try {
      file.write(`${JSON.stringify(line)}\n`)
      file.sync()
    } catch (error) {
      file.close()
      rmSync(path, { force: true })
      throw error
    }
    this.#segments.push(n)
    this.#file?.close()
    this.#file = file
    // the last one that begins with a state is kept beside it
    for (const old of this.#segments.splice(0, this.#segments.length - 2)) {
      rmSync(join(folder, segmentName(old)), { force: true })
    }
  }
}
