import { WeirError } from '../../core/errors.ts'
import { type Lock, lockFolder } from '../../core/lock.ts'
import { makeFolder } from '../../core/segments.ts'
import { type PrimaryChannel, type TopicHandler, within } from '../state/primary-channel.ts'
import { BudgetAlerts } from './alerts.ts'
import { BudgetJournal, readJournal } from './journal.ts'
import {
  type BudgetAlert,
  BudgetLedger,
  type BudgetRefusal,
  type BudgetState,
  type Claim,
} from './ledger.ts'
import type { BudgetSettings } from './settings.ts'
import { budgetedSpend } from './spend.ts'
import { dollarsOf, type Nanodollars } from './units.ts'

/**
 * Keeps the budgets of a server in one process: on disk if it serves alone, else in the primary, which
 * workers ask.
 */
export interface BudgetStore {
  /** Replaces all budgets. */
  declare(budgets: readonly BudgetSettings[]): void
  /** Undefined if the claim is now reserved, under this id, until it is committed. */
  reserve(id: string, claim: Claim): BudgetRefusal | undefined | Promise<BudgetRefusal | undefined>
  /** What `reserve` would return now, as far as this process knows. No side effects. */
  query(claim: Claim): BudgetRefusal | undefined
  /** Counts a request that this budget refused because of `query`, and alerts once per period. */
  refused(budget: string): void
  /** Ends a reservation at its actual cost. */
  commit(id: string, nanos: Nanodollars): void
  states(): BudgetState[] | Promise<BudgetState[]>
  close(): void | Promise<void>
}

export interface DiskStoreOptions {
  readonly folder: string
  /** locks the folder against other processes; the store releases it when it closes */
  readonly lock: (folder: string) => Lock
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  readonly onAlert: (alert: BudgetAlert) => void
}

export interface LocalBudgetStore extends BudgetStore {
  reserve(id: string, claim: Claim): BudgetRefusal | undefined
  states(): BudgetState[]
  /**
   * Commits the reservations of a process that has ended at their upper bound: those whose ids have this
   * prefix.
   */
  abandon(prefix: string): void
}

/**
 * A ledger kept on disk, in the state the last process left it.
 *
 * @throws config_invalid: the folder is in use; budgets_lost: what was spent is not there any more
 */
