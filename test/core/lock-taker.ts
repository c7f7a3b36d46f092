import { closeSync, openSync, writeSync } from 'node:fs'
import { lockFolder, withLock } from '../../core/lock.ts'
import { withStoreLock } from '../../records/postgres.ts'

/**
 * Takes a folder's lock again and again and does nothing else, until it is killed: with `wait` as a critical
 * section, with `try` at once or not at all, with `store` as a critical section of all machines on a database. Each taking is a line `in NAME TIME` and, if it lives to give
 * the lock back, `out NAME TIME`, in nanoseconds of the clock that all processes of the machine share.
 */
const [folder, report, name, kind] = process.argv.slice(2) as [string, string, string, string]
const out = openSync(report, 'a')
const tell = (what: string): void => {
  writeSync(out, `${what} ${name} ${process.hrtime.bigint()}\n`)
}

function hold(): void {
  tell('in')
  const until = performance.now() + 0.2
  while (performance.now() < until);
  tell('out')
}

/** whoever started it */
const parent = process.ppid
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

try {
  while (process.ppid === parent) {
    if (kind === 'wait') await withLock(folder, { deadlineMs: 60_000 }, async () => hold())
    else if (kind === 'store') {
      await withStoreLock(folder, 'test', { deadlineMs: 60_000 }, async () => hold())
    } else {
      const lock = lockFolder(folder, Date.now)
      if ('release' in lock) {
        hold()
        lock.release()
      }
      await turn()
    }
  }
} finally {
  closeSync(out)
}
