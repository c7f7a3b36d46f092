import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { Balance, BookState, Held } from './book.ts'

/** Lines of a budget journal. Every segment begins with a state: what went before it is not needed any more. */
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
/** A claim that was let through; written before the question goes out. */
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
const BudgetLine = Type.Union([StateLine, HoldLine, SettleLine, AlertLine])
export type BudgetLine = Type.Static<typeof BudgetLine>

const check = Compile(BudgetLine)

const SEGMENT = /^budget-(\d{8})\.jsonl$/
export const segmentName = (n: number): string => `budget-${String(n).padStart(8, '0')}.jsonl`

export interface KeptBudgets {
  readonly state: BookState
  /** numbers of the segments that are there, ascending */
  readonly segments: readonly number[]
  /** lines that a crash or a full disk cut off */
  readonly torn: number
}

/** What a journal says of its budgets; claims that nobody settled are `open`. Empty where there is no journal. */
export function readBudgets(folder: string): KeptBudgets {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const segments = names
    .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  let torn = 0
  let lines: BudgetLine[] = []
  // newest first, until one begins with a whole state
  for (const n of segments.toReversed()) {
    const text = readFileSync(join(folder, segmentName(n)), 'utf8')
    const parts = text.split('\n')
    // a last line without its newline was cut off, even where it happens to be JSON
    if (parts.pop() !== '') torn++
    const found: BudgetLine[] = []
    for (const part of parts) {
      const line = parsed(part)
      if (line) found.push(line)
      else if (part !== '') torn++
    }
    lines = [...found, ...lines]
    if (found[0]?.object === 'budget_state') break
  }
  return { state: replay(lines), segments, torn }
}

function parsed(text: string): BudgetLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function replay(lines: readonly BudgetLine[]): BookState {
  let balances: Record<string, Balance> = {}
  let open: Record<string, Held> = {}
  const balanceOf = (name: string, period: string): Balance => {
    const balance = balances[name]
    if (balance?.period === period) return balance
    const fresh = { period, spent: 0, told: [] }
    // an answer of a period that has ended changes nothing
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
    }
  }
  return { balances, open }
}
