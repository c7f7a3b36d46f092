import type { BudgetScope, BudgetSettings } from './settings.ts'

/** What a question to a model is counted under. */
export interface SpendLabels {
  readonly key: string
  /** undefined while the policy still plans */
  readonly route: string | undefined
  readonly model: string
  readonly tier: string | undefined
}

export function counts({ of = 'all' }: BudgetSettings, labels: SpendLabels): boolean {
  if (of === 'all') return true
  return (['key', 'route', 'model', 'tier'] as const).every((field) =>
    holds(of[field], labels[field]),
  )
}

function holds(wanted: BudgetScope[keyof BudgetScope], got: string | undefined): boolean {
  if (wanted === undefined) return true
  if (got === undefined) return false
  return typeof wanted === 'string' ? wanted === got : wanted.includes(got)
}
