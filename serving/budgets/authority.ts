import type { BudgetRefusal, BudgetState, Claim } from './book.ts'
import type { Nanodollars } from './nanodollars.ts'
import type { BudgetSettings } from './settings.ts'

/** Who may spend: one a server. In workers it is a line to the primary's. */
export interface BudgetAuthority {
  /** All budgets from now on. */
  declare(budgets: readonly BudgetSettings[]): void
  /** A claim that is let through (undefined) is held under `id` until it is settled. */
  reserve(id: string, claim: Claim): BudgetRefusal | undefined | Promise<BudgetRefusal | undefined>
  /** What `reserve` would say now, as far as this process knows. Changes nothing. */
  query(claim: Claim): BudgetRefusal | undefined
  /** Counts a request that this budget refused because `query` said so, and alerts once a period. */
  refused(budget: string): void
  settle(id: string, nanos: Nanodollars): void
  states(): BudgetState[] | Promise<BudgetState[]>
  close(): void | Promise<void>
}
