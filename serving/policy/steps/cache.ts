import Type from 'typebox'
import { LruMap } from '../../../core/bounded-map.ts'
import { definedOnly } from '../../../core/defined.ts'
import { promptHash } from '../../../core/hash.ts'
import type { ServePlan } from '../../gateway/contracts.ts'
import { closed } from '../file.ts'
import type { PolicyRow, StepState } from '../step.ts'

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
  step({ minutes, entries = 10_000 }) {
    const plans = new LruMap<string, { readonly plan: ServePlan; readonly until: number }>(entries)
    /** keys that were not found: to be stored once their requests are decided */
    const missed = new WeakMap<StepState, string>()
    return {
      decide(state) {
        const key = decisionKey(state)
        const kept = plans.get(key)
        if (!kept || kept.until <= state.request.time) {
          missed.set(state, key)
          return undefined
        }
        const { step: reason, name } = kept.plan.deciding
        return { ...kept.plan, deciding: definedOnly({ reason, name }) }
      },
      decided(state, plan) {
        const key = missed.get(state)
        if (key === undefined) return
        plans.set(key, { plan, until: state.request.time + minutes * 60_000 })
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
