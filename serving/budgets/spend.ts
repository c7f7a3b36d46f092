import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { makeFolder, SegmentFile, WriteHealth } from '../../core/segments.ts'
import { logLines, segmentFiles } from '../../records/log-reader.ts'
import type { Usage } from '../upstreams/upstream.ts'
import type { BudgetState } from './ledger.ts'
import { dayOf, toBillionths } from './units.ts'

const Count = Type.Integer({ minimum: 0 })

/** One model's part in one request: a request that asked two models has two entries with one id. */
export const SpendEntry = Type.Object({
  object: Type.Literal('spend'),
  id: Type.String(),
  /** when the request ended, milliseconds since 1970 */
  time: Type.Number(),
  key: Type.String(),
  route: Type.String(),
  model: Type.String(),
  /** 1 in the entry of the model that answered (if none did, of the first asked), 0 in the others */
  requests: Type.Union([Type.Literal(0), Type.Literal(1)]),
  /** number of questions to upstreams */
  attempts: Count,
  input_tokens: Type.Number({ minimum: 0 }),
  output_tokens: Type.Number({ minimum: 0 }),
  /** of the input */
  cached_tokens: Type.Optional(Type.Number({ minimum: 0 })),
  cost_usd: Type.Number({ minimum: 0 }),
  /** relative to the most expensive of the models that could have answered */
  saved_usd: Type.Optional(Type.Number()),
  /** attempts that may have been billed without a known cost: price or tokens are unknown */
  uncounted: Type.Optional(Count),
  /** the server kept budgets, in `budget-*.jsonl` of the same folder */
  budgeted: Type.Optional(Type.Literal(true)),
})
export type SpendEntry = Type.Static<typeof SpendEntry>

const check = Compile(SpendEntry)

/** Undefined if a line is none, or was cut off. */
export function parseSpendEntry(text: string): SpendEntry | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** One question to an upstream that has ended. */
export interface SpentAttempt {
  readonly model: string
  readonly usage: Usage | undefined
  /** US dollars; undefined if price or usage is unknown */
  readonly costUsd: number | undefined
  /** it may be billed, whether or not its tokens were counted */
  readonly billable: boolean
}

/** A request that has ended. */
export interface SpentRequest {
  readonly id: string
  readonly key: string
  readonly route: string
  /** the model that answered; undefined if none did */
  readonly model: string | undefined
  readonly attempts: readonly SpentAttempt[]
  readonly savedUsd: number | undefined
}

/** What a request spent, one row per model; none if no model was asked. @param time of its end */
export function spendEntries(request: SpentRequest, time: number): SpendEntry[] {
  const { attempts, savedUsd } = request
  const models = [...new Set(attempts.map(({ model }) => model))]
  const main = request.model ?? models[0]
  return models.map((model) => {
    const own = attempts.filter((attempt) => attempt.model === model)
    const cached = sum(own, ({ usage }) => usage?.cachedInputTokens)
    const uncounted = own.filter(
      ({ billable, costUsd, usage }) => billable && (costUsd === undefined || usage?.partial),
    ).length
    return {
      object: 'spend',
      id: request.id,
      time,
      key: request.key,
      route: request.route,
      model,
      requests: model === main ? 1 : 0,
      attempts: own.length,
      input_tokens: sum(own, ({ usage }) => usage?.inputTokens),
      output_tokens: sum(own, ({ usage }) => usage?.outputTokens),
      ...(cached > 0 ? { cached_tokens: cached } : {}),
      cost_usd: toBillionths(sum(own, ({ costUsd }) => costUsd)),
      ...(model === main && savedUsd !== undefined ? { saved_usd: toBillionths(savedUsd) } : {}),
      ...(uncounted > 0 ? { uncounted } : {}),
    }
  })
}

const sum = (
  attempts: readonly SpentAttempt[],
  of: (attempt: SpentAttempt) => number | undefined,
): number => attempts.reduce((total, attempt) => total + (of(attempt) ?? 0), 0)

export const SPEND_GROUPS = ['key', 'route', 'model', 'day'] as const
export type SpendGroup = (typeof SPEND_GROUPS)[number]

/** Sums over several requests; dollars to the billionth. */
export interface SpendSums {
  requests: number
  attempts: number
  input_tokens: number
  output_tokens: number
  cached_tokens: number
  cost_usd: number
  saved_usd: number
  uncounted: number
}

/** One cell: the spending of one day (UTC) under these names. */
interface SpendCell extends SpendSums {
  readonly day: string
  readonly key: string
  readonly route: string
  readonly model: string
}

export interface SpendRow extends SpendSums {
  /** a key, route, model or day */
  readonly name: string
}

