import type { SectionCheck } from '../policy/fault.ts'
import type { BudgetScope } from './settings.ts'

/** What is wrong with a policy file's budgets, as far as the file alone can tell. */
export const budgetsCheck: SectionCheck = (file, find) => {
  const { budgets = [], rules = [], semantic, keys = {} } = file
  find.unique(
    ['budgets'],
    budgets.map(({ name }) => name),
  )
  const tiers = Object.values(keys).flatMap(({ tier }) => tier ?? [])
  const deciders = [
    ...rules.map(({ name }) => name),
    ...(semantic?.routes ?? []).map(({ name }) => name),
  ]
  for (const [i, { of = 'all' }] of budgets.entries()) {
    if (of === 'all') continue
    const each = (
      field: keyof BudgetScope,
      look: (at: readonly (string | number)[], name: string) => void,
    ): void => {
      const names = of[field]
      if (typeof names === 'string') look(['budgets', i, 'of', field], names)
      else
        for (const [j, name] of (names ?? []).entries()) look(['budgets', i, 'of', field, j], name)
    }
    each('model', (at, name) => find.oneOf(at, Object.keys(file.models), name))
    each('tier', (at, name) => find.oneOf(at, tiers, name))
    // a model or route that the client names is decided by its name
    each('route', (at, name) => find.oneOf(at, [...deciders, ...STEPS, ...find.targets], name))
  }
}

/** Steps that decide without a rule's or route's name. */
const STEPS = ['learned', 'sticky', 'default', 'fallback', 'model_named']
