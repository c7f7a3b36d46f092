import type { BudgetState } from './book.ts'
import { type SpendCell, SpendTable } from './spend-table.ts'

/** What a process, or a server of several, has spent since it started. */
export interface SpendReport {
  /** ISO 8601 */
  readonly since: string
  readonly cells: readonly SpendCell[]
  readonly budgets: readonly BudgetState[]
}

/** Workers' reports as one; budgets are the primary's. */
export function joinedReport(
  reports: readonly SpendReport[],
  budgets: readonly BudgetState[],
): SpendReport {
  const table = new SpendTable()
  for (const { cells } of reports) table.merge(cells)
  const since = reports.map((report) => report.since).sort()[0] ?? new Date(0).toISOString()
  return { since, cells: table.cells, budgets }
}
