import { randomBytes } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import {
  access,
  constants,
  type FileHandle,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
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
    throw new WeirError('file_unwritable', { path, reason: failureReason(cause) }, { cause })
  }
}

/** What the system says of a file that cannot be used, by its error code. */
const SYSTEM_FAILURES: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be too large for the file system',
  EIO: 'the disk failed',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EEXIST: 'it exists',
  ENOTEMPTY: 'the folder is not empty',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its links lead in a circle',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EBUSY: 'it is in use',
}

/** Why a file could not be used, in words. */
export function failureReason(cause: unknown): string {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException
  return SYSTEM_FAILURES[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause))
}

/** A failure of the file system as the error that says so; undefined for anything else. */
export function fileSystemError(cause: unknown): WeirError | undefined {
  const { code, path, dest, syscall } = (cause ?? {}) as NodeJS.ErrnoException & { dest?: string }
  if (!(cause instanceof Error) || SYSTEM_FAILURES[code ?? ''] === undefined) return undefined
  const where = dest ?? path
  // of a file that is open the system does not say the path
  if (syscall === undefined || (where === undefined && syscall !== 'write')) return undefined
  const parameters = { call: syscall, path: where ?? 'a file', reason: failureReason(cause) }
  return new WeirError('file_failed', parameters, { cause })
}

/** A file system with less than this is full. */
const LEAST_ROOM = 1 << 20

/**
 * Finds out before any work whether a file or folder can be written: whether the nearest existing folder takes new
 * files and has room. Writes nothing.
 *
 * @throws file_unwritable
 */
export async function assertWritable(path: string, kind: 'file' | 'folder'): Promise<void> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new WeirError('file_unwritable', { path, reason }, { cause })
  }
  const target = resolve(path)
  const infoOf = async (at: string) =>
    stat(at).catch((cause: NodeJS.ErrnoException) =>
      cause.code === 'ENOENT' ? undefined : refuse(failureReason(cause), cause),
    )
  const info = await infoOf(target)
  if (kind === 'file' && info && !info.isFile()) {
    refuse(info.isDirectory() ? 'it is a folder' : 'it is no regular file')
  }
  let folder = kind === 'folder' ? target : dirname(target)
  let found = kind === 'folder' ? info : await infoOf(folder)
  while (!found && dirname(folder) !== folder) {
    folder = dirname(folder)
    found = await infoOf(folder)
  }
  if (!found?.isDirectory()) refuse(`${folder} is no folder`)
  await access(folder, constants.W_OK | constants.X_OK).catch((cause: unknown) =>
    refuse(folder === target ? failureReason(cause) : `${folder}: ${failureReason(cause)}`, cause),
  )
  const { bavail, blocks, bsize } = await statfs(folder)
  if (blocks > 0 && bavail * bsize < LEAST_ROOM) refuse('no space is left on the disk')
}

/**
 * Makes a folder, if there is none, for what `fill` writes into it. Should that fail, the folders that were made and
 * are still empty are removed.
 */
export async function inFolder<T>(folder: string, fill: () => Promise<T>): Promise<T> {
  const first = makeFolders(folder)
  try {
    return await fill()
  } catch (error) {
    if (first !== undefined) {
      for (let at = resolve(folder); at.length >= resolve(first).length; at = dirname(at)) {
        await rmdir(at).catch(() => {})
      }
    }
    throw error
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

/**
 * Makes a folder and those that it is in, unless they exist. Node's own `recursive` never returns where no folder can
 * be made within an existing one (`/proc`), and such a process cannot even be stopped with SIGTERM.
 *
 * @returns the first that was made, if any
 * @throws the system's error
 */
export function makeFolders(path: string): string | undefined {
  const isFolder = (its: string): boolean =>
    statSync(its, { throwIfNoEntry: false })?.isDirectory() ?? false
  if (isFolder(path)) return undefined
  const parent = dirname(path)
  const first = parent === path ? undefined : makeFolders(parent)
  try {
    mkdirSync(path)
    return first ?? path
  } catch (error) {
    // made by another process meanwhile
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && isFolder(path)) return first
    throw error
  }
}
