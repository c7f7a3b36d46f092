import type { FastifyInstance, FastifyReply } from 'fastify'
import Type from 'typebox'
import type { Gateway, OnCancel } from '../../gateway/gateway.ts'
import { sendOutcome } from '../../gateway/reply.ts'
import { passedTurns } from '../../policy/limits.ts'
import type { PassedBody } from '../../upstreams/upstream.ts'
import type { Services } from '../services.ts'
import { UserName } from './chat.ts'

export const PassedRequest = Type.Object({
  model: Type.String({ minLength: 1, maxLength: 200 }),
  stream: Type.Optional(Type.Boolean()),
  user: UserName,
})

/** `POST /v1/embeddings`: passed on to the named model; nothing is routed. */
export function addPassedRoute(
  app: FastifyInstance,
  services: Services,
  gateway: Gateway,
  endpoint: 'embeddings',
): void {
  const { gate, ids, now, bodyLimit } = services
  app.post<{ Body: PassedBody }>(
    `/v1/${endpoint}`,
    { schema: { body: PassedRequest }, bodyLimit },
    async (request, reply) => {
      const { body, bodyText, caller, headers } = request
      gate.inFlight++
      try {
        const asked = {
          id: ids.next(caller.name),
          body: { ...body, messages: services.policies ? passedTurns(body) : [] },
          passed: body,
          caller,
          headers,
          takesBytes: true,
          hints: {},
          time: now(),
        }
        const outcome = await withClient(reply, (gone) =>
          gateway.pass(endpoint, asked, body, bodyText, gone),
        )
        return await sendOutcome(reply, outcome)
      } finally {
        gate.inFlight--
      }
    },
  )
}

/** Handles a request, and notifies the work if the client disconnects before its answer was written. */
export function withClient<T>(
  reply: FastifyReply,
  work: (cancelled: OnCancel) => Promise<T>,
): Promise<T> {
  const { raw } = reply
  return work((cancel) => {
    // the client may have disconnected while its body was read
    if (raw.destroyed) cancel()
    else raw.once('close', () => raw.writableFinished || cancel())
  })
}
