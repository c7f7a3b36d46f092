import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'

const TOUCH_MS = 5_000
/** A lock of another machine that nobody touched for so long is nobody's. */
const STALE_MS = 20_000

/**
 * Holds a folder for this process alone: two servers that each kept the budgets of one folder would both
 * spend them. A lock whose process has died is taken over.
 *
 * @throws config_invalid while another process holds it
 */
export function lockFolder(folder: string, where: string, now: () => number): () => void {
  const path = join(folder, 'lock')
  const mine = JSON.stringify({ pid: process.pid, host: hostname() })
  try {
    writeFileSync(path, mine, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const holder = liveHolder(path, now())
    if (holder !== undefined) {
      const expected = 'a folder that no other server keeps its budgets in'
      throw new WeirError('config_invalid', {
        where,
        expected,
        got: `${folder}, held by ${holder}`,
      })
    }
    // by a rename, so that nobody reads half of it
    writeFileSync(`${path}.${process.pid}`, mine)
    renameSync(`${path}.${process.pid}`, path)
  }
  const touching = setInterval(() => {
    try {
      utimesSync(path, new Date(now()), new Date(now()))
    } catch {
      // the folder is gone or read-only: the journal tells
    }
  }, TOUCH_MS)
  touching.unref()
  return () => {
    clearInterval(touching)
    rmSync(path, { force: true })
  }
}

function liveHolder(path: string, now: number): string | undefined {
  let holder: { pid?: unknown; host?: unknown }
  let touched: number
  try {
    holder = JSON.parse(readFileSync(path, 'utf8')) as typeof holder
    touched = statSync(path).mtimeMs
  } catch {
    // gone by now, or cut off while it was written
    return undefined
  }
  const { pid, host } = holder
  const name = `process ${pid} of ${host}`
  if (host !== hostname()) return now - touched < STALE_MS ? name : undefined
  // a container's next process may have the number of its last
  return typeof pid === 'number' && pid !== process.pid && alive(pid) ? name : undefined
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