/** Most cells kept; the rest is summed under the key and route `other`. */
const CELLS = 10_000

/** Spending by day, key, route and model, in bounded memory. */
export class SpendTable {
  readonly #cells = new Map<string, SpendCell>()
  readonly #most: number

  constructor(most = CELLS) {
    this.#most = most
  }

  get cells(): SpendCell[] {
    return [...this.#cells.values()]
  }

  add(line: SpendEntry): void {
    const { time, key, route, model, cached_tokens = 0, saved_usd = 0, uncounted = 0 } = line
    const { requests, attempts, input_tokens, output_tokens, cost_usd } = line
    // field by field: this runs for every request
    addSums(this.#cell({ day: dayOf(time), key, route, model }), {
      requests,
      attempts,
      input_tokens,
      output_tokens,
      cached_tokens,
      cost_usd,
      saved_usd,
      uncounted,
    })
  }

  /** Adds another process's cells. */
  merge(cells: readonly SpendCell[]): void {
    for (const cell of cells) addSums(this.#cell(cell), cell)
  }

  /** Sums by one of the names, the highest cost first; days in order. */
  by(group: SpendGroup): SpendRow[] {
    const rows = new Map<string, SpendRow>()
    for (const cell of this.#cells.values()) {
      const name = cell[group]
      let row = rows.get(name)
      if (!row) {
        row = { name, ...noSums() }
        rows.set(name, row)
      }
      addSums(row, cell)
    }
    return [...rows.values()].sort((a, b) =>
      group === 'day'
        ? a.name < b.name
          ? -1
          : 1
        : b.cost_usd - a.cost_usd || (a.name < b.name ? -1 : 1),
    )
  }

  #cell(named: Pick<SpendCell, 'day' | 'key' | 'route' | 'model'>): SpendCell {
    const { day, key, route, model } = named
    const id = `${day}\u0000${key}\u0000${route}\u0000${model}`
    const known = this.#cells.get(id)
    if (known) return known
    if (this.#cells.size >= this.#most && !(key === OTHER && route === OTHER)) {
      return this.#cell({ day, key: OTHER, route: OTHER, model })
    }
    const cell = { day, key, route, model, ...noSums() }
    this.#cells.set(id, cell)
    return cell
  }
}

const OTHER = 'other'

export const noSums = (): SpendSums => ({
  requests: 0,
  attempts: 0,
  input_tokens: 0,
  output_tokens: 0,
  cached_tokens: 0,
  cost_usd: 0,
  saved_usd: 0,
  uncounted: 0,
})

const FIELDS = Object.keys(noSums()) as (keyof SpendSums)[]

export function addSums(to: SpendSums, from: SpendSums): void {
  for (const field of FIELDS) to[field] += from[field]
  to.cost_usd = toBillionths(to.cost_usd)
  to.saved_usd = toBillionths(to.saved_usd)
}

/** The spending of a process, or of all processes of a server, since it started. */
export interface SpendReport {
  /** ISO 8601 */
  readonly since: string
  readonly cells: readonly SpendCell[]
  readonly budgets: readonly BudgetState[]
}

/** Combines workers' reports; budgets come from the primary. */
export function joinedReport(
  reports: readonly SpendReport[],
  budgets: readonly BudgetState[],
): SpendReport {
  const table = new SpendTable()
  for (const { cells } of reports) table.merge(cells)
  const since = reports.map((report) => report.since).sort()[0] ?? new Date(0).toISOString()
  return { since, cells: table.cells, budgets }
}

export interface SpendJournalOptions {
  readonly folder: string
  /** distinguishes the files of several processes */
  readonly owner: string
  /** milliseconds since 1970 */
  readonly now: () => number
  /** called once when writing begins to fail and once when it works again */
  readonly onHealth: (failure: Error | undefined) => void
}

const FLUSH_MS = 100
const SYNC_MS = 1000
/** Approximate bytes that may be buffered while the disk fails. */
const MOST_WAITING = 8 << 20

/**
 * Spend entries on disk, one file per day and process. A crash loses the last 0.1 s of them, a power failure
 * the last second.
 */
export class SpendJournal {
  readonly #options: SpendJournalOptions
  #file: { readonly day: string; readonly file: SegmentFile } | undefined
  #waiting = ''
  #timer: NodeJS.Timeout | undefined
  readonly #health: WriteHealth
  /** lines dropped because the disk failed and memory was full */
  dropped = 0
  readonly #syncer: NodeJS.Timeout

