import type { Lock } from '../../core/lock.ts'
import { makeFolder } from '../../core/segments.ts'
import type { BudgetAuthority } from './authority.ts'
import {
  type BudgetAlert,
  BudgetBook,
  type BudgetRefusal,
  type BudgetState,
  type Claim,
} from './book.ts'
import { BudgetJournal } from './budget-journal.ts'
import { readBudgets } from './budget-lines.ts'
import { dollarsOf } from './nanodollars.ts'

export interface LocalAuthorityOptions {
  readonly folder: string
  /** holds the folder against other processes; the authority releases it when it closes */
  readonly lock: (folder: string) => Lock
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  readonly onAlert: (alert: BudgetAlert) => void
}

export interface LocalAuthority extends BudgetAuthority {
  reserve(id: string, claim: Claim): BudgetRefusal | undefined
  states(): BudgetState[]
  /** Settles at its upper bound what a process that is gone had reserved: ids that begin so. */
  abandon(prefix: string): void
}

/** The book of this process's budgets, kept on disk, as a crash left it. @throws config_invalid: in use */
export function openLocalAuthority(options: LocalAuthorityOptions): LocalAuthority {
  const { folder, now, onWarning } = options
  makeFolder(folder)
  const lock = options.lock(folder)
  try {
    const { state, segments, torn } = readBudgets(folder)
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
    const book = new BudgetBook(
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
      state: () => book.state(),
      now,
      onHealth: (failure) =>
        onWarning(
          failure
            ? 'budgets cannot be written: they hold on in memory, a crash would forget what is spent meanwhile'
            : 'budgets are written again',
          failure,
        ),
    })
    const settle = (id: string, nanos: number): void => {
      if (!book.settle(id, nanos)) return
      ids.delete(id)
      journal.soon({ object: 'settle', id, nanos })
    }
    return {
      declare: (budgets) => book.declare(budgets),
      reserve(id, claim) {
        const refusal = book.reserve(id, claim)
        if (refusal) return refusal
        ids.add(id)
        journal.now({ object: 'hold', id, ...book.held(id)! })
        return undefined
      },
      query: (claim) => book.query(claim),
      refused: (budget) => book.refused(budget),
      settle,
      states: () => book.states(),
      abandon(prefix) {
        for (const id of [...ids]) {
          if (id.startsWith(prefix)) settle(id, book.held(id)!.nanos)
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
