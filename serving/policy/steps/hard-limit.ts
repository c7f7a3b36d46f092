import { definedOnly } from '../../../core/defined.ts'
import type { Closed } from '../limits.ts'
import type { PolicyRow, StepPlan } from '../step.ts'

/** Refuses requests for which all models, or all those they name, are closed. */
export const hardLimit: PolicyRow = {
  admits: true,
  spendingRoutes: () => [],
  step: () => ({
    decide({ closed, open, named }) {
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
