import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { FeedbackBody, feedbackRecord } from '../../../records/feedback/body.ts'
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
      const record = feedbackRecord(request.body, now())
      await services.feedbackGuard.check(request.body, request.caller)
      await feedback.record(record)
      alarms?.feedback(record, request.caller.name)
      online?.feedback(record)
      metrics.feedback()
      return { object: 'routing.feedback' as const, decision_id: request.body.decision_id }
    },
  )
}
