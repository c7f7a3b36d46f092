import { rm, stat, writeFile } from 'node:fs/promises'

export interface FileLockOptions {
  /** between two tries */
  readonly pause: () => Promise<unknown>
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** A lock that is older was left behind by a process that died: what it guards takes milliseconds. */
const STALE_MS = 10_000

/** Runs the work while no other process does: the lock is a file that only one of them can make. */
export async function withFileLock<T>(
  path: string,
  { pause, now }: FileLockOptions,
  work: () => Promise<T>,
): Promise<T> {
  while (!(await taken(path))) {
    const held = await stat(path).catch(() => undefined)
    if (held && now() - held.mtimeMs > STALE_MS) await rm(path, { force: true })
    else await pause()
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

async function taken(path: string): Promise<boolean> {
  try {
    await writeFile(path, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
