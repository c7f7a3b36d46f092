import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import type { Services } from '../../services.ts'
import type { ChatBody } from '../../upstreams/upstream.ts'
import type { Gateway } from '../gateway.ts'
import { RequestHints } from '../hints.ts'
import type { GatewayRequest } from '../plan.ts'
import { AnswerTurns } from './answer-turns.ts'

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
  const turns = new AnswerTurns(gate)
  app.post<{ Body: ChatRequest }>(
    '/v1/chat/completions',
    { schema: { body: ChatRequest } },
    ({ body, bodyText, caller, headers }, reply) => {
      const asked: GatewayRequest = {
        id: randomUUID(),
        body: withoutHints(body) as ChatBody,
        ...(body.weir === undefined ? { text: bodyText } : {}),
        caller,
        headers,
        hints: body.weir ?? NO_HINTS,
        time: now(),
      }
      turns.add(reply, log?.room(), (cancelled) => gateway.chat(asked, cancelled))
    },
  )
}

const NO_HINTS = {}

/** A copy costs, so only where there is something to leave out. */
function withoutHints(body: ChatRequest): Omit<ChatRequest, 'weir'> {
  if (body.weir === undefined) return body
  const { weir: _, ...rest } = body
  return rest
}
