import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { definedOnly } from '../../../core/defined.ts'
import { promptHash } from '../../../core/hash.ts'
import type { ServePlan } from '../../gateway/contracts.ts'
import { closed } from '../file.ts'
import { SharedMemory } from '../shared-memory.ts'
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
    const plans = new SharedMemory<ServePlan>({
      prefix,
      entries,
      lifetimeMs: minutes * 60_000,
      shared,
      changes: false,
      isValue: (value): value is ServePlan => isPlan.Check(value),
    })
    /** keys that were not found: to be stored once their requests are decided */
    const missed = new WeakMap<StepState, string>()
    const repeated = (plan: ServePlan): StepPlan => {
      const { step: reason, name } = plan.deciding
      return { ...plan, deciding: definedOnly({ reason, name }) }
    }
    return {
      decide(state) {
        const key = decisionKey(state)
        const found = (plan: ServePlan | undefined): StepPlan | undefined => {
          if (plan) return repeated(plan)
          missed.set(state, key)
          return undefined
        }
        const plan = plans.get(state.request, key)
        return plan instanceof Promise ? plan.then(found) : found(plan)
      },
      decided(state, plan) {
        const key = missed.get(state)
        if (key === undefined) return
        plans.set(state.request, key, plan)
      },
    }
  },
}

const isPlan = Compile(
  Type.Object({
    kind: Type.Literal('serve'),
    targets: Type.Array(Type.Object({ model: Type.String() }), { minItems: 1 }),
    strategy: Type.Object({ kind: Type.String() }),
    deciding: Type.Object({ step: Type.String(), reason: Type.Optional(Type.String()) }),
    propensity: Type.Number(),
  }),
)

/** Identifies a request: its key, its texts, its declared context, its routing options, and the models left to it. */
function decisionKey({ request, traits, open }: StepState): string {
  const { body, caller, hints } = request
  const { explain: _, ...asked } = hints
  const { model, messages, tools, metadata } = body
  return promptHash(
    JSON.stringify([
      ...[model, caller.name, messages, tools ?? null, metadata ?? null],
      ...[asked, traits.tags, open],
    ]),
  )
}
