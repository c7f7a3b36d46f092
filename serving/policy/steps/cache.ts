import Type from 'typebox'
import { LruMap } from '../../../core/bounded-map.ts'
import { definedOnly } from '../../../core/defined.ts'
import { promptHash } from '../../../core/hash.ts'
import type { ServePlan } from '../../gateway/contracts.ts'
import { closed } from '../file.ts'
import type { PolicyRow, StepPlan, StepState } from '../step.ts'

const Cache = Type.Object(
  {
    minutes: Type.Number({ exclusiveMinimum: 0 }),
    entries: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)

/** Repeats the decision of an equal request, made by any later step, for as long as the file says. */
export const cache: PolicyRow<typeof Cache> = {
  key: 'cache',
  schema: Cache,
  // spending counts for what decided first
  spendingRoutes: () => [],
  step({ minutes, entries = 10_000 }, file, { shared }) {
    /** servers with other policies decide otherwise */
    const prefix = `cache:${promptHash(JSON.stringify(file))}:`
    const plans = new LruMap<string, { readonly plan: ServePlan; readonly until: number }>(entries)
    /** keys that were not found: to be stored once their requests are decided */
    const missed = new WeakMap<StepState, string>()
    const keptPlan = (key: string, time: number): ServePlan | undefined => {
      const kept = plans.get(key)
      return kept && kept.until > time ? kept.plan : undefined
    }
    const repeated = (plan: ServePlan): StepPlan => {
      const { step: reason, name } = plan.deciding
      return { ...plan, deciding: definedOnly({ reason, name }) }
    }
    return {
      decide(state) {
        const key = decisionKey(state)
        const plan = keptPlan(key, state.request.time)
        if (plan) return repeated(plan)
        missed.set(state, key)
        return shared?.get(prefix + key).then((text) => {
          const found = text === undefined ? undefined : (JSON.parse(text) as ServePlan)
          if (!found) return undefined
          missed.delete(state)
          return repeated(found)
        })
      },
      decided(state, plan) {
        const key = missed.get(state)
        if (key === undefined) return
        const milliseconds = minutes * 60_000
        plans.set(key, { plan, until: state.request.time + milliseconds })
        shared?.set(prefix + key, JSON.stringify(plan), milliseconds)
      },
    }
  },
}

/** Identifies a request: its key, its texts, its routing options, and the models left to it. */
function decisionKey({ request, traits, open }: StepState): string {
  const { body, caller, hints } = request
  const { explain: _, ...asked } = hints
  const { model, messages, tools } = body
  return promptHash(
    JSON.stringify([model, caller.name, messages, tools ?? null, asked, traits.tags, open]),
  )
}
