import type { FastifyInstance, FastifyReply } from 'fastify'
import Type from 'typebox'
import { assertMetadata } from '../../../models/decision/route-request.ts'
import { ChatMessage, LIST_LIMIT, MESSAGES_LIMIT } from '../../../models/reading/messages.ts'
import type { GatewayRequest } from '../../gateway/contracts.ts'
import type { Gateway, OnCancel, Outcome } from '../../gateway/gateway.ts'
import { sendOutcome } from '../../gateway/reply.ts'
import { withSession } from '../../gateway/sessions.ts'
import type { LoadGate } from '../../state/load-gate.ts'
import { TurnQueue } from '../../state/turn-queue.ts'
import type { Tracing } from '../../telemetry/tracing.ts'
import { editJson } from '../../upstreams/body-text.ts'
import type { ChatBody } from '../../upstreams/upstream.ts'
import { declaredHints } from '../context-header.ts'
import type { Services } from '../services.ts'

/** The body's `weir` object: the client's routing options. Never sent upstream. */
export const RequestHintsSchema = Type.Object(
  {
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    session_id: Type.Optional(Type.String({ maxLength: 1000 })),
    previous_model: Type.Optional(Type.String({ maxLength: 200 })),
    models: Type.Optional(
      Type.Array(Type.String({ maxLength: 200 }), {
        minItems: 1,
        maxItems: LIST_LIMIT,
        description: 'allow-list',
      }),
    ),
    deadline_ms: Type.Optional(Type.Number({ minimum: 1, maximum: 2_147_483_647 })),
    max_latency_ms: Type.Optional(Type.Number({ minimum: 1 })),
    max_ttft_ms: Type.Optional(
      Type.Number({ minimum: 1, description: 'longest usual time to the first token' }),
    ),
    max_total_ms: Type.Optional(
      Type.Number({ minimum: 1, description: 'longest usual time of a whole answer' }),
    ),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { maxProperties: LIST_LIMIT }),
    ),
    rate_limit_wait_ms: Type.Optional(
      Type.Number({ minimum: 0, description: 'longest wait for a rate limit to pass' }),
    ),
    include_cost: Type.Optional(
      Type.Boolean({
        description: 'tell the US dollars beside the token counts, as usage.cost_usd',
      }),
    ),
    explain: Type.Optional(
      Type.Boolean({ description: 'say in x-weir-steps what each step of the policy said' }),
    ),
  },
  { additionalProperties: false },
)

/** `user` of a body, which goes upstream as it is. */
export const UserName = Type.Optional(Type.Union([Type.String({ maxLength: 1000 }), Type.Null()]))

/** The fields that routing needs; the upstream checks all others, which are passed on unchanged. */
export const ChatRequest = Type.Object({
  model: Type.String({ minLength: 1, maxLength: 200 }),
  messages: Type.Array(ChatMessage, { minItems: 1, maxItems: MESSAGES_LIMIT }),
  stream: Type.Optional(Type.Boolean()),
  /** the client's own user */
  user: UserName,
  weir: Type.Optional(RequestHintsSchema),
})
type ChatRequest = Type.Static<typeof ChatRequest>

/** `POST /v1/chat/completions`, as called by OpenAI's clients. */
export function addChatRoute(
  app: FastifyInstance,
  services: Services,
  gateway: Gateway,
  turns: AnswerTurns,
): void {
  const { ids, log, now, bodyLimit } = services
  app.post<{ Body: ChatRequest }>(
    '/v1/chat/completions',
    { schema: { body: ChatRequest }, bodyLimit },
    ({ body, bodyText, caller, headers }, reply) => {
      assertMetadata(body.weir?.metadata, 'weir.metadata')
      const asked: GatewayRequest = {
        id: ids.next(caller.name),
        body: withoutHints(body) as ChatBody,
        text: body.weir === undefined ? bodyText : editJson(bodyText, { weir: null }),
        caller,
        headers,
        takesBytes: true,
        hints: withSession(declaredHints(body.weir, headers['x-weir-context']), headers, body),
        time: now(),
      }
      turns.add(reply, log?.room(), (cancelled) => gateway.chat(asked, cancelled))
    },
  )
}

/** A copy has a cost, so it is only made if there is something to leave out. */
function withoutHints(body: ChatRequest): Omit<ChatRequest, 'weir'> {
  if (body.weir === undefined) return body
  const { weir: _, ...rest } = body
  return rest
}

/** Answers one request. @param cancelled registers a function to call when the client disconnects */
export type Work = (cancelled: OnCancel) => Promise<Outcome>

interface Asked {
  readonly reply: FastifyReply
  readonly work: Work
}

interface Answered {
  readonly reply: FastifyReply
  readonly outcome: Outcome
}

/**
 * Requests that came in one turn of the event loop are processed together, and whole answers of one turn are
 * written together, which costs less than one by one. Streams do not wait for others.
 */
export class AnswerTurns {
  private readonly gate: LoadGate
  private readonly tracing: Tracing | undefined
  private readonly asked = new TurnQueue<Asked>((items) => {
    const { tracing } = this
    for (const item of items) {
      const scope = item.reply.request.traceScope
      // a turn's requests each have their own trace
      if (tracing && scope) void tracing.run(scope, () => this.begin(item))
      else void this.begin(item)
    }
  })
  private readonly answered = new TurnQueue<Answered>((items) => {
    for (const { reply, outcome } of items) void this.write(reply, outcome)
  })

  constructor({ gate, tracing }: Pick<Services, 'gate' | 'tracing'>) {
    this.gate = gate
    this.tracing = tracing
  }

  /** @param room what must be awaited first */
  add(reply: FastifyReply, room: Promise<void> | undefined, work: Work): void {
    this.gate.inFlight++
    const asked = { reply, work }
    if (room) void room.then(() => this.asked.add(asked))
    else this.asked.add(asked)
  }

  private async begin({ reply, work }: Asked): Promise<void> {
    try {
      const { raw } = reply
      const outcome = await work((cancel) => {
        // the client may have disconnected while waiting for its turn
        if (raw.destroyed) cancel()
        else raw.once('close', () => raw.writableFinished || cancel())
      })
      if (outcome.answer?.answer.kind === 'complete') this.answered.add({ reply, outcome })
      else void this.write(reply, outcome)
    } catch (error) {
      this.refuse(reply, error)
    }
  }

  private async write(reply: FastifyReply, outcome: Outcome): Promise<void> {
    try {
      await sendOutcome(reply, outcome)
      this.gate.inFlight--
    } catch (error) {
      this.refuse(reply, error)
    }
  }

  private refuse(reply: FastifyReply, error: unknown): void {
    this.gate.inFlight--
    // an answer that has begun cannot be replaced
    if (reply.sent) reply.raw.destroy()
    else void reply.send(error)
  }
}
