import { createHash, randomInt } from 'node:crypto'
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { WeirError } from './errors.ts'

/**
 * A lock that the kernel holds for this process and releases when the process ends, for whatever reason, so
 * stale locks cannot exist.
 */
export interface Lock {
  /** Releases the lock at once; a second call does nothing. */
  release(): void
}

/**
 * Takes the lock of a path, or returns undefined at once if it is held, even by this process. The path is a
 * folder, or a file in an existing folder; the file itself need not exist. Paths that lead to the same
 * folder, such as links, share its lock.
 *
 * - Linux: a listening abstract unix socket, which excludes every process in the same network namespace.
 *   Containers have separate namespaces and do not exclude each other (`lockFolder` detects them).
 * - Windows: the first instance of a named pipe, which excludes every process on the machine.
 * - macOS and the BSDs: open(2) with O_EXLOCK. For a file, an empty FILE.lock is left behind.
 *
 * @throws lock_unavailable on other systems, and if the folder cannot be read
 */
export function tryLock(path: string): Lock | undefined {
  return bind(path).lock
}

/**
 * Runs the work while this process holds the lock of the path. Waits for the lock until the deadline. Meant
 * for short critical sections, such as appending a line.
 *
 * @throws lock_timeout, lock_unavailable
 */
export async function withLock<T>(
  path: string,
  options: { readonly deadlineMs: number },
  work: () => Promise<T>,
): Promise<T> {
  const until = performance.now() + options.deadlineMs
  for (;;) {
    const { lock, refused } = bind(path)
    if (lock) {
      try {
        return await work()
      } finally {
        lock.release()
      }
    }
    const code = await refused
    if (code !== undefined && code !== 'EADDRINUSE') throw unavailable(path, code)
    if (performance.now() > until) {
      throw new WeirError('lock_timeout', { path, waited: options.deadlineMs })
    }
    // random, so that waiting processes do not retry in step
    await wait(randomInt(1, 10))
  }
}

interface Bound {
  readonly lock?: Lock
  /** if the lock was not taken: the system's error code, if known */
  readonly refused?: Promise<string | undefined>
}

const SOCKETS = ['linux', 'android', 'win32']
const EXLOCKS = ['darwin', 'freebsd', 'openbsd', 'netbsd']

function bind(path: string): Bound {
  if (SOCKETS.includes(process.platform)) return bindSocket(path)
  if (EXLOCKS.includes(process.platform)) return openExclusively(path)
  throw unavailable(path, `${process.platform} has no kind of lock that is known here`)
}

/** libuv binds within `listen`, so `listening` is set at once; the error's code arrives later as an event. */
function bindSocket(path: string): Bound {
  const { stats, name } = target(path)
  const key = createHash('sha256').update(`${stats.dev}:${stats.ino}:${name}`).digest('hex')
  const address = process.platform === 'win32' ? '\\\\.\\pipe\\weir-lock-' : '\0weir-lock-'
  const server = createServer((socket) => socket.destroy())
  const refused = new Promise<string | undefined>((resolve) =>
    server.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code)),
  )
  // exclusive: the workers of a cluster would share the primary's socket
  server.listen({ path: `${address}${key.slice(0, 40)}`, exclusive: true })
  if (!server.listening) return { refused }
  server.unref()
  return { lock: { release: () => void server.close() } }
}

const O_NONBLOCK = 0x4
const O_EXLOCK = 0x20

function openExclusively(path: string): Bound {
  const isFolder = target(path).name === ''
  const flags = isFolder ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT
  let descriptor: number | undefined
  try {
    descriptor = openSync(isFolder ? path : `${path}.lock`, flags | O_EXLOCK | O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return { refused: Promise.resolve(undefined) }
    throw unavailable(path, String(code))
  }
  return {
    lock: {
      release() {
        if (descriptor !== undefined) closeSync(descriptor)
        descriptor = undefined
      },
    },
  }
}

/**
 * A folder is identified by its inode; a file by its folder's inode and its name, as it may be replaced or
 * not exist yet.
 */
function target(path: string): { stats: Stats; name: string } {
  try {
    const own = statSync(path, { throwIfNoEntry: false })
    if (own?.isDirectory()) return { stats: own, name: '' }
    return { stats: statSync(dirname(path)), name: basename(path) }
  } catch (error) {
    throw unavailable(path, (error as Error).message)
  }
}

const unavailable = (path: string, reason: string): WeirError =>
  new WeirError('lock_unavailable', { path, reason })

const TOUCH_MS = 5_000
/** A process in another network namespace that has not touched its file for this long is considered ended. */
const SILENT_MS = 20_000
const LOCK_FILE = 'lock'

interface Holder {
  readonly pid: number
  readonly host: string
  /** the network namespace, on Linux */
  readonly net?: string
}

/**
 * Holds a folder until it is released or this process ends, or returns the current holder. The lock is the
 * kernel's (`tryLock`). The file `lock` in the folder names the holder for messages and is touched every 5
 * seconds, so that processes in another network namespace or on another machine that share the folder see it
 * and refuse. Exclusion between such processes is only as reliable as their clocks and the shared disk.
 *
 * @param now milliseconds since 1970
 * @throws lock_unavailable
 */
export function lockFolder(folder: string, now: () => number): Lock | { readonly holder: string } {
  const path = join(folder, LOCK_FILE)
  const lock = tryLock(folder)
  const found = readHolder(path)
  const name = found ? `process ${found.pid} of ${found.host}` : 'another process'
  if (!lock) return { holder: name }
  const own = thisProcess()
  const elsewhere =
    found !== undefined &&
    (found.host !== own.host || (found.net !== undefined && found.net !== own.net))
  if (elsewhere && now() - found.touched < SILENT_MS) {
    lock.release()
    return { holder: name }
  }
  let touching: NodeJS.Timeout | undefined
  try {
    writeFileSync(path, JSON.stringify(own))
    touching = setInterval(() => touch(path, new Date(now())), TOUCH_MS)
    touching.unref()
  } catch (error) {
    lock.release()
    throw unavailable(folder, (error as Error).message)
  }
  return {
    release() {
      if (touching === undefined) return
      clearInterval(touching)
      touching = undefined
      rmSync(path, { force: true })
      lock.release()
    },
  }
}

function touch(path: string, time: Date): void {
  try {
    utimesSync(path, time, time)
  } catch {
    // the folder is gone or not writable: later writes report that
  }
}

function thisProcess(): Holder {
  const own = { pid: process.pid, host: hostname() }
  try {
    return { ...own, net: readlinkSync('/proc/self/ns/net') }
  } catch {
    return own
  }
}

function readHolder(path: string): (Holder & { readonly touched: number }) | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Holder
    return { ...holder, touched: statSync(path).mtimeMs }
  } catch {
    // missing, or still being written
    return undefined
  }
}
