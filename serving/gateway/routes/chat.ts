import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import type { Services } from '../../services.ts'
import type { ChatBody } from '../../upstreams/upstream.ts'
import type { Gateway } from '../gateway.ts'
import { RequestHints } from '../hints.ts'
import { sendOutcome } from '../reply.ts'
import { withClient } from './client-gone.ts'

/** What must be right to be routed; all else is the upstream's to judge and passes untouched. */
export const ChatRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  messages: Type.Array(
    Type.Object({
      role: Type.String({ minLength: 1 }),
      content: Type.Optional(
        Type.Union([
          Type.String(),
          Type.Null(),
          Type.Array(Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) })),
        ]),
      ),
    }),
    { minItems: 1 },
  ),
  stream: Type.Optional(Type.Boolean()),
  weir: Type.Optional(RequestHints),
})
type ChatRequest = Type.Static<typeof ChatRequest>

/** `POST /v1/chat/completions`, as OpenAI's clients ask it. */
export function addChatRoute(app: FastifyInstance, services: Services, gateway: Gateway): void {
  const { gate, log, now } = services
  app.post<{ Body: ChatRequest }>(
    '/v1/chat/completions',
    { schema: { body: ChatRequest } },
    async (request, reply) => {
      gate.inFlight++
      try {
        const room = log?.room()
        if (room) await room
        const { weir, ...body } = request.body
        const asked = {
          id: randomUUID(),
          body: body as ChatBody,
          caller: request.caller,
          headers: request.headers,
          hints: weir ?? {},
          time: now(),
        }
        const outcome = await withClient(reply, (gone) => gateway.chat(asked, gone))
        return await sendOutcome(reply, outcome)
      } finally {
        gate.inFlight--
      }
    },
  )
}
