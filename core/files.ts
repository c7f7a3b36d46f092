import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { WeirError } from './errors.ts'

/** A file's contents; several parts are written one after the other. */
export type Contents = string | Uint8Array | Iterable<Uint8Array>

/**
 * Writes a file atomically: readers of the path find either the previous or all of the new contents, even
 * after a crash.
 *
 * @param options.flush false lets the system decide when the file reaches the disk. A power cut can then lose
 * it, which is acceptable for files that can be made again.
 * @param options.mode the permissions of the new file, less those that the umask takes away
 * @throws file_unwritable
 */
export async function writeWhole(
  path: string,
  contents: Contents,
  { flush = true, mode }: { readonly flush?: boolean; readonly mode?: number } = {},
): Promise<void> {
  try {
    await renameInto(path, (partial) => writeNew(partial, contents, { flush, mode }))
    if (flush) await flushFolder(dirname(path))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('file_unwritable', { path, reason }, { cause })
  }
}

/**
 * Writes a file that must not exist yet, and flushes it by default.
 *
 * @param options.mode permissions of the file, such as 0o600 (default 0o666, which the umask narrows)
 */
export async function writeNew(
  path: string,
  contents: Contents,
  { flush = true, mode }: { readonly flush?: boolean; readonly mode?: number | undefined } = {},
): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    if (typeof contents === 'string' || contents instanceof Uint8Array) {
      await file.writeFile(contents)
    } else for (const part of contents) await file.writeFile(part)
    if (flush) await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Makes a file, link or folder under a temporary name beside its destination, then renames it. If making it
 * fails, nothing is left behind; if the process is killed, `removePartials` finds the remains.
 */
export async function renameInto<T>(
  path: string,
  make: (partial: string) => Promise<T>,
): Promise<T> {
  const unique = `${randomBytes(4).toString('hex')}.${process.pid}`
  const partial = join(dirname(path), `.${basename(path)}.${unique}.partial`)
  try {
    const made = await make(partial)
    await rename(partial, path)
    return made
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

/** Removes partial files that ended processes left in a folder, for any name or only for the given one. */
export async function removePartials(folder: string, name?: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    const pid = /\.(\d+)\.(?:partial|old)$/.exec(entry)?.[1]
    if (pid === undefined || isRunning(Number(pid))) continue
    if (name !== undefined && !entry.startsWith(`.${name}.`)) continue
    await rm(join(folder, entry), { recursive: true, force: true })
  }
}

/** Whether a process with this number runs on this machine. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** A rename is on disk once its folder is flushed; Windows flushes folders by itself and cannot open them. */
async function flushFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  let folder: FileHandle | undefined
  try {
    folder = await open(path, 'r')
    await folder.sync()
  } finally {
    await folder?.close()
  }
}
