import { readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { within } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import { makeFolders, removePartials, writeWhole } from '../../core/files.ts'
import { FeedbackRecord } from '../decision-record.ts'
import type { FeedbackStore } from './store.ts'

export interface SpoolOptions {
  /** where feedback waits while the store is gone: one file per rating */
  readonly folder: string
  /** longest wait for the store, in milliseconds */
  readonly deadlineMs: number
  /** milliseconds between attempts to deliver what waits (default 2000) */
  readonly retryMs?: number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Where feedback waits, in the log folder, unless the configuration names another folder. */
export const WAITING_FOLDER = 'feedback-waiting'

const RETRY_MS = 2000
/** Ratings that may wait; further ones are refused, and their clients deliver them again. */
const MOST_WAITING = 100_000
const NAME = /^\d{15}-\d+-\d+\.json$/

const check = Compile(FeedbackRecord)

/**
 * A store whose feedback waits on disk while it does not answer, and is delivered once it does, also after the process
 * was killed. The store keeps one rating per answer and source, so that what is delivered twice counts once.
 */
export async function spooledStore(
  store: FeedbackStore,
  { folder, deadlineMs, retryMs = RETRY_MS, onWarning }: SpoolOptions,
): Promise<FeedbackStore> {
  makeFolders(folder)
  await removePartials(folder)
  let waiting = (await names(folder)).length
  /** ratings on their way to the disk */
  let writing = 0
  let isGone = waiting > 0
  let count = 0
  let delivering: Promise<void> | undefined
  let isClosed = false

  const inTime = (record: FeedbackRecord): Promise<void> =>
    within(store.record(record), deadlineMs, () => {
      const reason = `it was silent for ${deadlineMs} ms`
      return new WeirError('store_unavailable', { store: 'of feedback', reason })
    })

  /** Delivers a rating. @returns why the store will never take it */
  const refusalOf = async (record: FeedbackRecord): Promise<unknown> => {
    try {
      await inTime(record)
      return undefined
    } catch (error) {
      if (isRefused(error)) return error
      throw error
    }
  }

  const deliver = async (): Promise<void> => {
    try {
      for (const name of await names(folder)) {
        if (isClosed) return
        const path = join(folder, name)
        const record = await readRecord(path)
        if (record === 'absent') continue
        const refused = record ? await refusalOf(record) : new Error('it holds no rating')
        if (refused) {
          await rename(path, `${path}.refused`)
          onWarning(`feedback: ${path} was set aside`, refused)
        } else await rm(path, { force: true })
      }
      const left = await names(folder)
      waiting = left.length + writing
      if (waiting === 0 && isGone) {
        isGone = false
        onWarning('feedback: the store answers again, and has what waited on disk')
      }
    } catch (error) {
      gone(error)
    }
  }
  const gone = (error: unknown): void => {
    if (isGone) return
    isGone = true
    onWarning(`feedback: the store does not answer; ratings wait in ${folder}`, error)
  }
  const tryDelivery = (): Promise<void> => {
    delivering ??= deliver().finally(() => {
      delivering = undefined
    })
    return delivering
  }
  const timer = setInterval(() => {
    if (isGone) void tryDelivery()
  }, retryMs)
  timer.unref()
  const spool = async (record: FeedbackRecord): Promise<void> => {
    if (waiting >= MOST_WAITING) {
      throw new WeirError('log_unavailable', { reason: `${waiting} ratings wait in ${folder}` })
    }
    waiting++
    writing++
    const name = `${String(Date.now()).padStart(15, '0')}-${process.pid}-${String(++count).padStart(9, '0')}.json`
    try {
      await writeWhole(join(folder, name), JSON.stringify(record))
    } catch (cause) {
      waiting--
      throw new WeirError('log_unavailable', { reason: (cause as Error).message }, { cause })
    } finally {
      writing--
    }
  }

  return {
    async record(record) {
      // until what waits is delivered: nobody waits for a store that was gone a moment ago
      if (isGone) return spool(record)
      try {
        await inTime(record)
      } catch (error) {
        if (isRefused(error)) throw error
        gone(error)
        await spool(record)
      }
    },
    read: (signal) => store.read(signal),
    async close() {
      clearInterval(timer)
      isClosed = true
      await delivering
      await store.close()
    },
  }
}

/** The files of feedback that waits, or that the store has refused, in a folder or a log folder; none if it is neither. */
export async function waitingFiles(folder: string): Promise<string[]> {
  const found = await Promise.all(
    [folder, join(folder, WAITING_FOLDER)].map(async (at) => {
      const all = await readdir(at).catch((): string[] => [])
      return all
        .filter((name) => NAME.test(name.replace(/\.refused$/, '')))
        .map((name) => join(at, name))
    }),
  )
  return found.flat()
}

/** In the order in which they came. */
const names = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => NAME.test(name)).sort()

/** `absent` if another process has delivered it; undefined if it is no rating. */
async function readRecord(path: string): Promise<FeedbackRecord | 'absent' | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return 'absent'
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** What a database refuses for what is in it (a NUL in a text), which waiting does not mend. */
function isRefused(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: unknown } }
  return typeof cause?.code === 'string' && /^2[23][0-9A-Z]{3}$/.test(cause.code)
}
