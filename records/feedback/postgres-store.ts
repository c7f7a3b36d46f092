import { Compile } from 'typebox/compile'
import { FeedbackRecord } from '../decision-record.ts'
import { migrate, openPostgres, storeError } from '../postgres.ts'
import type { FeedbackStore } from './store.ts'

const SCHEMA = [
  `
CREATE TABLE IF NOT EXISTS weir_feedback (
  decision_id text NOT NULL,
  model text NOT NULL,
  source text NOT NULL,
  said double precision NOT NULL,
  body jsonb NOT NULL,
  PRIMARY KEY (decision_id, model, source)
);
CREATE INDEX IF NOT EXISTS weir_feedback_said ON weir_feedback (said);`,
]

const RECORD = `
INSERT INTO weir_feedback (decision_id, model, source, said, body) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (decision_id, model, source)
DO UPDATE SET said = excluded.said, body = excluded.body WHERE weir_feedback.said <= excluded.said`

const PAGE = 5000
const READ = `
SELECT decision_id, model, source, said, body FROM weir_feedback
WHERE (said, decision_id, model, source) > ($1, $2, $3, $4)
ORDER BY said, decision_id, model, source LIMIT ${PAGE}`

interface Row {
  readonly decision_id: string
  readonly model: string
  readonly source: string
  readonly said: number
  readonly body: unknown
}

const check = Compile(FeedbackRecord)

/** Feedback in PostgreSQL, which several replicas can share. `record` resolves after the commit. */
export async function openPostgresStore(url: string): Promise<FeedbackStore> {
  const pool = await openPostgres(url)
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throw storeError(url, cause)
    }
  }
  try {
    await run(() => migrate(pool, 'feedback', SCHEMA))
  } catch (error) {
    await pool.end()
    throw error
  }
  return {
    async record(feedback) {
      const { decision_id: id, model = '', source = '', time } = feedback
      await run(() => pool.query(RECORD, [id, model, source, time, JSON.stringify(feedback)]))
    },
    async *read(signal) {
      let after: (string | number)[] = [-1, '', '', '']
      for (;;) {
        signal?.throwIfAborted()
        const { rows } = await run(() => pool.query<Row>(READ, after))
        for (const { body } of rows) if (check.Check(body)) yield body
        const last = rows.at(-1)
        if (!last || rows.length < PAGE) return
        after = [last.said, last.decision_id, last.model, last.source]
      }
    },
    close: () => pool.end(),
  }
}

/**
 * Deletes the feedback on these decisions, all that these API keys gave, and all that was given before a time
 * (milliseconds since 1970).
 *
 * @returns the number of ratings deleted
 * @throws store_unavailable
 */
export async function forgetInPostgres(
  url: string,
  ids: readonly string[],
  before: number | undefined,
  keys: readonly string[] = [],
): Promise<number> {
  const pool = await openPostgres(url)
  try {
    const { rowCount } = await pool.query(
      `DELETE FROM weir_feedback WHERE decision_id = ANY($1) OR said < $2 OR body->>'key' = ANY($3)`,
      [ids, before ?? Number.NEGATIVE_INFINITY, keys],
    )
    return rowCount ?? 0
  } catch (cause) {
    throw storeError(url, cause)
  } finally {
    await pool.end()
  }
}
