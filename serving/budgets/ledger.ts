import type { BudgetSettings } from './settings.ts'
import { dollarsOf, limitNanos, type Nanodollars, periodEnd, periodOf } from './units.ts'

/** An upper bound of a question's cost, and the budgets it counts for. */
export interface Claim {
  readonly budgets: readonly string[]
  readonly nanos: Nanodollars
}

/** Why a claim does not fit. */
export interface BudgetRefusal {
  readonly budget: string
  readonly usd: number
  readonly per: BudgetSettings['per']
  readonly action: 'stop' | 'downgrade'
  /** `spent`: until the period ends; `held`: requests in progress may leave room; `too_large`: never fits */
  readonly reason: 'spent' | 'held' | 'too_large'
  /** seconds after which it may fit */
  readonly retryAfter?: number
}

/**
 * Sent once per period and level. `level` is a share of the budget, or `refusing` for the first request that
 * did not fit.
 */
export interface BudgetAlert {
  readonly budget: BudgetSettings
  readonly period: string
  readonly level: number | 'refusing'
  readonly spent: Nanodollars
}

/** A budget's spending in its period, kept over restarts. */
export interface Balance {
  period: string
  spent: Nanodollars
  /** levels whose alert was sent */
  told: (number | 'refusing')[]
}

/** A claim that is reserved and not committed yet; `periods` are the periods of its budgets, by name. */
export interface OpenReservation {
  readonly nanos: Nanodollars
  readonly periods: Readonly<Record<string, string>>
}

interface Account {
  settings: BudgetSettings
  readonly balance: Balance
  held: Nanodollars
  /** requests refused, since the start */
  refused: number
}

export interface BudgetState {
  readonly name: string
  readonly usd: number
  readonly per: BudgetSettings['per']
  readonly period: string
  readonly spent_usd: number
  /** upper bounds of requests in progress */
  readonly held_usd: number
  readonly refused: number
}

export interface LedgerState {
  readonly balances: Readonly<Record<string, Balance>>
  readonly open: Readonly<Record<string, OpenReservation>>
}

/**
 * All budgets of a server. A claim is accepted only if spent + held + claim stays within every budget that
 * stops or downgrades; it is held until it is committed at its actual cost. Spending can then never exceed a
 * budget, with any number of concurrent requests, unless something cost more than its claim.
 */
export class BudgetLedger {
  readonly #accounts = new Map<string, Account>()
  readonly #open = new Map<string, OpenReservation>()
  /** of budgets that are not declared, so that they continue if declared again */
  readonly #kept = new Map<string, Balance>()
  readonly #now: () => number
  readonly #onAlert: (alert: BudgetAlert) => void

  /** @param now milliseconds since 1970 */
  constructor(
    now: () => number,
    onAlert: (alert: BudgetAlert) => void,
    state: LedgerState = { balances: {}, open: {} },
  ) {
    this.#now = now
    this.#onAlert = onAlert
    for (const [name, balance] of Object.entries(state.balances)) this.#kept.set(name, balance)
    // these will never be committed: they may have been billed
    for (const { nanos, periods } of Object.values(state.open)) {
      for (const [name, period] of Object.entries(periods)) {
        const balance = this.#kept.get(name)
        if (!balance || begunSince(balance.period, period)) {
          this.#kept.set(name, { period, spent: nanos, told: [] })
        } else if (balance.period === period) balance.spent += nanos
      }
    }
  }

