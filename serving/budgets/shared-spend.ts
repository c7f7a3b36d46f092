import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { writeWhole } from '../../core/files.ts'
import {
  migrate,
  openPostgres,
  type Pool,
  storeError,
  withPostgres,
} from '../../records/postgres.ts'
import type { StateSettings } from '../state/config.ts'
import type { SpentBudget } from './journal.ts'
import { BUDGET_SCHEMA } from './postgres-schema.ts'
import { parseSpendEntry, type SpendEntry, spendFiles } from './spend.ts'
import { dayOf, dollarsOf } from './units.ts'

/**
 * Spending of several servers in PostgreSQL. Each server writes its entries to its disk, as one alone does, and delivers
 * them from there: what it wrote while the store was gone, or before it was killed, is delivered later, by this process
 * or the next one on the folder. An entry is known by its request and model, so that one delivered twice counts once.
 */
const SPEND_SCHEMA = [
  `
CREATE TABLE weir_spend (
  id text NOT NULL,
  model text NOT NULL,
  day date NOT NULL,
  entry jsonb NOT NULL,
  PRIMARY KEY (day, id, model)
);`,
]

const DELIVER = `
INSERT INTO weir_spend (id, model, day, entry)
SELECT x->>'id', x->>'model', (to_timestamp((x->>'time')::float8 / 1000) AT TIME ZONE 'UTC')::date, x
FROM jsonb_array_elements($1::jsonb) x
ON CONFLICT DO NOTHING`

/** In the folder of spending: how many bytes of each file were delivered. */
export const DELIVERED_FILE = 'spend-delivered.json'
const EVERY_MS = 1000
/** Bytes of a file that are delivered in one statement. */
const PIECE = 512 << 10
/** Longest wait for what is still to be delivered when the server ends. */
const CLOSE_MS = 5000

export interface SharedSpendOptions {
  readonly url: string
  /** where `SpendJournal` writes */
  readonly folder: string
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Delivers a folder's spending until it is closed. */
export class SharedSpend {
  readonly #options: SharedSpendOptions
  readonly #stop = new AbortController()
  #pool: Pool | undefined
  #offsets: Record<string, number> | undefined
  /** files of earlier days, which do not grow and are delivered whole */
  readonly #done = new Set<string>()
  #failing = false
  readonly #running: Promise<void>