  /** @throws file_unwritable */
  constructor(options: SpendJournalOptions) {
    this.#options = options
    this.#health = new WriteHealth(options.onHealth)
    makeFolder(options.folder)
    this.#syncer = setInterval(() => {
      if (this.#health.failing) this.flush()
      this.#file?.file.syncLater()
    }, SYNC_MS)
    this.#syncer.unref()
  }

  append(line: SpendEntry): void {
    if (this.#waiting.length + (this.#file?.file.waiting ?? 0) > MOST_WAITING) {
      this.dropped++
      return
    }
    this.#waiting += `${JSON.stringify(line)}\n`
    if (this.#timer || this.#health.failing) return
    this.#timer = setTimeout(() => this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting === '' && !this.#health.failing) return
    this.#health.attempt(() => {
      const file = this.#today()
      const lines = this.#waiting
      // from here on the file is responsible for writing them
      this.#waiting = ''
      file.write(lines)
    })
  }

  close(): void {
    clearInterval(this.#syncer)
    this.flush()
    this.#file?.file.closeSynced()
  }

  #today(): SegmentFile {
    const day = dayOf(this.#options.now())
    const open = this.#file
    // while a day's last lines are not on disk, further ones go to the same file
    if (open && (open.day === day || open.file.waiting > 0)) return open.file
    const { folder, owner } = this.#options
    const begin = `spend-${day}-${owner}-`
    const taken = readdirSync(folder).filter((name) => name.startsWith(begin)).length
    const name = `${begin}${String(taken).padStart(4, '0')}.jsonl`
    this.#file?.file.close()
    this.#file = { day, file: new SegmentFile(join(folder, name)) }
    return this.#file.file
  }
}

/** What was skipped; filled while reading. */
export interface SpendReadStats {
  /** lines cut off by a crash or a full disk, and other invalid ones */
  torn: number
}

/** `spend` in a log's folder, or the folder itself. @throws file_not_found */
export async function spendFolder(path: string): Promise<string> {
  for (const folder of [join(path, 'spend'), path]) {
    const names = await readdir(folder).catch(() => [])
    if (names.some((name) => FILE.test(name) || DAY_FOLDER.test(name))) return folder
  }
  if (await stat(path).catch(() => undefined)) {
    throw new WeirError('file_not_found', { path: join(path, 'spend-*.jsonl') })
  }
  throw new WeirError('file_not_found', { path })
}

const FILE = /^spend-(\d{4}-\d\d-\d\d)-.*\.jsonl$/

/** The files that servers write to a folder, oldest first. */
export async function spendFiles(folder: string): Promise<{ name: string; day: string }[]> {
  return (await readdir(folder)).sort().flatMap((name) => {
    const day = FILE.exec(name)?.[1]
    return day === undefined ? [] : [{ name, day }]
  })
}

/** What a log shipper makes of them: a folder for each day. */
const DAY_FOLDER = /^date=(\d{4}-\d\d-\d\d)$/

/** The files of a folder with their days, as the server writes them or as a log shipper does; oldest first. */
async function allSpendFiles(folder: string): Promise<{ path: string; day: string }[]> {
  const files: { path: string; day: string }[] = []
  for (const name of (await readdir(folder)).sort()) {
    const day = FILE.exec(name)?.[1]
    const shipped = DAY_FOLDER.exec(name)?.[1]
    if (day !== undefined) files.push({ path: join(folder, name), day })
    if (shipped === undefined) continue
    for (const path of await segmentFiles(join(folder, name))) files.push({ path, day: shipped })
  }
  return files
}

/** Bytes at the end of a file that are looked at. */
const TAIL = 64 << 10

/** A file of a folder whose last entries were made while budgets were kept; the newest one, if there are any. */
export function budgetedSpend(folder: string): string | undefined {
  return readdirSync(folder)
    .filter((name) => FILE.test(name))
    .sort()
    .toReversed()
    .find((name) =>
      tailOf(join(folder, name))
        .split('\n')
        .some((line) => parseSpendEntry(line)?.budgeted === true),
    )
}

function tailOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const bytes = Buffer.alloc(Math.min(size, TAIL))
    const read = readSync(file, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, read)
  } finally {
    closeSync(file)
  }
}

/** Every whole line of a folder, day by day. @param days only those from `from` to `to`, `2026-11-21` */
export async function* readSpend(
  folder: string,
  stats: SpendReadStats,
  { from = '', to = '9' }: { from?: string; to?: string } = {},
  signal?: AbortSignal,
): AsyncGenerator<SpendEntry> {
  const files = await allSpendFiles(folder)
  for (const { path } of files.filter(({ day }) => day >= from && day <= to)) {
    for await (const { text, whole } of logLines(path, signal)) {
      // cut off, even if it is valid JSON
      const line = whole ? parseSpendEntry(text) : undefined
      if (line) yield line
      else if (text !== '') stats.torn++
    }
  }
}
