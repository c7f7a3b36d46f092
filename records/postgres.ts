import type { Pool, PoolClient } from 'pg'
import { WeirError } from '../core/errors.ts'
import { outgoingSocket } from '../core/outgoing.ts'

export type { Pool, PoolClient } from 'pg'

/**
 * A pool of PostgreSQL connections. The driver is an optional dependency, loaded only here; it connects to
 * the server at the first query.
 *
 * @throws module_missing
 */
export async function openPostgres(url: string): Promise<Pool> {
  let pg: typeof import('pg')
  try {
    pg = await import('pg')
  } catch (cause) {
    throw new WeirError(
      'module_missing',
      { what: 'a PostgreSQL store', module: 'pg', reason: 'npm i pg' },
      { cause },
    )
  }
  const pool = new pg.default.Pool({
    connectionString: url,
    stream: outgoingSocket,
    max: 8,
    connectionTimeoutMillis: 5000,
    application_name: 'weir',
  })
  // a lost idle connection is replaced at the next query
  pool.on('error', () => {})
  return pool
}

/**
 * Brings the tables of one part of Weir up to date: each step is run once, in order, and a step that was
 * released is never changed. Replicas that start together wait for each other.
 *
 * A store that is one step ahead is used as it is: a step must leave the release before it working, so that old
 * and new replicas can serve side by side.
 *
 * @param part the name of the part, such as `budgets`
 * @param steps SQL, the oldest first
 * @throws store_unavailable
 */
export async function migrate(pool: Pool, part: string, steps: readonly string[]): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock(7305812)')
    await client.query(
      'CREATE TABLE IF NOT EXISTS weir_schema (part text PRIMARY KEY, version integer NOT NULL)',
    )
    const { rows } = await client.query<{ version: number }>(
      'SELECT version FROM weir_schema WHERE part = $1',
      [part],
    )
    const version = rows[0]?.version ?? 0
    if (version > steps.length + 1) {
      throw new Error(
        `its tables for ${part} are of a later release (version ${version}, this one knows ${steps.length})`,
      )
    }
    for (const step of steps.slice(version)) await client.query(step)
    await client.query(
      `INSERT INTO weir_schema (part, version) VALUES ($1, $2)
       ON CONFLICT (part) DO UPDATE SET version = greatest(weir_schema.version, excluded.version)`,
      [part, steps.length],
    )
    await client.query('COMMIT')
    client.release()
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

/**
 * Runs rare work, such as an audit record, on a connection of its own.
 *
 * @param part whose tables are brought up to date first; see `migrate`
 * @throws store_unavailable
 */
export async function withPostgres<T>(
  url: string,
  part: string,
  steps: readonly string[],
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const pool = await openPostgres(url)
  try {
    await migrate(pool, part, steps)
    const client = await pool.connect()
    client.on('error', () => {})
    try {
      return await work(client)
    } finally {
      client.release()
    }
  } catch (cause) {
    throw storeError(url, cause)
  } finally {
    await pool.end()
  }
}

/** Of two numbers that name an advisory lock: which locks are named by text, by the hash of it. */
const NAMED_LOCKS = 7305815
/** PostgreSQL's code for a lock that did not become free in time. */
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Does what only one process of all machines may do at a time, such as a rollout. The lock is the connection's: when
 * this process dies, or the connection, the next one gets it.
 *
 * @param name what is done, such as `rollout of demo`
 * @param deadlineMs longest wait for whoever holds it
 * @param work gets a signal that is aborted if the lock is lost meanwhile
 * @throws lock_timeout, store_unavailable, and what the work throws
 */
export async function withStoreLock<T>(
  url: string,
  name: string,
  { deadlineMs }: { readonly deadlineMs: number },
  work: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const pool = await openPostgres(url)
  const lost = new AbortController()
  let client: PoolClient | undefined
  try {
    try {
      client = await pool.connect()
      client.on('error', (error) => lost.abort(storeError(url, error)))
      await client.query(`SET lock_timeout = ${Math.max(1, Math.ceil(deadlineMs))}`)
      await client.query('SELECT pg_advisory_lock($1, hashtext($2))', [NAMED_LOCKS, name])
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw storeError(url, cause)
      const path = `${name} in ${withoutPassword(url)}`
      throw new WeirError('lock_timeout', { path, waited: deadlineMs }, { cause })
    }
    return await work(lost.signal)
  } finally {
    // with the connection, the lock ends
    client?.release(true)
    await pool.end()
  }
}

/** Whether a place is the address of a database, and not a folder. */
export const isPostgresUrl = (place: string): boolean => /^postgres(ql)?:\/\//.test(place)

/** The error of a store that does not answer, or refuses. */
export const storeError = (url: string, cause: unknown): WeirError =>
  cause instanceof WeirError
    ? cause
    : new WeirError(
        'store_unavailable',
        { store: withoutPassword(url), reason: (cause as Error).message || String(cause) },
        { cause, retryAfter: 1 },
      )

/** The address without its password, for messages. */
export function withoutPassword(url: string): string {
  try {
    const shown = new URL(url)
    if (shown.password) shown.password = '***'
    return shown.href
  } catch {
    return 'postgres://'
  }
}
