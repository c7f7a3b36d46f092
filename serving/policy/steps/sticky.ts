import Type from 'typebox'
import type { Decision } from '../../../models/decision/decision.ts'
import type { GatewayRequest, StepName } from '../../gateway/contracts.ts'
import { sessionKey } from '../../gateway/sessions.ts'
import { closed } from '../file.ts'
import { SharedMemory } from '../shared-memory.ts'
import { type PolicyRow, skip } from '../step.ts'

const Sticky = Type.Object(
  {
    /** a session changes its model only if the win rate is at least this far from the threshold; 1 never */
    margin: Type.Number({ minimum: 0, maximum: 1 }),
    minutes: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    sessions: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
)

const STEP: StepName = 'sticky'

/** A session keeps its model, unless the learned router clearly decides otherwise. */
export const sticky: PolicyRow<typeof Sticky> = {
  key: 'sticky',
  schema: Sticky,
  step({ margin, minutes = 30, sessions = 10_000 }, _, { shared }) {
    /** the model of each session's last answer */
    const last = new SharedMemory<string>({
      prefix: 'sticky:',
      entries: sessions,
      lifetimeMs: minutes * 60_000,
      shared,
      changes: true,
      isValue: (value) => typeof value === 'string',
    })
    /** The model that the client states, or that the servers or this process remember. */
    const lastModel = (request: GatewayRequest): string | undefined | Promise<string | undefined> =>
      request.hints.previous_model ??
      (request.hints.session_id === undefined ? undefined : last.get(request, sessionKey(request)))
    /** Whether a decision is too near its threshold to change a session's model. */
    const isNearThreshold = ({ win_rate, threshold }: Decision): boolean =>
      Math.abs((win_rate ?? 1) - threshold) <= margin
    return {
      async decide({ request, open, learned, serve }) {
        const model = await lastModel(request)
        if (model === undefined) return undefined
        if (!open.includes(model)) return skip('models_closed', model)
        const decision = await learned()
        if ('kind' in decision) return skip(decision.kind === 'skip' ? decision.reason : 'refused')
        // a model that the client states must be one that it could have had
        const able = decision.candidates.some((one) => one.model === model && one.eligible)
        if (!able) return skip('no_candidate', model)
        if (!isNearThreshold(decision)) return skip('beyond_margin', model)
        // if exploration drew, the session would have kept its model with any draw
        if (model === decision.model && decision.propensity === 1) return skip('same_model', model)
        const others = decision.candidates.map((candidate) => candidate.model)
        const models = [model, ...others.filter((other) => other !== model)]
        return serve({ models }, { reason: 'within_margin' }, { decision })
      },
      decided({ request }, plan) {
        if (request.hints.session_id === undefined) return
        if (plan.deciding.step !== STEP && !plan.decision) return
        last.set(request, sessionKey(request), plan.targets[0]!.model)
      },
    }
  },
}
