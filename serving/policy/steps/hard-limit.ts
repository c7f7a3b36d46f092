import type { RefusePlan } from '../../gateway/contracts.ts'
import type { Closed } from '../limits.ts'
import type { StepFactory } from '../step.ts'

/** Refuses what may go to no model, or to none of what it names. */
export const hardLimitStep: StepFactory = () => ({
  name: 'hard_limit',
  decide({ closed, open, named }) {
    if (open.length === 0) return refusal(closed)
    if (!named || named.route.models.some((model) => open.includes(model))) return undefined
    const its = named.route.models.flatMap((model) => {
      const why = closed.get(model)
      return why ? [[model, why] as const] : []
    })
    return refusal(new Map(its))
  },
})

function refusal(closed: ReadonlyMap<string, Closed>): RefusePlan {
  const all = [...closed.values()]
  const status = all[0]?.status
  const waits = all.flatMap(({ retryAfter }) => (retryAfter === undefined ? [] : [retryAfter]))
  const why = [...closed].map(([model, { reason }]) => `${model}: ${reason}`).join('; ')
  return {
    kind: 'refuse',
    as: 'error',
    message: `no model may take this request: ${why}`,
    // one status where all are closed for the like
    ...(status !== undefined && all.every((one) => one.status === status) ? { status } : {}),
    ...(waits.length > 0 ? { retryAfter: Math.min(...waits) } : {}),
    deciding: { step: 'hard_limit', reason: 'no_model_left' },
  }
}
