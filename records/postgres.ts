import type { Pool } from 'pg'
import { WeirError } from '../core/errors.ts'
import { outgoingSocket } from '../core/outgoing.ts'

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
