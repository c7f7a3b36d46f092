import { type BudgetScope, Budgets } from '../budgets/settings.ts'
import { expectedRoute } from '../gateway/spending.ts'
import { Keys, Latency, Models, Privacy, Routes } from './file.ts'
import { WHOLE_POLICY } from './learned-router.ts'
import type { Field, PolicyRow } from './step.ts'

/** Sections that belong to no single step; those of steps are in the steps' files. */
export const models: PolicyRow<typeof Models> = { key: 'models', schema: Models, required: true }

export const routes: PolicyRow<typeof Routes> = {
  key: 'routes',
  schema: Routes,
  check(routes, { models }, find) {
    for (const [name, route] of Object.entries(routes)) {
      const at = ['routes', name]
      if (Object.hasOwn(models, name)) find.fault(at, 'a name that is no model’s', name)
      if (WHOLE_POLICY.has(name)) {
        find.fault(at, 'a name that does not stand for the policy itself', name)
      }
      find.models([...at, 'models'], route.models)
      if (route.strategy) find.strategy([...at, 'strategy'], route.strategy)
      find.parameters([...at, 'parameters'], route.parameters)
    }
  },
}

export const keys: PolicyRow<typeof Keys> = {
  key: 'keys',
  schema: Keys,
  check(keys, _, find) {
    for (const [name, { models }] of Object.entries(keys)) {
      find.models(['keys', name, 'models'], models)
    }
  },
}

export const privacy: PolicyRow<typeof Privacy> = {
  key: 'privacy',
  schema: Privacy,
  check({ patterns }, { models }, find) {
    find.patterns(['privacy', 'patterns'], patterns)
    if (!Object.values(models).some((model) => model.private)) {
      find.fault(['privacy'], 'at least one model with private: true', 'none')
    }
  },
  reads: ({ detect, patterns, tags, unreadable }) => ({
    text: detect || patterns || unreadable === 'private' ? 'privacy' : undefined,
    metadata: tags ? 'privacy' : undefined,
  }),
}

export const latency: PolicyRow<typeof Latency> = { key: 'latency', schema: Latency }

/** Faults of a policy file's budgets, as far as the file alone shows them. */
export const budgets: PolicyRow<typeof Budgets> = {
  key: 'budgets',
  schema: Budgets,
  check(budgets, { models, keys = {} }, find) {
    find.unique(['budgets'], budgets)
    const tiers = Object.values(keys).flatMap(({ tier }) => tier ?? [])
    for (const [i, { of = 'all' }] of budgets.entries()) {
      if (of === 'all') continue
      const each = (field: keyof BudgetScope, look: (at: Field, name: string) => void): void => {
        const at = ['budgets', i, 'of', field]
        const names = of[field] ?? []
        if (typeof names === 'string') look(at, names)
        else for (const [j, name] of names.entries()) look([...at, j], name)
      }
      each('model', (at, name) => find.oneOf(at, Object.keys(models), name))
      each('tier', (at, name) => find.oneOf(at, tiers, name))
      each('route', (at, name) => {
        const expected = expectedRoute(find.spendingRoutes, name)
        if (expected !== undefined) find.fault(at, expected, name)
      })
    }
  },
}
