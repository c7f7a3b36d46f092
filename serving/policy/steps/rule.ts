import { compileCondition } from '../condition.ts'
import { type StepFactory, skip } from '../step.ts'

const STEP = 'rule'

/** The first rule that holds and whose route has a model that is open. */
export const ruleStep: StepFactory = ({ file }, { languageOf }) => {
  const rules = (file.rules ?? []).map((rule) => ({
    ...rule,
    holds: compileCondition(rule.when, `rules/${rule.name}`, { keys: file.keys, languageOf }),
  }))
  if (rules.length === 0) return undefined
  return {
    name: STEP,
    decide(state) {
      const { route, serve } = state
      let closed: string | undefined
      for (const { name, route: target, holds } of rules) {
        if (!holds(state)) continue
        const plan = serve(route(target)!, { step: STEP, reason: 'matched', name })
        if (plan) return plan
        closed ??= name
      }
      return closed === undefined ? undefined : skip('models_closed', closed)
    },
  }
}
