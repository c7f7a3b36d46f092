import { randomBytes } from 'node:crypto'
import { lstat, mkdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { writeNew, writeWhole } from '../../core/files.ts'

/** What callers of the admin port must send, and the file they read it from. */
export interface AdminToken {
  readonly token: string
  /** Writes the token where there is no file of the operator's with it, and returns the file's path. */
  publish(port: number): Promise<string>
  /** Removes a file that `publish` wrote and the operator did not ask for. */
  remove(): Promise<void>
}

/** Characters of a token in an operator's file. */
const SHORTEST = 16
const LONGEST = 500
const OWNER_ONLY = 0o600

/**
 * The token of the admin port. Without a file it is new with every start, and written to
 * `admin-PORT.token` in a folder that only this user can read (`$XDG_RUNTIME_DIR/weir`, else `weir-UID` in the
 * folder for temporary files). With a file it is what the file holds; a file that does not exist is made with a
 * new token, which then outlasts restarts.
 *
 * @throws config_invalid if the file can be read by everyone or holds no token; file_unwritable, file_unreadable
 */
export async function adminToken(file?: string): Promise<AdminToken> {
  const fresh = randomBytes(32).toString('base64url')
  if (file === undefined) {
    let written: string | undefined
    return {
      token: fresh,
      async publish(port) {
        written = join(await ownFolder(), `admin-${port}.token`)
        await writeWhole(written, `${fresh}\n`, { flush: false, mode: OWNER_ONLY })
        return written
      },
      async remove() {
        if (written !== undefined) await rm(written, { force: true })
      },
    }
  }
  const token = (await readToken(file)) ?? (await makeToken(file, fresh))
  return { token, publish: async () => file, remove: async () => {} }
}

async function makeToken(file: string, fresh: string): Promise<string> {
  try {
    await writeNew(file, `${fresh}\n`, { mode: OWNER_ONLY })
    return fresh
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    // another server has made it meanwhile
    const other = code === 'EEXIST' ? await readToken(file) : undefined
    if (other !== undefined) return other
    throw new WeirError('file_unwritable', { path: file, reason: message }, { cause })
  }
}

/** Undefined if there is no such file. */
async function readToken(file: string): Promise<string | undefined> {
  const refuse = (expected: string, got: string): WeirError =>
    new WeirError('config_invalid', { where: `--admin-token-file ${file}`, expected, got })
  let text: string
  try {
    const about = await stat(file)
    if (!about.isFile()) throw refuse('a file', 'something else')
    const mode = about.mode & 0o777
    if (process.platform !== 'win32' && (mode & 0o007) !== 0) {
      throw refuse('a file that not everyone can read (chmod 600)', `mode ${mode.toString(8)}`)
    }
    text = (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new WeirError('file_unreadable', { path: file, reason: message }, { cause })
  }
  if (text.length >= SHORTEST && text.length <= LONGEST && /^\S+$/.test(text)) return text
  throw refuse(
    `a token of ${SHORTEST} to ${LONGEST} characters without spaces`,
    `${text.length} characters`,
  )
}

/** A folder for this user alone, which nobody else can have made before. @throws file_unwritable */
async function ownFolder(): Promise<string> {
  const runtime = process.env.XDG_RUNTIME_DIR
  const uid = process.getuid?.()
  const folder = runtime ? join(runtime, 'weir') : join(tmpdir(), `weir-${uid ?? 'admin'}`)
  const refuse = (reason: string, cause?: unknown): WeirError =>
    new WeirError(
      'file_unwritable',
      { path: folder, reason: `${reason}; name another place with --admin-token-file` },
      { cause },
    )
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw refuse(message, cause)
  }
  const about = await lstat(folder)
  if (!about.isDirectory()) throw refuse('expected a folder there')
  if (uid !== undefined && about.uid !== uid) throw refuse('it belongs to another user')
  if (uid !== undefined && (about.mode & 0o077) !== 0) {
    throw refuse(`others may use it (mode ${(about.mode & 0o777).toString(8)})`)
  }
  return folder
}