  /** Replaces the budgets; those whose names are known keep what they have spent. */
  declare(settings: readonly BudgetSettings[]): void {
    const names = new Set(settings.map(({ name }) => name))
    for (const [name, { balance }] of this.#accounts) {
      if (names.has(name)) continue
      this.#kept.set(name, balance)
      this.#accounts.delete(name)
    }
    for (const one of settings) {
      const known = this.#accounts.get(one.name)
      if (known) {
        known.settings = one
        continue
      }
      const period = periodOf(one.per, this.#now())
      const balance = this.#kept.get(one.name) ?? { period, spent: 0, told: [] }
      this.#kept.delete(one.name)
      const held = [...this.#open.values()]
        .filter(({ periods }) => periods[one.name] === balance.period)
        .reduce((sum, { nanos }) => sum + nanos, 0)
      this.#accounts.set(one.name, { settings: one, balance, held, refused: 0 })
    }
  }

  /** Undefined if the claim is now held. A claim for unknown budgets counts for the others. */
  reserve(id: string, claim: Claim): BudgetRefusal | undefined {
    const refusal = this.query(claim)
    if (refusal) {
      this.refused(refusal.budget)
      return refusal
    }
    const periods: Record<string, string> = {}
    for (const name of claim.budgets) {
      const account = this.#account(name)
      if (!account) continue
      account.held += claim.nanos
      periods[name] = account.balance.period
    }
    this.#open.set(id, { nanos: claim.nanos, periods })
    return undefined
  }

  /** Counts a request that this budget refused, and alerts once per period. */
  refused(budget: string): void {
    const account = this.#account(budget)
    if (!account) return
    account.refused++
    this.#tell(account, 'refusing')
  }

  /** What `reserve` would return now. No side effects. A budget that stops comes before one that downgrades. */
  query({ budgets, nanos }: Claim): BudgetRefusal | undefined {
    const now = this.#now()
    let found: BudgetRefusal | undefined
    for (const name of budgets) {
      const account = this.#accounts.get(name)
      if (!account) continue
      const { settings } = account
      const { usd, per } = settings
      const action = settings.then
      const limit = limitNanos(usd)
      const ended = begunSince(account.balance.period, periodOf(per, now))
      const [spent, held] = ended ? [0, 0] : [account.balance.spent, account.held]
      if (action === 'alert' || spent + held + nanos <= limit) continue
      if (found && action !== 'stop') continue
      const reason = nanos > limit ? 'too_large' : spent + nanos > limit ? 'spent' : 'held'
      const end = periodEnd(per, now)
      const wait = reason === 'held' ? 1 : end && Math.ceil((end - now) / 1000)
      const retryAfter = reason === 'too_large' || wait === undefined ? {} : { retryAfter: wait }
      found = { budget: name, usd, per, action, reason, ...retryAfter }
      if (action === 'stop') return found
    }
    return found
  }

  /** Commits a claim at its actual cost, once. Undefined if it is not open. */
  commit(id: string, nanos: Nanodollars): OpenReservation | undefined {
    const held = this.#open.get(id)
    if (!held) return undefined
    this.#open.delete(id)
    for (const [name, period] of Object.entries(held.periods)) {
      const account = this.#account(name)
      const balance = account?.balance ?? this.#kept.get(name)
      // a period that has ended is closed: its answers no longer count for any budget
      if (balance?.period !== period) continue
      balance.spent += nanos
      if (!account) continue
      account.held -= held.nanos
      for (const level of account.settings.alert_at ?? []) {
        if (balance.spent >= level * limitNanos(account.settings.usd)) this.#tell(account, level)
      }
    }
    return held
  }

  held(id: string): OpenReservation | undefined {
    return this.#open.get(id)
  }

  states(): BudgetState[] {
    return [...this.#accounts.keys()].map((name) => {
      const { settings, balance, held, refused } = this.#account(name)!
      const { usd, per } = settings
      const spent = { spent_usd: dollarsOf(balance.spent), held_usd: dollarsOf(held) }
      return { name, usd, per, period: balance.period, ...spent, refused }
    })
  }

  /** The complete state for a restart. */
  state(): LedgerState {
    const balances = [...this.#accounts].map(([name, { balance }]) => [name, balance] as const)
    return {
      balances: Object.fromEntries([...this.#kept, ...balances]),
      open: Object.fromEntries(this.#open),
    }
  }

  /** The account in its current period, never an earlier one: setting the clock back frees no budget. */
  #account(name: string): Account | undefined {
    const account = this.#accounts.get(name)
    if (!account) return undefined
    const { balance, settings } = account
    const period = periodOf(settings.per, this.#now())
    if (begunSince(balance.period, period)) {
      Object.assign(balance, { period, spent: 0, told: [] })
      account.held = 0
    }
    return account
  }

  #tell({ settings, balance }: Account, level: number | 'refusing'): void {
    if (balance.told.includes(level)) return
    balance.told.push(level)
    this.#onAlert({ budget: settings, period: balance.period, level, spent: balance.spent })
  }
}

/** A later period of the same length, or one of another length: the setting was changed. */
const begunSince = (before: string, period: string): boolean =>
  period > before || period.length !== before.length
