import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { withLock } from '../../core/lock.ts'
import { appendLine, makeFolder } from '../../core/segments.ts'
import { AUDIT_FILE } from '../../records/log-reader.ts'
import {
  isPostgresUrl,
  type PoolClient,
  withoutPassword,
  withPostgres,
} from '../../records/postgres.ts'

export interface AuditLogOptions {
  /** a folder, or `postgres://...`, where several servers continue one chain */
  readonly place: string
  readonly who: AuditWho
  readonly now: () => Date
}

/** Records what is served and who changed it; written to disk before it is reported elsewhere. */
export interface AuditLog {
  readonly path: string
  /**
   * Appends one line and syncs it. A line that another worker of the same server has just written is not
   * written twice. Only one process at a time appends. @throws lock_timeout
   */
  record(event: AuditEvent): Promise<void>
}

/** Workers load a new version one after the other; a minute covers them. */
const SAME_MS = 60_000
/** An append takes milliseconds: if it takes longer than this, the disk does not respond. */
const LOCK_DEADLINE_MS = 10_000

export async function openAuditLog({ place, who, now }: AuditLogOptions): Promise<AuditLog> {
  if (isPostgresUrl(place)) return sharedAuditLog({ place, who, now })
  makeFolder(place)
  const path = join(place, AUDIT_FILE)
  const append = async (event: AuditEvent): Promise<void> => {
    const text = await readFile(path, 'utf8').catch(absent)
    // a crash may have cut the last line off: it is terminated, kept and counted, never removed
    const torn = text !== '' && !text.endsWith('\n')
    const lines = text.split('\n').slice(0, torn ? undefined : -1)
    const line = nextLine(lines, lines.length, event, who, now())
    if (line !== undefined) await appendLine(path, line)
  }
  return {
    path,
    async record(event) {
      try {
        await withLock(path, { deadlineMs: LOCK_DEADLINE_MS }, () => append(event))
      } catch (cause) {
        if (cause instanceof WeirError || !(cause as NodeJS.ErrnoException).code) throw cause
        throw new WeirError(
          'file_unwritable',
          { path, reason: (cause as Error).message },
          { cause },
        )
      }
    },
  }
}

const AUDIT_SCHEMA = ['CREATE TABLE weir_audit (seq bigint PRIMARY KEY, line text NOT NULL)']
/** Lines that are looked at for an event that was recorded already. */
const RECENT = 50

/** One chain of all servers: each appends while it holds an advisory lock. */
async function sharedAuditLog({ place, who, now }: AuditLogOptions): Promise<AuditLog> {
  const append = async (client: PoolClient, event: AuditEvent): Promise<void> => {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock(7305814)')
    const { rows } = await client.query<{ seq: string; line: string }>(
      `SELECT seq, line FROM weir_audit ORDER BY seq DESC LIMIT ${RECENT}`,
    )
    const count = Number(rows[0]?.seq ?? 0)
    const lines = rows.map(({ line }) => line).reverse()
    const line = nextLine(lines, count, event, who, now())
    if (line !== undefined) {
      await client.query('INSERT INTO weir_audit VALUES ($1, $2)', [count + 1, line])
    }
    await client.query('COMMIT')
  }
  return {
    path: withoutPassword(place),
    record: (event) =>
      withPostgres(place, 'audit', AUDIT_SCHEMA, (client) => append(client, event)),
  }
}

/** The lines of an audit log that servers share, in order. @throws store_unavailable */
export const sharedAuditLines = (url: string): Promise<string[]> =>
  withPostgres(url, 'audit', AUDIT_SCHEMA, async (client) => {
    const { rows } = await client.query<{ line: string }>(
      'SELECT line FROM weir_audit ORDER BY seq',
    )
    return rows.map(({ line }) => line)
  })

/**
 * The line that records an event.
 *
 * @param lines the last ones before it
 * @param count number of all lines before it
 * @returns undefined if another worker of this server has recorded the event
 */
function nextLine(
  lines: readonly string[],
  count: number,
  event: AuditEvent,
  who: AuditWho,
  time: Date,
): string | undefined {
  if (saidAlready(lines, event, who, time)) return undefined
  const last = lines.at(-1)
  const record: AuditRecord = {
    object: 'audit',
    seq: count + 1,
    time: time.toISOString(),
    who,
    ...event,
    prev: last === undefined ? GENESIS : lineHash(last),
  }
  return JSON.stringify(record)
}

export const lineHash = (line: string): string => createHash('sha256').update(line).digest('hex')

/** Whether a worker of this server has recorded the same event, with no other event of that name since. */
function saidAlready(
  lines: readonly string[],
  event: AuditEvent,
  who: AuditWho,
  time: Date,
): boolean {
  for (const line of lines.slice(-RECENT).reverse()) {
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

/** `prev` of a log's first line. */
export const GENESIS = '0'.repeat(64)

/** The actor, as far as a process can know: only the user it runs as. */
export const AuditWho = Type.Object({
  user: Type.String(),
  host: Type.String(),
  /** process id of the server, the same for all of its workers */
  process: Type.Integer(),
})
export type AuditWho = Type.Static<typeof AuditWho>

/** One change of what is served, or one that was refused. */
export const AuditEvent = Type.Object({
  event: Type.Union([
    Type.Literal('policy_loaded'),
    Type.Literal('policy_refused'),
    Type.Literal('bundle_loaded'),
    Type.Literal('bundle_refused'),
    Type.Literal('bundle_rolled_back'),
    Type.Literal('shadow_answers_on'),
  ]),
  /** the policy's or router's name; for a refused reload `routers`, for shadow answers their judge */
  name: Type.String(),
  path: Type.Optional(Type.String()),
  /** for a policy SHA-256 of its text, for a bundle its version, for shadow answers SHA-256 of their settings */
  hash: Type.Optional(Type.String()),
  /** what was served before */
  previous_hash: Type.Optional(Type.String()),
  /** the trigger: `start`, `SIGHUP`, `admin`, a change on disk */
  why: Type.String(),
  /** what of the traffic goes to further models, in words */
  detail: Type.Optional(Type.String()),
  /** removed lines (`-`) and added lines (`+`), with their numbers */
  diff: Type.Optional(Type.String()),
  /** who proposed and approved it, if the server requires that */
  proposed_by: Type.Optional(Type.String()),
  approved_by: Type.Optional(Type.String()),
  /** why it was refused */
  error: Type.Optional(Type.String()),
})
export type AuditEvent = Type.Static<typeof AuditEvent>

/** A line of `audit.jsonl`. */
export const AuditRecord = Type.Interface([AuditEvent], {
  object: Type.Literal('audit'),
  /** from 1 */
  seq: Type.Integer({ minimum: 1 }),
  /** ISO 8601, UTC */
  time: Type.String(),
  who: AuditWho,
  /** SHA-256 of the line before, in hex, without its newline: changed or removed lines are detected */
  prev: Type.String({ pattern: '^[0-9a-f]{64}$' }),
})
export type AuditRecord = Type.Static<typeof AuditRecord>
