import type { BudgetSettings } from '../../../serving/budgets/settings.ts'

type Action = BudgetSettings['then']

/** A dollar a day for everything, unless told; `action` is what it does. */
export function budget({
  action = 'stop',
  ...more
}: Partial<Omit<BudgetSettings, 'then'>> & { readonly action?: Action } = {}): BudgetSettings {
  // biome-ignore lint/suspicious/noThenProperty: the setting's name; nobody awaits it
  return { name: 'all', usd: 1, per: 'day', ...more, then: action }
}
