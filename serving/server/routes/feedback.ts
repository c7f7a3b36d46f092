import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { FeedbackRecord } from '../../../records/decision-record.ts'
import { FeedbackBody, feedbackRecord } from '../../../records/feedback/body.ts'
import { ANYONE, type KeyHolder } from '../../router/keys.ts'
import type { Services } from '../services.ts'

export const FeedbackAnswer = Type.Object({
  object: Type.Literal('routing.feedback'),
  decision_id: Type.String(),
})

/** `POST /feedback`: the outcome of a decision. Answered once it is on disk. */
export function addFeedbackRoute(app: FastifyInstance, services: Services): void {
  app.post<{ Body: FeedbackBody }>(
    '/feedback',
    { schema: { body: FeedbackBody, response: { 200: FeedbackAnswer } } },
    async (request) => {
      const { feedback, metrics, alarms, online, now } = services
      if (!feedback) {
        throw new WeirError('log_unavailable', {
          reason: 'the server was started without --log or --store',
        })
      }
      const { caller } = request
      const record = { ...feedbackRecord(request.body, now()), ...givenBy(caller) }
      await services.feedbackGuard.check(request.body, caller)
      await feedback.record(record)
      alarms?.feedback(record)
      online?.feedback(record)
      metrics.feedback()
      return { object: 'routing.feedback' as const, decision_id: request.body.decision_id }
    },
  )
}

/** What a record says of the key that gave it. */
const givenBy = (caller: KeyHolder): Pick<FeedbackRecord, 'key' | 'role'> => {
  if (caller === ANYONE) return {}
  return { key: caller.name, ...(caller.feedback === 'any' && { role: 'any' as const }) }
}
