import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { definedOnly } from '../../core/defined.ts'
import {
  migrate,
  openPostgres,
  type Pool,
  type PoolClient,
  storeError,
} from '../../records/postgres.ts'
import type { StateSettings } from '../state/config.ts'
import { type AlertsOptions, BudgetAlerts } from './alerts.ts'
import type { BudgetAlert, BudgetRefusal, BudgetState, Claim } from './ledger.ts'
import { BUDGET_SCHEMA } from './postgres-schema.ts'
import type { BudgetSettings } from './settings.ts'
import type { BudgetStore } from './store.ts'
import { dollarsOf, limitNanos, type Nanodollars, periodEnd, periodOf } from './units.ts'

export interface PostgresBudgetsOptions
  extends Pick<StateSettings, 'leaseMs' | 'lostReservations' | 'budgetsWhenGone' | 'deadlineMs'> {
  readonly url: string
  /** milliseconds since 1970; only for the waits that clients are told, as periods are the database's */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  readonly onAlert: (alert: BudgetAlert) => void
}

export interface PostgresBudgetStore extends BudgetStore {
  states(): Promise<BudgetState[]>
  /** The states as of the last report. */
  lastStates(): readonly BudgetState[]
}

/** How long a refusal is believed without asking again, in milliseconds. */
const BELIEVED_MS = 250
/** Wait before a store that failed is asked again; meanwhile nothing waits for it. */
const RETRY_MS = 500
/** How old the states that metrics show may be while something is asked, in milliseconds. */
const SHOWN_MS = 1000
/**
 * How long what answers have cost waits for a claim to share its call, in milliseconds. Until then it is held at its
 * upper bound.
 */
const SETTLE_MS = 10
/** Longest wait for what is still to be written when the server ends. */
const CLOSE_MS = 5000
/** Most items of one call: a queue that grew while the store was gone is delivered in pieces. */
const MOST_ITEMS = 500

interface WaitingClaim {
  readonly id: string
  readonly claim: Claim
  readonly settle: (refusal: BudgetRefusal | undefined) => void
  readonly fail: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}
interface WaitingSettle {
  readonly id: string
  readonly nanos: Nanodollars
  readonly budgets: readonly object[]
}
interface Answer {
  readonly refusals: Readonly<Record<string, Pick<BudgetRefusal, 'budget' | 'reason'>>>
  readonly alerts: readonly {
    readonly budget: string
    readonly level: number | 'refusing'
    readonly period: string
    readonly spent: number
  }[]
}

/**
 * Budgets that several servers share, in PostgreSQL. What one turn of the event loop wants is one call, and one
 * call is under way at a time: those that come meanwhile share the next one. What answers have cost goes with the next
 * claim, so that chats one after the other make one call each. Each process reports every third of
 * its lease; when it is gone for longer, another process settles what it has left.
 *
 * @throws store_unavailable, module_missing
 */
export async function openPostgresBudgets(
  options: PostgresBudgetsOptions,
): Promise<PostgresBudgetStore> {
  const pool = await openPostgres(options.url)
  const store = new SharedBudgets(pool, options)
  try {
    await store.start()
  } catch (cause) {
    await store.close()
    throw storeError(options.url, cause)
  }
  return store
}

/** The store of a server's `state` section, which sends its alerts; undefined if the server keeps its budgets itself. */
export async function openSharedBudgets(
  state: StateSettings,
  options: AlertsOptions,
): Promise<PostgresBudgetStore | undefined> {
  if (state.postgres === undefined) return undefined
  const alerts = new BudgetAlerts(options)
  const { now, onWarning } = options
  const store = await openPostgresBudgets({
    ...state,
    ...{ url: state.postgres, now, onWarning, onAlert: alerts.tell },
  })
  const close = store.close.bind(store)
  return Object.assign(store, {
    async close() {
      await close()
      await alerts.close()
    },
  })
}

