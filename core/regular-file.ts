import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from './errors.ts'

// Folders from other people can hold more than files: a link to a private file, a FIFO that never answers, a
// device that never ends. What is read from such folders is read through here.

/** What an entry is, in words, unless it is a regular file or a folder. */
export function specialKind(entry: Stats | Dirent): string | undefined {
  if (entry.isSymbolicLink()) return 'a symbolic link'
  if (entry.isFIFO()) return 'a FIFO (named pipe)'
  if (entry.isSocket()) return 'a socket'
  if (entry.isBlockDevice() || entry.isCharacterDevice()) return 'a device'
  return undefined
}

export interface RegularFileOptions {
  /** most bytes that are read; a larger file is refused */
  readonly maxBytes: number
}

/** Does not wait for the other end of a FIFO, and does not follow a link; Windows has neither flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

/**
 * The bytes of a regular file. A symbolic link, FIFO, socket, device or folder is refused, and so is a file
 * above the limit.
 *
 * @throws file_not_found, file_unreadable
 */
export async function readRegularFile(
  path: string,
  { maxBytes }: RegularFileOptions,
): Promise<Uint8Array> {
  const refuse = (reason: string, cause?: unknown): WeirError =>
    new WeirError('file_unreadable', { path, reason }, { cause })
  const file = await open(path, OPEN_FLAGS).catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new WeirError('file_not_found', { path }, { cause })
    const entry = await lstat(path).catch(() => undefined)
    const kind = entry && specialKind(entry)
    throw refuse(kind ? `it is ${kind}; expected a file` : (cause.code ?? cause.message), cause)
  })
  try {
    const entry = await file.stat()
    if (!entry.isFile()) {
      throw refuse(`it is ${specialKind(entry) ?? 'a folder'}; expected a file`)
    }
    if (entry.size > maxBytes) {
      throw refuse(`it has ${entry.size} bytes; at most ${maxBytes} are read`)
    }
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/** The most entries that a folder of a bundle is searched for. */
const MAX_ENTRIES = 10_000

/**
 * Every file below a folder by its path in it (with `/`), sorted. Links are not followed.
 *
 * @throws file_unreadable for a symbolic link, FIFO, socket or device in it, or more than 10,000 entries
 */
export async function regularFilesUnder(folder: string): Promise<string[]> {
  const files: string[] = []
  const folders = ['']
  let seen = 0
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for (const name of await readdir(join(folder, inside))) {
      const path = inside === '' ? name : `${inside}/${name}`
      if (++seen > MAX_ENTRIES) {
        const reason = `it holds more than ${MAX_ENTRIES} files`
        throw new WeirError('file_unreadable', { path: folder, reason })
      }
      const entry = await lstat(join(folder, path))
      const kind = specialKind(entry)
      if (kind) {
        const reason = `it is ${kind}; expected a file`
        throw new WeirError('file_unreadable', { path: join(folder, path), reason })
      }
      if (entry.isDirectory()) folders.push(path)
      else files.push(path)
    }
  }
  return files.sort()
}
