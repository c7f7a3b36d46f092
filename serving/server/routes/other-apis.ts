import type { FastifyInstance, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { BodyText } from '../../../core/json/large.ts'
import { assertMetadata } from '../../../models/decision/route-request.ts'
import { LIST_LIMIT, MESSAGES_LIMIT, NAME_LIMIT } from '../../../models/reading/messages.ts'
import { type ClientApi, readClientBody } from '../../conversation/client-api.ts'
import { type Fields, UntranslatableRequest } from '../../conversation/form.ts'
import type { GatewayRequest, RequestHints } from '../../gateway/contracts.ts'
import type { Gateway } from '../../gateway/gateway.ts'
import { needsOf } from '../../gateway/needs.ts'
import { withSession } from '../../gateway/sessions.ts'
import { editJson } from '../../upstreams/body-text.ts'
import type { ChatBody, PassedBody } from '../../upstreams/upstream.ts'
import { declaredHints } from '../context-header.ts'
import type { Services } from '../services.ts'
import { type AnswerTurns, RequestHintsSchema, UserName } from './chat.ts'
import { payloadOf, sendForwarded } from './forwarded.ts'
import { withClient } from './passed.ts'

/** A text, or a list of parts; what the parts are is read later. */
const Content = Type.Union([
  Type.String(),
  Type.Array(Type.Object({ type: Type.String({ maxLength: NAME_LIMIT }) })),
])

/** The fields of `POST /v1/messages` that routing needs. */
export const MessagesRequest = Type.Object({
  model: Type.String({ minLength: 1, maxLength: 200 }),
  messages: Type.Array(
    Type.Object({ role: Type.String({ minLength: 1, maxLength: NAME_LIMIT }), content: Content }),
    { minItems: 1, maxItems: MESSAGES_LIMIT },
  ),
  system: Type.Optional(Content),
  max_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
  tools: Type.Optional(Type.Array(Type.Object({}), { maxItems: LIST_LIMIT })),
  stream: Type.Optional(Type.Boolean()),
  weir: Type.Optional(RequestHintsSchema),
})

/** The fields of `POST /v1/responses` that routing needs. */
export const ResponsesRequest = Type.Object({
  model: Type.String({ minLength: 1, maxLength: 200 }),
  input: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.Object({}), { maxItems: MESSAGES_LIMIT })]),
  ),
  instructions: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  tools: Type.Optional(Type.Array(Type.Object({}), { maxItems: LIST_LIMIT })),
  stream: Type.Optional(Type.Boolean()),
  previous_response_id: Type.Optional(
    Type.Union([Type.String({ minLength: 1, maxLength: 1000 }), Type.Null()]),
  ),
  user: UserName,
  weir: Type.Optional(RequestHintsSchema),
})

const ROUTES = [
  { api: 'messages', schema: MessagesRequest },
  { api: 'responses', schema: ResponsesRequest },
] as const

/** `POST /v1/messages` (and its `count_tokens`) and `POST /v1/responses`, routed as chats are. */
export function addOtherApiRoutes(
  app: FastifyInstance,
  services: Services,
  gateway: Gateway,
  turns: AnswerTurns,
): void {
  const { log, bodyLimit } = services
  for (const { api, schema } of ROUTES) {
    app.post(`/v1/${api}`, { schema: { body: schema }, bodyLimit }, (request, reply) => {
      const asked = askedOf(api, request, services, gateway)
      turns.add(reply, log?.room(), (cancelled) => gateway.chat(asked, cancelled))
    })
  }
  const counted = { schema: { body: MessagesRequest }, bodyLimit }
  app.post('/v1/messages/count_tokens', counted, async (request, reply) => {
    const asked = askedOf('messages', request, services, gateway)
    const { client, body } = asked
    const backends = gateway.dispatcher.models.get(body.model)?.backends ?? []
    if (!backends.some(({ upstream }) => upstream.forwards?.includes(COUNTING))) {
      // which model would answer is not known yet, or its API does not count
      reply.header('x-weir-adjusted', 'tokens estimated')
      return { input_tokens: Math.max(1, needsOf(body).promptTokens) }
    }
    const text = client!.text ?? JSON.stringify(client!.body)
    const withModel = (model: string): string | Buffer =>
      payloadOf(editJson(text, { model: JSON.stringify(model) })) ??
      JSON.stringify({ ...client!.body, model })
    const passed = { ...asked, passed: client!.body as PassedBody }
    const sent = {
      method: 'POST' as const,
      path: COUNTING,
      query: '',
      headers: { 'content-type': 'application/json' },
      body: payloadOf(text),
      withModel,
    }
    const outcome = await withClient(reply, (gone) =>
      gateway.forward('messages', passed, sent, gone),
    )
    await sendForwarded(reply, outcome)
    return reply
  })
}

/** Where Anthropic's API counts the tokens of a body, which is not billed. */
const COUNTING = '/messages/count_tokens'

/** The request that a client's body is, for the gateway. @throws request_invalid, response_unknown */
function askedOf(
  api: ClientApi,
  { body, bodyText, caller, headers }: FastifyRequest,
  { ids, storedIds, now }: Services,
  { dispatcher }: Gateway,
): GatewayRequest {
  const { weir, ...given } = body as { readonly weir?: RequestHints } & Fields
  assertMetadata(weir?.metadata, 'weir.metadata')
  let text = weir === undefined ? bodyText : editJson(bodyText, { weir: null })
  let own: Fields = given
  const { previous_response_id: before } = given
  const stored = typeof before === 'string' ? storedIds.open(before, caller.name) : undefined
  if (stored) {
    own = { ...given, previous_response_id: stored.id }
    text = text && editJson(text, { previous_response_id: JSON.stringify(stored.id) })
  } else if (typeof before === 'string' && !dispatcher.models.has(String(given.model))) {
    throw new WeirError(
      'request_invalid',
      {
        where: 'previous_response_id',
        expected:
          'the id of an answer that was routed here, or a model named in "model" that keeps it',
        got: before.slice(0, 100),
      },
      { param: 'previous_response_id' },
    )
  }
  const { chat, client } = readBody(api, own, text)
  const declared = declaredHints(weir, headers['x-weir-context'])
  const hints = withSession(declared, headers, given)
  return {
    id: ids.next(caller.name),
    body: chat as unknown as ChatBody,
    client,
    caller,
    headers,
    takesBytes: true,
    // the model that keeps the conversation
    hints: stored ? { ...hints, models: [stored.model] } : hints,
    pinned: stored,
    storedIds,
    time: now(),
  }
}

function readBody(
  api: ClientApi,
  body: Fields,
  text: BodyText | undefined,
): ReturnType<typeof readClientBody> {
  try {
    return readClientBody(api, body, text)
  } catch (error) {
    if (!(error instanceof UntranslatableRequest)) throw error
    const [, where = 'body', expected = error.message, got = 'something else'] =
      /^([\w.]+): expected (.*?), got (.*)$/.exec(error.message) ?? []
    const { param } = error
    throw new WeirError(
      'request_invalid',
      { where, expected, got },
      param === undefined ? {} : { param },
    )
  }
}