class SharedBudgets implements PostgresBudgetStore {
  readonly #pool: Pool
  readonly #options: PostgresBudgetsOptions
  readonly #owner = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`
  readonly #settings = new Map<string, BudgetSettings>()
  /** by name: a budget as the database's function takes it */
  readonly #items = new Map<string, object>()
  /** of reservations that are open, by id: what they are counted for */
  readonly #open = new Map<string, readonly object[]>()
  readonly #refusals = new Map<string, { refusal: BudgetRefusal; nanos: number; at: number }>()
  #claims: WaitingClaim[] = []
  #settles: WaitingSettle[] = []
  #refused = new Map<string, number>()
  #client: PoolClient | undefined
  #calling = false
  #scheduled = false
  #timer: NodeJS.Timeout | undefined
  #goneUntil = 0
  #failing = false
  #closing = false
  #shownAt = 0
  #states: readonly BudgetState[] = []
  #reporter: NodeJS.Timeout | undefined

  constructor(pool: Pool, options: PostgresBudgetsOptions) {
    this.#pool = pool
    this.#options = options
  }

  /** Prepares the tables, and begins to report. */
  async start(): Promise<void> {
    await migrate(this.#pool, 'budgets', BUDGET_SCHEMA)
    await this.report()
    this.#reporter = setInterval(
      () => void this.report().catch((error: unknown) => this.#gone(error)),
      this.#options.leaseMs / 3,
    )
    this.#reporter.unref()
  }

  declare(budgets: readonly BudgetSettings[]): void {
    this.#settings.clear()
    this.#items.clear()
    for (const budget of budgets) {
      const { name, usd, per, alert_at } = budget
      this.#settings.set(name, budget)
      const item = { name, per, limit: limitNanos(usd), action: budget.then, alert_at }
      this.#items.set(name, definedOnly(item))
    }
    // shows the new ones
    void this.states().catch(() => {})
  }

  reserve(id: string, claim: Claim): Promise<BudgetRefusal | undefined> {
    const own = `${this.#owner}:${id}`
    const budgets = this.#budgets(claim.budgets)
    if (budgets.length === 0) return Promise.resolve(undefined)
    if (this.#isGone()) {
      return this.#without(own, budgets, new Error('it did not answer just now'), false)
    }
    return new Promise<BudgetRefusal | undefined>((settle, fail) => {
      const timer = setTimeout(() => {
        this.#claims = this.#claims.filter((one) => one.id !== own)
        fail(new Error(`no answer within ${this.#options.deadlineMs} ms`))
      }, this.#options.deadlineMs)
      this.#claims.push({ id: own, claim, settle, fail, timer })
      this.#schedule()
    }).then(
      (refusal) => {
        if (!refusal) this.#open.set(own, budgets)
        else {
          const { budget } = refusal
          this.#refusals.set(budget, { refusal, nanos: claim.nanos, at: performance.now() })
        }
        return refusal
      },
      (cause: unknown) => this.#without(own, budgets, cause, true),
    )
  }

  query({ budgets, nanos }: Claim): BudgetRefusal | undefined {
    for (const name of budgets) {
      const known = this.#refusals.get(name)
      if (known && nanos >= known.nanos && performance.now() - known.at < BELIEVED_MS) {
        return known.refusal
      }
    }
    return undefined
  }

  refused(budget: string): void {
    if (!this.#settings.has(budget)) return
    this.#refused.set(budget, (this.#refused.get(budget) ?? 0) + 1)
    this.#schedule()
  }

  commit(id: string, nanos: Nanodollars): void {
    const own = `${this.#owner}:${id}`
    const budgets = this.#open.get(own)
    if (!budgets) return
    this.#open.delete(own)
    this.#settles.push({ id: own, nanos, budgets })
    this.#schedule()
  }

  async states(): Promise<BudgetState[]> {
    const names = [...this.#settings.keys()]
    const { rows } = await this.#pool
      .query<Record<'name' | 'period' | 'spent' | 'held' | 'refused', string>>(
        `SELECT name, period, spent, held, refused FROM weir_budgets WHERE name = ANY ($1)`,
        [names],
      )
      .catch((cause: unknown) => {
        throw storeError(this.#options.url, cause)
      })
    const known = new Map(rows.map((row) => [row.name, row]))
    const states = [...this.#settings.values()].map(({ name, usd, per }) => {
      const { period = '', spent = 0, held = 0, refused = 0 } = known.get(name) ?? {}
      const current = periodOf(per, this.#options.now())
      const ended = period < current || period.length !== current.length
      return {
        ...{ name, usd, per, period: ended ? current : period },
        spent_usd: ended ? 0 : dollarsOf(Number(spent)),
        held_usd: ended ? 0 : dollarsOf(Number(held)),
        refused: Number(refused),
      }
    })
    this.#states = states
    return states
  }

  lastStates(): readonly BudgetState[] {
    return this.#states
  }

  /** Prolongs the lease, and settles what lost servers have left. */
  async report(): Promise<void> {
    const { leaseMs, lostReservations } = this.#options
    const { rows } = await this.#pool.query<{ lost: string }>(
      `SELECT weir_lease_v1($1, $2 * interval '1 millisecond', $3) AS lost`,
      [this.#owner, leaseMs, lostReservations],
    )
    const lost = Number(rows[0]?.lost ?? 0)
    if (lost > 0) {
      const as = {
        expected: 'at their expected cost',
        bound: 'at their upper bound',
        nothing: 'not',
      }
      this.#options.onWarning(
        `budgets: ${lost} answers were under way when their server was lost; they are counted ${as[lostReservations]}`,
      )
    }
    if (this.#settings.size > 0) await this.states()
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    clearInterval(this.#reporter)
    clearTimeout(this.#timer)
    const until = performance.now() + CLOSE_MS
    while ((this.#calling || this.#waiting()) && performance.now() < until) {
      if (!this.#calling) void this.#call()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    if (this.#settles.length > 0) {
      this.#options.onWarning(
        `budgets: the store did not answer; ${this.#settles.length} answers are counted when their lease has ended`,
      )
    } else if (this.#open.size === 0) {
      await this.#pool
        .query('DELETE FROM weir_owners WHERE owner = $1', [this.#owner])
        .catch(() => {})
    }
    this.#client?.release()
    this.#client = undefined
    await this.#pool.end()
  }

  #budgets(names: readonly string[]): object[] {
    return names.flatMap((name) => this.#items.get(name) ?? [])
  }

  /** A request while the store is gone. If it was sent, it may be reserved all the same, and is given back. */
  #without(
    id: string,
    budgets: readonly object[],
    cause: unknown,
    wasSent: boolean,
  ): Promise<BudgetRefusal | undefined> {
    if (this.#options.budgetsWhenGone === 'open') {
      this.#open.set(id, budgets)
      return Promise.resolve(undefined)
    }
    if (wasSent) {
      this.#settles.push({ id, nanos: 0, budgets })
      this.#schedule()
    }
    return Promise.reject(storeError(this.#options.url, cause))
  }

  #waiting(): boolean {
    return this.#claims.length + this.#settles.length + this.#refused.size > 0
  }

  #isGone(): boolean {
    return performance.now() < this.#goneUntil
  }

  /** Claims are waited for; the rest goes with one, or a moment later. */
  #schedule(): void {
    if (this.#calling) return
    const wait = Math.max(
      this.#goneUntil - performance.now(),
      this.#claims.length > 0 ? 0 : SETTLE_MS,
    )
    if (wait > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined
        if (this.#waiting() && !this.#calling) void this.#call()
      }, wait).unref()
    } else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        if (this.#waiting() && !this.#calling) void this.#call()
      })
    }
  }

  async #call(): Promise<void> {
    this.#calling = true
    const claims = this.#claims.splice(0, MOST_ITEMS)
    const settles = this.#settles.splice(0, MOST_ITEMS)
    const refused = [...this.#refused]
    this.#refused.clear()
    const refusals = refused.map(([budget, count]) => ({
      ...{ budget, count },
      budgets: this.#budgets([budget]),
    }))
    try {
      const answer = await this.#run(settles, refusals, claims)
      this.#works()
      this.#refresh()
      for (const { id, settle, timer } of claims) {
        clearTimeout(timer)
        const refusal = answer.refusals[id]
        settle(refusal && this.#refusal(refusal))
      }
      for (const { budget: name, ...alert } of answer.alerts) {
        const budget = this.#settings.get(name)
        if (budget) this.#options.onAlert({ budget, ...alert })
      }
    } catch (error) {
      // settling twice does nothing
      this.#settles.unshift(...settles)
      for (const [budget, count] of refused) {
        this.#refused.set(budget, count + (this.#refused.get(budget) ?? 0))
      }
      this.#gone(error)
      for (const { fail, timer } of [...claims, ...this.#claims.splice(0)]) {
        clearTimeout(timer)
        fail(error)
      }
    }
    this.#calling = false
    if (this.#waiting() && !this.#closing) this.#schedule()
  }

  async #run(
    settles: readonly WaitingSettle[],
    refusals: readonly object[],
    claims: readonly WaitingClaim[],
  ): Promise<Answer> {
    const wanted = claims.map(({ id, claim: { budgets, nanos } }) => ({
      ...{ id, nanos },
      budgets: this.#budgets(budgets),
    }))
    const client = await this.#connected()
    let timer: NodeJS.Timeout | undefined
    try {
      const late = new Promise<never>((_, reject) => {
        const { deadlineMs } = this.#options
        timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs)
      })
      const asked = client.query<{ answer: Answer }>({
        name: 'weir-budgets',
        text: 'SELECT weir_budgets_v1($1, $2, $3, $4) AS answer',
        values: [this.#owner, ...[settles, refusals, wanted].map((items) => JSON.stringify(items))],
      })
      asked.catch(() => {})
      return (await Promise.race([asked, late])).rows[0]!.answer
    } catch (error) {
      if (this.#client === client) {
        this.#client = undefined
        client.release(error as Error)
      }
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** One connection of its own: a call never waits for a free one. */
  async #connected(): Promise<PoolClient> {
    if (this.#client) return this.#client
    const client = await this.#pool.connect()
    // of a connection that is lost while nothing is asked
    client.on('error', (error) => {
      if (this.#client !== client) return
      this.#client = undefined
      client.release(error)
    })
    this.#client = client
    return client
  }

  #refusal({ budget: name, reason }: Answer['refusals'][string]): BudgetRefusal {
    const budget = this.#settings.get(name)
    // its settings were replaced meanwhile: it is still a refusal
    if (!budget || budget.then === 'alert') {
      return { budget: name, usd: 0, per: 'total', action: 'stop', reason }
    }
    const { usd, per, then: action } = budget
    const now = this.#options.now()
    const end = periodEnd(per, now)
    const wait = reason === 'held' ? 1 : end && Math.ceil((end - now) / 1000)
    const retryAfter = reason === 'too_large' ? undefined : wait
    return definedOnly({ budget: name, usd, per, action, reason, retryAfter })
  }

  /** The states that metrics show, no older than a second while something is asked. */
  #refresh(): void {
    const now = performance.now()
    if (now - this.#shownAt < SHOWN_MS) return
    this.#shownAt = now
    void this.states().catch(() => {})
  }

  #works(): void {
    if (!this.#failing) return
    this.#failing = false
    this.#options.onWarning('budgets: their store answers again')
  }

  #gone(error: unknown): void {
    this.#goneUntil = performance.now() + RETRY_MS
    if (this.#failing || this.#closing) return
    this.#failing = true
    const meanwhile =
      this.#options.budgetsWhenGone === 'open'
        ? 'requests are let through and counted later'
        : 'requests that they count are refused'
    const { message } = storeError(this.#options.url, error)
    this.#options.onWarning(`budgets: ${message}; ${meanwhile}`, error)
  }
}
