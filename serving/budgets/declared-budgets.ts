import { counts, type SpendLabels } from './budget-scope.ts'
import type { BudgetSettings } from './settings.ts'

/**
 * The budgets of a process: of its configuration and of the policies it serves. All of them count for every
 * request; where two sources have one of the same name it is one budget, as the later one says.
 */
export class DeclaredBudgets {
  readonly #sources = new Map<string, Source>()
  #budgets: readonly BudgetSettings[] = []
  #tiers: ReadonlyMap<string, string> = new Map()

  get empty(): boolean {
    return this.#budgets.length === 0
  }

  get all(): readonly BudgetSettings[] {
    return this.#budgets
  }

  /** @param tiers of keys, by name */
  set(
    source: string,
    budgets: readonly BudgetSettings[],
    tiers: Readonly<Record<string, string>> = {},
  ): void {
    this.#sources.set(source, { budgets, tiers })
    const sources = [...this.#sources.values()]
    const all = sources.flatMap((one) =>
      one.budgets.map((budget) => [budget.name, budget] as const),
    )
    this.#budgets = [...new Map(all).values()]
    this.#tiers = new Map(sources.flatMap((one) => Object.entries(one.tiers)))
  }

  /** Names of the budgets that count a question. */
  counting(labels: Omit<SpendLabels, 'tier'>): string[] {
    const tier = this.#tiers.get(labels.key)
    const names: string[] = []
    for (const budget of this.#budgets) {
      if (counts(budget, { ...labels, tier })) names.push(budget.name)
    }
    return names
  }
}

interface Source {
  readonly budgets: readonly BudgetSettings[]
  readonly tiers: Readonly<Record<string, string>>
}
