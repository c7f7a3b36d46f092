import { createHash } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AUDIT_FILE } from '../../models/decision-log/read.ts'
import { type AuditEvent, type AuditRecord, type AuditWho, GENESIS } from './audit-record.ts'
import { withFileLock } from './file-lock.ts'

export interface AuditLogOptions {
  readonly folder: string
  readonly who: AuditWho
  readonly now: () => Date
}

/** What is served and who changed it, on disk before anything else is said of it. */
export interface AuditLog {
  readonly path: string
  /**
   * Appends one line and syncs it. What another worker of the same server has just written is not written
   * twice.
   */
  record(event: AuditEvent): Promise<void>
}

/** Workers load what is new one after the other; a minute covers them. */
const SAME_MS = 60_000

export async function openAuditLog({ folder, who, now }: AuditLogOptions): Promise<AuditLog> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, AUDIT_FILE)
  const append = async (event: AuditEvent): Promise<void> => {
    const text = await readFile(path, 'utf8').catch(absent)
    // a crash may have cut the last line off: it is ended, kept and counted, never taken out
    const torn = text !== '' && !text.endsWith('\n')
    const lines = text.split('\n').slice(0, torn ? undefined : -1)
    const time = now()
    if (saidAlready(lines, event, who, time)) return
    const last = lines.at(-1)
    const record: AuditRecord = {
      object: 'audit',
      seq: lines.length + 1,
      time: time.toISOString(),
      who,
      ...event,
      prev: last === undefined ? GENESIS : lineHash(last),
    }
    const file = await open(path, 'a')
    try {
      await file.write(`${torn ? '\n' : ''}${JSON.stringify(record)}\n`)
      await file.datasync()
    } finally {
      await file.close()
    }
  }
  return {
    path,
    record: (event) =>
      withFileLock(`${path}.lock`, { pause: () => wait(5), now: () => now().getTime() }, () =>
        append(event),
      ),
  }
}

export const lineHash = (line: string): string => createHash('sha256').update(line).digest('hex')

/** Whether a worker of this server has told the same of the same, with nothing else of that name since. */
function saidAlready(
  lines: readonly string[],
  event: AuditEvent,
  who: AuditWho,
  time: Date,
): boolean {
  for (const line of lines.slice(-50).reverse()) {
    const record = parsed(line)
    if (record?.name !== event.name) continue
    const { process, host } = record.who
    return (
      record.event === event.event &&
      record.hash === event.hash &&
      record.why === event.why &&
      record.error === event.error &&
      process === who.process &&
      host === who.host &&
      time.getTime() - Date.parse(record.time) < SAME_MS
    )
  }
  return false
}

function parsed(line: string): AuditRecord | undefined {
  try {
    return JSON.parse(line) as AuditRecord
  } catch {
    return undefined
  }
}

function absent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return ''
  throw error
}
