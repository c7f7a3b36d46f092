import { createHash } from 'node:crypto'
import { WeirError } from '../../core/errors.ts'
import { isPostgresUrl, type PoolClient, withPostgres } from '../../records/postgres.ts'
import type { Collection } from './collection.ts'
import { type HumanLabel, labelKey, parseLabel, readLabels } from './grades.ts'
import { addLabels } from './label.ts'

/** The labels of people in PostgreSQL, for copies of one collection on several machines. */
const LABEL_SCHEMA = [
  `
CREATE TABLE weir_labels (
  -- which collection: a hash of its settings and its sample
  collection text NOT NULL,
  -- row, pair and person
  key text NOT NULL,
  time double precision NOT NULL,
  label text NOT NULL,
  PRIMARY KEY (collection, key)
);`,
]

const SEND = `
INSERT INTO weir_labels (collection, key, time, label)
SELECT $1, * FROM unnest($2::text[], $3::float8[], $4::text[])
ON CONFLICT (collection, key)
DO UPDATE SET time = excluded.time, label = excluded.label WHERE weir_labels.time < excluded.time`

/** The same for every copy of a collection's folder. */
export function collectionId({ settings, sample }: Collection): string {
  const hash = createHash('sha256').update(JSON.stringify(settings))
  for (const { id } of sample) hash.update(`\n${id}`)
  return hash.digest('hex').slice(0, 32)
}

/**
 * Sends the folder's labels to the store, and adds to the folder what others have labelled. Of one person's labels of one
 * pair the latest counts, on both sides. Run again after any failure, it changes nothing twice.
 *
 * @throws option_invalid, store_unavailable, row_invalid
 */
export async function syncLabels(
  collection: Collection,
  url: string,
): Promise<{ readonly sent: number; readonly received: number }> {
  if (!isPostgresUrl(url)) {
    const expected = 'the address of a database, postgres://...'
    throw new WeirError('option_invalid', { option: '--store', expected, got: url })
  }
  const id = collectionId(collection)
  const own = await readLabels(collection.folder)
  const { sent, labels } = await withPostgres(url, 'labels', LABEL_SCHEMA, async (client) => {
    const sent = await send(client, id, own)
    const { rows } = await client.query<{ label: string }>(
      'SELECT label FROM weir_labels WHERE collection = $1 ORDER BY time, key',
      [id],
    )
    return { sent, labels: rows.flatMap(({ label }) => parseLabel(label) ?? []) }
  })
  const known = new Map(own.map((label) => [labelKey(label), label.time]))
  const news = labels.filter((label) => (known.get(labelKey(label)) ?? -Infinity) < label.time)
  if (news.length > 0) await addLabels(collection.folder, news)
  return { sent, received: news.length }
}

/** @returns how many were new to the store */
async function send(
  client: PoolClient,
  collection: string,
  labels: readonly HumanLabel[],
): Promise<number> {
  const { rowCount } = await client.query(SEND, [
    collection,
    labels.map(labelKey),
    labels.map(({ time }) => time),
    labels.map((label) => JSON.stringify(label)),
  ])
  return rowCount ?? 0
}

/** What to do with labels where a store is given, and what to say if it fails while somebody labels. */
export interface LabelSharing {
  /** Before rows are shown or read: fetches what others have labelled. */
  begin(): Promise<void>
  /** After these were added to the folder. */
  added(labels: readonly HumanLabel[]): Promise<void>
}

/**
 * Shares a folder's labels by a store; does nothing without one. What was labelled is on disk before it is sent, so a
 * store that fails later on loses nothing: it is sent with the next label, or by the next run.
 */
export function labelSharing(
  collection: Collection,
  url: string | undefined,
  onNote: (text: string) => void,
): LabelSharing {
  if (url === undefined) return { begin: async () => {}, added: async () => {} }
  let failing = false
  return {
    async begin() {
      const { sent, received } = await syncLabels(collection, url)
      if (sent + received > 0) onNote(`labels: ${sent} sent to the store, ${received} from it`)
    },
    async added(labels) {
      try {
        const id = collectionId(collection)
        // what could not be sent before is sent first
        if (failing) await syncLabels(collection, url)
        else await withPostgres(url, 'labels', LABEL_SCHEMA, (client) => send(client, id, labels))
        failing = false
      } catch (error) {
        if (!failing) onNote(`${(error as Error).message}; labels are on disk and are sent later`)
        failing = true
      }
    },
  }
}
