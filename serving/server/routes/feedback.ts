import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
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
      const { body, caller } = request
      await rateDecision(services, body, caller)
      return { object: 'routing.feedback' as const, decision_id: body.decision_id }
    },
  )
}

/**
 * Keeps a caller's rating of a decision; resolves once it is on disk.
 *
 * @throws log_unavailable, request_invalid, decision_unknown, decision_of_another_key, sources_exceeded
 */
export async function rateDecision(
  { feedback, feedbackGuard, rate, now }: Services,
  body: FeedbackBody,
  caller: KeyHolder,
): Promise<void> {
  const record = { ...feedbackRecord(body, now()), ...givenBy(caller) }
  if (feedback) await feedbackGuard.check(body, caller)
  await rate(record)
}

/** What a record says of the key that gave it. */
const givenBy = (caller: KeyHolder): Pick<FeedbackRecord, 'key' | 'role'> => {
  if (caller === ANYONE) return {}
  return { key: caller.name, ...(caller.feedback === 'any' && { role: 'any' as const }) }
}