export function openDiskStore(options: DiskStoreOptions): LocalBudgetStore {
  const { folder, now, onWarning } = options
  makeFolder(folder)
  const lock = options.lock(folder)
  try {
    const { state, segments, torn, whole, lost } = readJournal(folder)
    if (lost !== undefined) {
      const reason = `${lost} is empty, cut off or gone, and earlier files say that it held them`
      throw new WeirError('budgets_lost', { folder, reason })
    }
    // so it is before the first start, too
    if (!whole) {
      const spend = budgetedSpend(folder)
      if (spend !== undefined) {
        const reason = `budget-*.jsonl have none, and ${spend} says that they were kept`
        throw new WeirError('budgets_lost', { folder, reason })
      }
    }
    const open = Object.values(state.open)
    if (open.length > 0) {
      const sum = dollarsOf(open.reduce((total, { nanos }) => total + nanos, 0))
      onWarning(
        `budgets: ${open.length} answers were under way when the server ended; up to $${sum.toFixed(4)} counts as spent`,
      )
    }
    if (torn > 0) onWarning(`budgets: ${torn} lines of ${folder} were cut off and left out`)
    let journal: BudgetJournal | undefined
    const ids = new Set<string>()
    const ledger = new BudgetLedger(
      now,
      (alert) => {
        const { budget, period, level } = alert
        journal?.soon({ object: 'alert', budget: budget.name, period, level })
        options.onAlert(alert)
      },
      state,
    )
    journal = new BudgetJournal({
      folder,
      segments,
      state: () => ledger.state(),
      now,
      onHealth: (failure) =>
        onWarning(
          failure
            ? 'budgets cannot be written: they hold on in memory, a crash would forget what is spent meanwhile'
            : 'budgets are written again',
          failure,
        ),
      onDamage: (path) =>
        onWarning(
          `budgets: ${path} was deleted or cut by something else, and was written again from memory`,
        ),
    })
    const commit = (id: string, nanos: number): void => {
      if (!ledger.commit(id, nanos)) return
      ids.delete(id)
      journal.soon({ object: 'settle', id, nanos })
    }
    return {
      declare: (budgets) => ledger.declare(budgets),
      reserve(id, claim) {
        const refusal = ledger.reserve(id, claim)
        if (refusal) return refusal
        ids.add(id)
        journal.now({ object: 'hold', id, ...ledger.held(id)! })
        return undefined
      },
      query: (claim) => ledger.query(claim),
      refused: (budget) => ledger.refused(budget),
      commit,
      states: () => ledger.states(),
      abandon(prefix) {
        for (const id of [...ids]) {
          if (id.startsWith(prefix)) commit(id, ledger.held(id)!.nanos)
        }
      },
      close() {
        journal.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

export interface LocalStoreOptions {
  readonly folder: string
  /** the setting that names the folder, for errors */
  readonly where: string
  /** hosts that webhooks may be on; any if absent */
  readonly allowHosts: readonly string[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  /**
   * locks the folder; the kernel's lock if absent. Tests that crash a server pass one that the crash releases
   */
  readonly lock?: (folder: string) => Lock
}

/**
 * A store on disk that sends alerts. The folder is opened, and locked, when the first budget is declared, so
 * that servers without budgets may share it.
 *
 * @throws config_invalid, in `declare`
 */
export function openLocalStore(options: LocalStoreOptions): LocalBudgetStore {
  const alerts = new BudgetAlerts(options)
  let opened: LocalBudgetStore | undefined
  const lock = options.lock ?? ((folder: string): Lock => hold(folder, options))
  const open = (): LocalBudgetStore => {
    opened ??= openDiskStore({ ...options, lock, onAlert: alerts.tell })
    return opened
  }
  return {
    declare(budgets) {
      if (opened || budgets.length > 0) open().declare(budgets)
    },
    reserve: (id, claim) => open().reserve(id, claim),
    query: (claim) => opened?.query(claim),
    refused: (budget) => opened?.refused(budget),
    commit: (id, nanos) => opened?.commit(id, nanos),
    abandon: (prefix) => opened?.abandon(prefix),
    states: () => opened?.states() ?? [],
    async close() {
      await opened?.close()
      await alerts.close()
    },
  }
}

/** Two servers that share a folder would each spend its budgets in full. @throws config_invalid */
function hold(folder: string, { where, now }: LocalStoreOptions): Lock {
  const lock = lockFolder(folder, now)
  if ('release' in lock) return lock
  const expected = 'a folder that no other server keeps its budgets in'
  throw new WeirError('config_invalid', {
    where,
    expected,
    got: `${folder}, held by ${lock.holder}`,
  })
}

/** The questions of a worker to the primary. */
type StoreMessage =
  | { readonly do: 'declare'; readonly budgets: readonly BudgetSettings[] }
  | { readonly do: 'reserve'; readonly id: string; readonly claim: Claim }
  | { readonly do: 'refused'; readonly budget: string }
  | { readonly do: 'settle'; readonly id: string; readonly nanos: number }
  | { readonly do: 'states' }

export const BUDGET_TOPIC = 'budget'

/** Milliseconds for which a refusal is cached instead of asking the primary again. */
const BELIEVED_MS = 250

/** Longest wait for the primary, in milliseconds. */
const ANSWER_MS = 5000

/** The primary's store, as its workers see it. */
export function remoteStore(primary: PrimaryChannel, now: () => number): BudgetStore {
  const refusals = new Map<string, { refusal: BudgetRefusal; nanos: number; at: number }>()
  const ask = (question: StoreMessage): Promise<unknown> => primary.ask(BUDGET_TOPIC, question)
  const tell = (question: StoreMessage): void => primary.tell(BUDGET_TOPIC, question)
  return {
    declare: (budgets) => tell({ do: 'declare', budgets }),
    async reserve(id, claim) {
      let refusal: BudgetRefusal | undefined
      try {
        const asked = ask({ do: 'reserve', id, claim })
        refusal = (await within(asked, ANSWER_MS)) as BudgetRefusal | undefined
      } catch (cause) {
        // the primary may still reserve it; no model is asked, so nothing is spent
        tell({ do: 'settle', id, nanos: 0 })
        const what = 'its primary process does not keep its budgets'
        throw new WeirError('overloaded', { what }, { cause, retryAfter: 1 })
      }
      if (refusal) refusals.set(refusal.budget, { refusal, nanos: claim.nanos, at: now() })
      return refusal
    },
    query({ budgets, nanos }) {
      for (const name of budgets) {
        const known = refusals.get(name)
        if (known && nanos >= known.nanos && now() - known.at < BELIEVED_MS) return known.refusal
      }
      return undefined
    },
    refused: (budget) => tell({ do: 'refused', budget }),
    commit: (id, nanos) => tell({ do: 'settle', id, nanos }),
    states: async () => (await ask({ do: 'states' })) as BudgetState[],
    // the answer to this confirms that the commits before it have arrived
    close: async () => {
      await within(ask({ do: 'states' }), ANSWER_MS).catch(() => {})
    },
  }
}

/** Answers the budget messages of the primary's workers. */
export class PrimaryBudgets {
  readonly #store: LocalBudgetStore
  /** by worker: one that starts, or has not reloaded yet, must not remove the budgets of the others */
  readonly #declared = new Map<number, readonly BudgetSettings[]>()

  constructor(store: LocalBudgetStore) {
    this.#store = store
  }

  answer: TopicHandler = (asked, worker) => {
    const question = asked as StoreMessage
    const id = (its: string): string => `${begin(worker)}${its}`
    switch (question.do) {
      case 'declare':
        return this.#declare(worker, question.budgets)
      case 'reserve':
        return this.#store.reserve(id(question.id), question.claim)
      case 'refused':
        return this.#store.refused(question.budget)
      case 'settle':
        return this.#store.commit(id(question.id), question.nanos)
      case 'states':
        return this.#store.states()
    }
  }

  /** A worker has died: its requests in progress may have been billed. */
  gone(worker: number): void {
    this.#store.abandon(begin(worker))
    this.#declared.delete(worker)
  }

  /** Declares the budgets of all workers together; of two with one name, the one declared last. */
  #declare(worker: number, budgets: readonly BudgetSettings[]): void {
    this.#declared.delete(worker)
    this.#declared.set(worker, budgets)
    const all = [...this.#declared.values()].flat().map((budget) => [budget.name, budget] as const)
    this.#store.declare([...new Map(all).values()])
  }
}

const begin = (worker: number): string => `w${worker}:`
