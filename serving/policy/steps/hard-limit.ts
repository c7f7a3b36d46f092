import { definedOnly } from '../../../core/defined.ts'
import type { Closed } from '../limits.ts'
import type { PolicyRow, StepPlan } from '../step.ts'

/** Refuses requests for which all models, or all those they name, are closed. */
export const hardLimit: PolicyRow = {
  admits: true,
  spendingRoutes: () => [],
  step: (_, { keys }) => ({
    decide({ closed, open, named, sensitive, request: { unlisted, caller } }) {
      if (unlisted) {
        // the default upstream is no model of the file, so that nothing in it allows what is limited
        if (sensitive)
          return refusal(elsewhere('sensitive, and the default upstream is not private'))
        if (keys?.[caller.name]?.models) return refusal(elsewhere('not allowed for this key'))
        return undefined
      }
      if (open.length === 0) return refusal(closed)
      if (!named || named.route.models.some((model) => open.includes(model))) return undefined
      const its = named.route.models.flatMap((model) => {
        const why = closed.get(model)
        return why ? [[model, why] as const] : []
      })
      return refusal(new Map(its))
    },
  }),
}

const elsewhere = (reason: string): Map<string, Closed> =>
  new Map([['the default upstream', { reason }]])

function refusal(closed: ReadonlyMap<string, Closed>): StepPlan {
  const all = [...closed.values()]
  const status = all[0]?.status
  const waits = all.flatMap(({ retryAfter }) => retryAfter ?? [])
  const why = [...closed].map(([model, { reason }]) => `${model}: ${reason}`).join('; ')
  return {
    kind: 'refuse',
    as: 'error',
    message: `no model may take this request: ${why}`,
    ...definedOnly({
      // one status if all are closed with the same one
      status: all.every((one) => one.status === status) ? status : undefined,
      retryAfter: waits.length > 0 ? Math.min(...waits) : undefined,
    }),
    deciding: { reason: 'no_model_left' },
  }
}
