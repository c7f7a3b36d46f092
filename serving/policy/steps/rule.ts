import Type from 'typebox'
import { Condition, compileCondition } from '../condition.ts'
import { closed, Name } from '../file.ts'
import { type PolicyRow, skip } from '../step.ts'

const Rules = Type.Array(Type.Object({ name: Name, when: Condition, route: Name }, closed))

/** The first rule that matches and whose route has an open model. */
export const rule: PolicyRow<typeof Rules> = {
  key: 'rules',
  schema: Rules,
  check(rules, _, find) {
    find.unique(['rules'], rules)
    for (const [i, { when, route }] of rules.entries()) {
      find.condition(['rules', i], when)
      find.oneOf(['rules', i, 'route'], find.targets, route)
    }
  },
  reads: (rules) => ({
    conditions: rules.map(({ name, when }) => ({ of: `the rule ${name}`, when })),
  }),
  spendingRoutes: (rules) => rules.map(({ name }) => name),
  step(section, { keys }, { languageOf }) {
    if (section.length === 0) return undefined
    const rules = section.map(({ name, when, route }) => ({
      name,
      route,
      holds: compileCondition(when, `rules/${name}`, { keys, languageOf }),
    }))
    return {
      decide(state) {
        let firstClosed: string | undefined
        for (const { name, route, holds } of rules) {
          if (!holds(state)) continue
          const plan = state.serve(state.route(route)!, { reason: 'matched', name })
          if (plan) return plan
          firstClosed ??= name
        }
        return firstClosed === undefined ? undefined : skip('models_closed', firstClosed)
      },
    }
  },
}
