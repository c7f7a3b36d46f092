import { existsSync } from 'node:fs'
import { rm, stat, utimes } from 'node:fs/promises'
import { basename } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { throwIfAborted } from '../core/abort.ts'
import { isRunning, writeWhole } from '../core/files.ts'
import { readRegularFile } from '../core/regular-file.ts'
import { waitingFiles } from './feedback/spooled-store.ts'
import { segmentFiles } from './log-reader.ts'

/** Whose records are deleted: those that fit any of these, and everything with the id of one of them. */
export interface Forgotten {
  readonly sessions: ReadonlySet<string>
  /** names of API keys */
  readonly keys: ReadonlySet<string>
  /** ids of decisions or gateway requests */
  readonly ids: ReadonlySet<string>
  /** logged metadata, by name */
  readonly metadata: ReadonlyMap<string, string>
  /** also everything before this time, in milliseconds since 1970 */
  readonly before?: number | undefined
}

export interface ForgetReport {
  /** lines deleted, by kind of record; `torn` are cut-off lines that hold one of the given values */
  readonly deleted: Readonly<Record<string, number>>
  readonly files: readonly string[]
  /** segments with such lines that a running process still writes; they were left as they are */
  readonly in_use: readonly string[]
  /** ids of the requests whose records were deleted or found */
  readonly ids: readonly string[]
}

type Line = Readonly<Record<string, unknown>>
const MAX_SEGMENT = 2 ** 31 - 1

/**
 * Deletes records from decision logs and feedback folders, and feedback that waits there for its store. Each segment is
 * replaced atomically; what is kept is kept to the byte.
 *
 * @param options.dryRun only counts
 * @throws file_not_found, file_unreadable, file_unwritable, cancelled
 */
export async function forget(
  folders: readonly string[],
  who: Forgotten,
  { dryRun = false, signal }: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
): Promise<ForgetReport> {
  // whole once they have their names; a server may deliver one meanwhile
  const waiting = new Set((await Promise.all(folders.map(waitingFiles))).flat())
  const paths = [...(await Promise.all(folders.map(segmentFiles))).flat(), ...waiting]
  const read = (path: string): Promise<string[]> =>
    linesOf(path).catch((error: unknown) => {
      if (waiting.has(path) && !existsSync(path)) return []
      throw error
    })
  const ids = new Set(who.ids)
  // a gateway request and its decision have an id each: until no further one is found
  for (let before = -1; before < ids.size; ) {
    before = ids.size
    for (const path of paths) {
      throwIfAborted(signal)
      for (const text of await read(path)) collect(parsed(text), who, ids)
    }
  }
  const deleted: Record<string, number> = {}
  const files: string[] = []
  const inUse: string[] = []
  for (const path of paths) {
    throwIfAborted(signal)
    const lines = await read(path)
    const kinds = lines.map((text) => kindToDelete(text, who, ids))
    const gone = kinds.filter((kind) => kind !== undefined)
    if (gone.length === 0) continue
    if (!waiting.has(path) && isWritten(path)) {
      inUse.push(path)
      continue
    }
    files.push(path)
    for (const kind of gone) deleted[kind] = (deleted[kind] ?? 0) + 1
    if (!dryRun)
      await replace(
        path,
        lines.filter((_, i) => kinds[i] === undefined),
      )
  }
  return { deleted, files, in_use: inUse, ids: [...ids] }
}

async function linesOf(path: string): Promise<string[]> {
  const stored = await readRegularFile(path, { maxBytes: MAX_SEGMENT })
  const bytes = path.endsWith('.gz') ? gunzipSync(stored, { maxOutputLength: MAX_SEGMENT }) : stored
  // latin1 keeps every byte, whatever it is
  return Buffer.from(bytes)
    .toString('latin1')
    .split(/(?<=\n)/)
}

function parsed(latin1: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(latin1, 'latin1').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Line) : undefined
  } catch {
    return undefined
  }
}

/** Adds the ids of a record that fits, or that shares an id with one. */
function collect(line: Line | undefined, who: Forgotten, ids: Set<string>): void {
  if (!line || line.object === 'log') return
  const own = [line.id, line.decision_id].filter((id) => typeof id === 'string')
  // a key that may rate anyone's decisions did not make them
  const others = line.object === 'feedback' && line.role === 'any'
  if ((fits(line, who) && !others) || own.some((id) => ids.has(id)))
    for (const id of own) ids.add(id)
}

function fits(line: Line, who: Forgotten): boolean {
  const { session_id: session, key, metadata } = line
  if (typeof session === 'string' && who.sessions.has(session)) return true
  if (typeof key === 'string' && who.keys.has(key)) return true
  const values = (metadata ?? {}) as Line
  return [...who.metadata].some(
    ([name, value]) => Object.hasOwn(values, name) && String(values[name]) === value,
  )
}

/** The kind of a line that must go; undefined if it stays. */
function kindToDelete(text: string, who: Forgotten, ids: ReadonlySet<string>): string | undefined {
  const line = parsed(text)
  if (!line) {
    const raw = Buffer.from(text, 'latin1').toString('utf8')
    const wanted = [...who.sessions, ...ids, ...who.metadata.values()]
    return wanted.some((value) => value !== '' && raw.includes(value)) ? 'torn' : undefined
  }
  if (line.object === 'log') return undefined
  const old = who.before !== undefined && typeof line.time === 'number' && line.time < who.before
  const own = [line.id, line.decision_id].some((id) => typeof id === 'string' && ids.has(id))
  return old || own || fits(line, who) ? String(line.object) : undefined
}

/** Segments are named TIME-PID-NNNN.jsonl; a running process appends to the file that it has opened. */
function isWritten(path: string): boolean {
  const pid = /^[^-]+-(\d+)/.exec(basename(path))?.[1]
  return pid !== undefined && isRunning(Number(pid))
}

/** A segment of which only its header is left is removed. The time of the last change stays. */
async function replace(path: string, kept: readonly string[]): Promise<void> {
  if (kept.every((text) => text.trim() === '' || parsed(text)?.object === 'log')) {
    await rm(path, { force: true })
    return
  }
  const { atime, mtime } = await stat(path)
  const bytes = Buffer.from(kept.join(''), 'latin1')
  await writeWhole(path, path.endsWith('.gz') ? gzipSync(bytes) : bytes)
  await utimes(path, atime, mtime)
}
