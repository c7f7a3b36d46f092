import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { definedOnly } from '../../core/defined.ts'
import { makeFolder, SegmentFile, WriteHealth } from '../../core/segments.ts'
import type { Balance, LedgerState, OpenReservation } from './ledger.ts'
import { dollarsOf } from './units.ts'

/**
 * Entries of a budget journal, one per line. Every segment begins with a state, so that earlier ones are not
 * needed.
 */
const Nanos = Type.Integer({ minimum: 0 })
const Level = Type.Union([Type.Number(), Type.Literal('refusing')])
const Periods = Type.Record(Type.String(), Type.String())
const StateLine = Type.Object({
  object: Type.Literal('budget_state'),
  format: Type.Literal(1),
  /** milliseconds since 1970 */
  time: Type.Number(),
  balances: Type.Record(
    Type.String(),
    Type.Object({ period: Type.String(), spent: Nanos, told: Type.Array(Level) }),
  ),
  open: Type.Record(Type.String(), Type.Object({ nanos: Nanos, periods: Periods })),
})
/** A claim that was accepted; written before the question is sent. */
const HoldLine = Type.Object({
  object: Type.Literal('hold'),
  id: Type.String(),
  nanos: Nanos,
  periods: Periods,
})
const SettleLine = Type.Object({ object: Type.Literal('settle'), id: Type.String(), nanos: Nanos })
const AlertLine = Type.Object({
  object: Type.Literal('alert'),
  budget: Type.String(),
  period: Type.String(),
  level: Level,
})
/** Ends a segment: the state of the next one was on disk when this was written. */
const ContinuedLine = Type.Object({ object: Type.Literal('continued'), in: Type.String() })
const BudgetLine = Type.Union([StateLine, HoldLine, SettleLine, AlertLine, ContinuedLine])
type JournalEntry = Type.Static<typeof BudgetLine>

const check = Compile(BudgetLine)

const SEGMENT = /^budget-(\d{8})\.jsonl$/
const segmentName = (n: number): string => `budget-${String(n).padStart(8, '0')}.jsonl`

export interface StoredBudgets {
  readonly state: LedgerState
  /** numbers of the existing segments, ascending */
  readonly segments: readonly number[]
  /** lines cut off by a crash or a full disk */
  readonly torn: number
  /** whether a complete state was found */
  readonly whole: boolean
  /** what is missing, if a state that was on disk is not there any more */
  readonly lost?: string
}

/** The budgets in a journal; claims that were not committed are `open`. Empty if there is no journal. */
export function readJournal(folder: string): StoredBudgets {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const segments = names
    .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  let torn = 0
  let lines: JournalEntry[] = []
  let whole = false
  let lost: string | undefined
  // newest first, until one begins with a complete state
  for (const n of segments.toReversed()) {
    const text = readFileSync(join(folder, segmentName(n)), 'utf8')
    const parts = text.split('\n')
    // a last line without its newline was cut off, even if it is valid JSON
    if (parts.pop() !== '') torn++
    const found: JournalEntry[] = []
    for (const part of parts) {
      const line = parsed(part)
      if (line) found.push(line)
      else if (part !== '') torn++
    }
    lines = [...found, ...lines]
    whole = found[0]?.object === 'budget_state'
    if (!whole) continue
    // a newer segment had a state, and none was found: it was cut or deleted
    lost = found.find((line) => line.object === 'continued')?.in
    break
  }
  // the first segment may be one that a crash left empty
  if (!whole && segments.some((n) => n > 1)) lost = segmentName(segments.at(-1)!)
  return { state: replay(lines), segments, torn, whole, ...definedOnly({ lost }) }
}

function parsed(text: string): JournalEntry | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function replay(lines: readonly JournalEntry[]): LedgerState {
  let balances: Record<string, Balance> = {}
  let open: Record<string, OpenReservation> = {}
  const balanceOf = (name: string, period: string): Balance => {
    const balance = balances[name]
    if (balance?.period === period) return balance
    const fresh = { period, spent: 0, told: [] }
    // an answer of an earlier period changes nothing
    if (balance && balance.period.length === period.length && balance.period > period) return fresh
    balances[name] = fresh
    return fresh
  }
  for (const line of lines) {
    switch (line.object) {
      case 'budget_state':
        balances = structuredClone(line.balances)
        open = { ...line.open }
        break
      case 'hold':
        open[line.id] = line
        for (const [name, period] of Object.entries(line.periods)) balanceOf(name, period)
        break
      case 'settle': {
        const held = open[line.id]
        delete open[line.id]
        for (const [name, period] of Object.entries(held?.periods ?? {})) {
          balanceOf(name, period).spent += line.nanos
        }
        break
      }
      case 'alert':
        balanceOf(line.budget, line.period).told.push(line.level)
        break
      case 'continued':
    }
  }
  return { balances, open }
}

export interface BudgetJournalOptions {
  readonly folder: string
  /** numbers of the existing segments */
  readonly segments: readonly number[]
  /** the first line of each segment */
  readonly state: () => LedgerState
  /** milliseconds since 1970 */
  readonly now: () => number
  /** called once when writing begins to fail and once when it works again */
  readonly onHealth: (failure: Error | undefined) => void
  /** called when a segment was deleted or cut by somebody else, and written again from memory */
  readonly onDamage?: (path: string) => void
  readonly segmentBytes?: number
}