  constructor(options: SharedSpendOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Delivers what is left, for at most five seconds. Call it after the journal is closed. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
    const late = new AbortController()
    const limit = wait(CLOSE_MS, undefined, { signal: late.signal, ref: false }).catch(() => {})
    await Promise.race([this.#deliver().catch((error: unknown) => this.#failed(error)), limit])
    late.abort()
    void this.#pool?.end().catch(() => {})
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await wait(EVERY_MS, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      try {
        await this.#deliver()
        if (this.#failing) this.#options.onWarning('spending: its store answers again')
        this.#failing = false
      } catch (error) {
        this.#failed(error)
      }
    }
  }

  #failed(error: unknown): void {
    if (this.#failing) return
    this.#failing = true
    const { message } = storeError(this.#options.url, error)
    this.#options.onWarning(`spending: ${message}; it waits on the disk`, error)
  }

  async #deliver(): Promise<void> {
    const { folder, now, url } = this.#options
    const path = join(folder, DELIVERED_FILE)
    this.#offsets ??= await readOffsets(path)
    const yesterday = dayOf(now() - 86_400_000)
    for (const { name, day } of await spendFiles(folder)) {
      if (this.#done.has(name)) continue
      for (;;) {
        const from: number = this.#offsets[name] ?? 0
        const { entries, bytes, whole } = await piece(join(folder, name), from)
        if (bytes > 0) {
          if (entries.length > 0) {
            this.#pool ??= await connected(url)
            await this.#pool.query(DELIVER, [JSON.stringify(entries, storable)])
          }
          this.#offsets = { ...this.#offsets, [name]: from + bytes }
          await writeWhole(path, JSON.stringify(this.#offsets))
        }
        if (!whole) continue
        if (day < yesterday) this.#done.add(name)
        break
      }
    }
  }
}

async function connected(url: string): Promise<Pool> {
  const pool = await openPostgres(url)
  try {
    await migrate(pool, 'spend', SPEND_SCHEMA)
    return pool
  } catch (error) {
    await pool.end().catch(() => {})
    throw error
  }
}

/** PostgreSQL takes neither the character 0 nor half a surrogate pair, and one such name must not stop the rest. */
const storable = (_: string, value: unknown): unknown =>
  typeof value === 'string' ? value.replace(/[\0\p{Surrogate}]/gu, '') : value

/** What cannot be read counts for nothing: everything is delivered again, which changes nothing. */
async function readOffsets(path: string): Promise<Record<string, number>> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    return Object.fromEntries(
      Object.entries(value).filter((pair): pair is [string, number] => Number.isInteger(pair[1])),
    )
  } catch {
    return {}
  }
}

/**
 * The whole lines of a file from a place on: their entries, and how many bytes they are. `whole` if there are no more now.
 */
async function piece(
  path: string,
  from: number,
): Promise<{ entries: SpendEntry[]; bytes: number; whole: boolean }> {
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(PIECE)
    const { bytesRead } = await file.read(buffer, 0, PIECE, from)
    const last = buffer.subarray(0, bytesRead).lastIndexOf(10)
    // a line that no entry is so long as: nothing of ours
    const bytes = last < 0 && bytesRead === PIECE ? PIECE : last + 1
    const entries = buffer
      .toString('utf8', 0, bytes)
      .split('\n')
      .flatMap((line) => parseSpendEntry(line) ?? [])
      .filter(({ time }) => time >= 0 && time < LATEST)
    return { entries, bytes, whole: bytesRead < PIECE }
  } finally {
    await file.close()
  }
}

/**
 * The delivery of a server's spending to its `state` section's PostgreSQL; undefined without one, or without a folder.
 */
export function openSharedSpend(
  { postgres: url }: Pick<StateSettings, 'postgres'>,
  folder: string | undefined,
  options: Pick<SharedSpendOptions, 'now' | 'onWarning'>,
): SharedSpend | undefined {
  return url === undefined || folder === undefined
    ? undefined
    : new SharedSpend({ ...options, url, folder })
}

/** The last millisecond that a date of JavaScript has; PostgreSQL's go further. */
const LATEST = 8.64e15
const PAGE = 5000

/**
 * Every entry that servers have delivered, day by day. @param days only those from `from` to `to`, `2026-11-21`
 *
 * @throws store_unavailable
 */
export async function* readSharedSpend(
  url: string,
  { from = '0001-01-01', to = '9999-12-31' }: { from?: string; to?: string } = {},
  signal?: AbortSignal,
): AsyncGenerator<SpendEntry> {
  let after = { day: '0001-01-01', id: '', model: '' }
  for (;;) {
    signal?.throwIfAborted()
    const rows = await withPostgres(url, 'spend', SPEND_SCHEMA, async (client) => {
      const found = await client.query<{
        day: string
        id: string
        model: string
        entry: SpendEntry
      }>(
        `SELECT day::text, id, model, entry FROM weir_spend
         WHERE (day, id, model) > ($1::date, $2, $3) AND day BETWEEN $4::date AND $5::date
         ORDER BY day, id, model LIMIT ${PAGE}`,
        [after.day, after.id, after.model, from, to],
      )
      return found.rows
    })
    for (const { entry } of rows) yield entry
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    after = last
  }
}

/** What the budgets of several servers have spent. @throws store_unavailable */
export const sharedBalances = (url: string): Promise<SpentBudget[]> =>
  withPostgres(url, 'budgets', BUDGET_SCHEMA, async (client) => {
    const { rows } = await client.query<Record<'name' | 'period' | 'spent' | 'held', string>>(
      'SELECT name, period, spent, held FROM weir_budgets ORDER BY name',
    )
    return rows.map(({ name, period, spent, held }) => ({
      ...{ name, period, spent_usd: dollarsOf(Number(spent)), open_usd: dollarsOf(Number(held)) },
    }))
  })
