import { WeirError } from '../../core/errors.ts'
import type { ModelTerms } from './bound.ts'
import { type BudgetScope, type BudgetSettings, listed } from './settings.ts'
import { webhookUrl } from './webhook.ts'

export interface BudgetSurroundings {
  /** the section, for errors */
  readonly where: string
  /** by name: `gateway.models` */
  readonly models: Readonly<Record<string, { readonly price?: unknown; readonly context?: number }>>
  readonly terms: ReadonlyMap<string, ModelTerms>
  /** names of API keys; undefined where nobody is asked for one */
  readonly keys: readonly string[] | undefined
  readonly tiers: readonly string[]
  /** hosts that webhooks may be on; any, where absent */
  readonly allowHosts: readonly string[] | undefined
}

/**
 * Holds budgets to what they are served beside: one that could never count, or whose models' answers have no
 * upper bound, is refused before the first request.
 *
 * @throws config_invalid
 */
export function assertBudgetsFit(
  budgets: readonly BudgetSettings[],
  { where, models, terms, keys, tiers, allowHosts }: BudgetSurroundings,
): void {
  const refuse = (at: string, expected: string, got: unknown): never => {
    throw new WeirError('config_invalid', { where: `${where}.${at}`, expected, got })
  }
  for (const [i, { name, of = 'all', webhook }] of budgets.entries()) {
    if (budgets.findIndex((other) => other.name === name) < i) {
      refuse(`${i}.name`, 'a name of its own', name)
    }
    if (webhook !== undefined) webhookUrl(webhook, `${where}.${i}.webhook`, allowHosts)
    const scope: BudgetScope = of === 'all' ? {} : of
    const known = (field: keyof BudgetScope, names: readonly string[]): void => {
      for (const got of listed(scope[field])) {
        if (!names.includes(got)) {
          refuse(`${i}.of.${field}`, `one of ${names.join(', ') || '(none is defined)'}`, got)
        }
      }
    }
    known('model', Object.keys(models))
    if (keys) known('key', keys)
    known('tier', tiers)
    const counted = scope.model === undefined ? Object.keys(models) : listed(scope.model)
    for (const model of counted) {
      if (terms.has(model)) continue
      const missing = models[model]?.price === undefined ? 'price' : 'context'
      throw new WeirError('config_invalid', {
        where: `gateway.models.${model}.${missing}`,
        expected: `it, as the budget ${name} counts this model and needs to know what an answer may cost`,
        got: 'nothing',
      })
    }
  }
}
