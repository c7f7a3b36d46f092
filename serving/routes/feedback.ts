import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { Feedback, type FeedbackRecord } from '../../models/decision-log/record.ts'
import { WeirError } from '../../models/errors.ts'
import type { Services } from '../services.ts'

export const FeedbackAnswer = Type.Object({
  object: Type.Literal('routing.feedback'),
  decision_id: Type.String(),
})

/** `POST /feedback`: what came of a decision. Answered once it is on disk. */
export function addFeedbackRoute(app: FastifyInstance, services: Services): void {
  app.post<{ Body: Feedback }>(
    '/feedback',
    { schema: { body: Feedback, response: { 200: FeedbackAnswer } } },
    async (request) => {
      const { log, metrics, now } = services
      if (!log) {
        throw new WeirError('log_unavailable', { reason: 'the server was started without --log' })
      }
      const record: FeedbackRecord = { object: 'feedback', time: now(), ...request.body }
      log.append(JSON.stringify(record))
      await log.flushed()
      metrics?.feedback()
      return { object: 'routing.feedback' as const, decision_id: request.body.decision_id }
    },
  )
}