const SEGMENT_BYTES = 16 << 20
/** Milliseconds that a commit may be buffered: if a crash loses it, its claim is counted instead. */
const FLUSH_MS = 100
/** Time between syncs; writing to a failing disk is retried at the same interval. */
const SYNC_MS = 1000

/**
 * Budgets on disk. A claim is written before its question is sent; commits follow with the next claim or a
 * moment later. If the disk fails, budgets continue in memory and a complete state is written as soon as
 * possible. Old segments are deleted, except the previous one.
 */
export class BudgetJournal {
  readonly #options: BudgetJournalOptions
  readonly #segments: number[]
  #file: SegmentFile | undefined
  #waiting = ''
  #timer: NodeJS.Timeout | undefined
  readonly #health: WriteHealth
  readonly #syncer: NodeJS.Timeout

  /** @throws the error of the disk: a server does not start if it cannot write */
  constructor(options: BudgetJournalOptions) {
    this.#options = options
    this.#segments = [...options.segments]
    this.#health = new WriteHealth(options.onHealth)
    makeFolder(options.folder)
    this.#begin()
    this.#syncer = setInterval(() => {
      if (this.#health.failing) this.#write('')
      else if (this.#damaged()) this.#rewrite()
      else this.#file?.syncLater()
    }, SYNC_MS)
    this.#syncer.unref()
  }

  /** Handed to the operating system when it returns. */
  now(line: JournalEntry): void {
    this.#waiting += `${JSON.stringify(line)}\n`
    this.flush()
  }

  soon(line: JournalEntry): void {
    this.#waiting += `${JSON.stringify(line)}\n`
    if (this.#timer) return
    this.#timer = setTimeout(() => this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#waiting === '') return
    const lines = this.#waiting
    this.#waiting = ''
    if (!this.#health.failing) this.#write(lines)
  }

  #write(lines: string): void {
    const most = this.#options.segmentBytes ?? SEGMENT_BYTES
    this.#health.attempt(() => {
      // a state covers the lines, and any that were lost before them
      if (this.#health.failing || this.#file!.bytes >= most) this.#begin()
      else this.#file!.write(lines)
    })
  }

  /** Whether the segment on disk is not the one that is written, or shorter. */
  #damaged(): boolean {
    const file = this.#file
    if (!file) return false
    const about = statSync(file.path, { throwIfNoEntry: false })
    return about === undefined || about.size < file.bytes
  }

  #rewrite(): void {
    const { path } = this.#file!
    this.#health.attempt(() => {
      this.#begin()
      this.#options.onDamage?.(path)
    })
  }

  close(): void {
    clearInterval(this.#syncer)
    this.flush()
    if (!this.#health.failing && this.#damaged()) this.#rewrite()
    this.#file?.closeSynced()
  }

  /** Starts the next segment; its state is on disk before an older one is deleted. */
  #begin(): void {
    const { folder, state, now } = this.#options
    const n = (this.#segments.at(-1) ?? 0) + 1
    const path = join(folder, segmentName(n))
    const file = new SegmentFile(path)
    const line: JournalEntry = { object: 'budget_state', format: 1, time: now(), ...state() }
    try {
      file.write(`${JSON.stringify(line)}\n`)
      file.sync()
    } catch (error) {
      file.close()
      rmSync(path, { force: true })
      throw error
    }
    const before = this.#segments.at(-1)
    this.#segments.push(n)
    this.#file?.close()
    this.#file = file
    if (before !== undefined) this.#endSegment(before, segmentName(n))
    // keep the previous segment that begins with a state
    for (const old of this.#segments.splice(0, this.#segments.length - 2)) {
      rmSync(join(folder, segmentName(old)), { force: true })
    }
  }

  /** Says in a segment where it goes on, so that a lost segment is noticed. Only that needs it, so errors do not count. */
  #endSegment(n: number, next: string): void {
    const path = join(this.#options.folder, segmentName(n))
    const line: JournalEntry = { object: 'continued', in: next }
    try {
      // its last line may have been cut off
      if (existsSync(path)) appendFileSync(path, `\n${JSON.stringify(line)}\n`)
    } catch {
      // see above
    }
  }
}

/** What a budget has spent, and what attempts in progress hold of it, in US dollars. */
export interface SpentBudget {
  readonly name: string
  readonly period: string
  readonly spent_usd: number
  readonly open_usd: number
}

/** The budgets in a folder. After a crash, the next start counts what is open as spent. */
export function localBalances(folder: string): SpentBudget[] {
  const { balances, open } = readJournal(folder).state
  return Object.entries(balances).map(([name, { period, spent }]) => {
    const held = Object.values(open)
      .filter(({ periods }) => periods[name] === period)
      .reduce((sum, { nanos }) => sum + nanos, 0)
    return { name, period, spent_usd: dollarsOf(spent), open_usd: dollarsOf(held) }
  })
}
