import { ErrorBody } from './error-body.ts'
import { ChatRequest } from './gateway/routes/chat.ts'
import { PassedRequest } from './gateway/routes/passed.ts'

/** What comes back beside an answer; a test drives the gateway and finds none that is not here. */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  'x-weir-id': 'The request’s own id: feedback may name it, and the log line bears it.',
  'x-weir-step':
    'The step that decided: model_named, hard_limit, guardrail, rule, semantic, decide_by_model, sticky, learned, default, fallback.',
  'x-weir-reason': 'Why, in a word, such as win_rate_reached.',
  'x-weir-rule': 'The rule’s or route’s own name, where it has one.',
  'x-weir-policy': 'The policy file that decided: its name and the hash of its text.',
  'x-weir-steps': 'Each step’s word, where the request has `weir.explain`.',
  'x-weir-model': 'The model that answered.',
  'x-weir-upstream': 'The upstream that answered for it.',
  'x-weir-failover-from':
    'The model that was decided for, where another one answered as it failed.',
  'x-weir-decision': 'The learned router’s decision, for POST /feedback.',
  'x-weir-router': 'The router and version that made it.',
  'x-weir-win-rate': 'Its win rate.',
  'x-weir-threshold': 'The threshold that this was held against.',
  'x-weir-strategy':
    'How the models were asked, where not one after the other, and what came of it.',
  'x-weir-attempts': 'Questions to upstreams that it took.',
  'x-weir-cost-usd':
    'US dollars of all of them; not with a stream, whose tokens are counted when it ends.',
}

const CHAT_EXAMPLE = {
  model: 'weir/auto',
  messages: [{ role: 'user', content: 'Prove that the square root of 2 is irrational.' }],
  max_tokens: 400,
  weir: { session_id: 'a1', metadata: { tier: 'gold' } },
}

const ANSWER_EXAMPLE = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_763_000_000,
  model: 'big-1',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Suppose it were p/q in lowest terms …' },
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 17, completion_tokens: 212, total_tokens: 229 },
}

/** The endpoints that OpenAI's clients call, where a gateway is served. */
export function gatewayPaths(): Record<string, unknown> {
  return {
    '/v1/chat/completions': {
      post: {
        operationId: 'chat',
        summary:
          'Answers a chat by the model that policy and router pick. `model` is weir/<router or alias>, weir/auto, a route of the policy, or a model’s own name; `weir` says what routing should know and goes no further. All other fields pass to the upstream untouched, and its answer comes back as it is.',
        requestBody: body(ChatRequest, CHAT_EXAMPLE),
        responses: {
          200: {
            ...answer(
              'The upstream’s answer; with stream: true, server-sent events of chunks that end with data: [DONE]',
              ANSWER_EXAMPLE,
            ),
            headers: headers(),
          },
          ...REFUSALS,
        },
      },
    },
    '/v1/responses': passed(
      'responses',
      'Passes a request of the Responses API on to the model it names; a policy’s hard limits and guardrails hold, nothing is routed.',
      { model: 'big-1', input: 'Say hello.' },
      { id: 'resp_1', object: 'response', status: 'completed', model: 'big-1', output: [] },
    ),
    '/v1/embeddings': passed(
      'embeddings',
      'Passes texts on to the embedding model it names.',
      { model: 'embed-1', input: ['first text', 'second text'] },
      {
        object: 'list',
        model: 'embed-1',
        data: [{ object: 'embedding', index: 0, embedding: [0.12, -0.03] }],
      },
    ),
  }
}

function passed(
  operationId: string,
  summary: string,
  request: Readonly<Record<string, unknown>>,
  example: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return {
    post: {
      operationId,
      summary,
      requestBody: body(PassedRequest, request),
      responses: {
        200: { ...answer('The upstream’s answer', example), headers: headers() },
        ...REFUSALS,
      },
    },
  }
}

const REFUSALS = {
  400: error('The request is not valid'),
  401: error('No key, or an unknown one'),
  402: error('A budget is spent, or every model that is left is over one'),
  403: error('The policy refuses, or the key may not use this router', {
    message: 'no medical advice here',
    type: 'permission_error',
    code: 'policy_refused',
    param: null,
  }),
  404: error('It names a model that nobody serves', {
    message: 'no model named gpt-9; this gateway has: weir, big-1, small-1',
    type: 'invalid_request_error',
    code: 'model_not_served',
    param: 'model',
  }),
  413: error('The body is too large, or too long for every model that may take it'),
  429: error('Too many requests of this key, or of ours to the upstream; Retry-After says when'),
  502: error('Upstreams failed, sent no valid answer, or no answer passed its checks'),
  503: error('No upstream may be asked now, or the server is at its limit; Retry-After says when'),
  504: error('No answer within the request’s deadline'),
}

function headers(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(ANSWER_HEADERS).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]),
  )
}

function error(description: string, example?: Readonly<Record<string, unknown>>) {
  const content = example
    ? { schema: ErrorBody, example: { error: example } }
    : { schema: ErrorBody }
  return { description, content: { 'application/json': content } }
}

const answer = (description: string, example: unknown) => ({
  description,
  content: { 'application/json': { schema: { type: 'object' }, example } },
})

const body = (schema: unknown, example: unknown) => ({
  required: true,
  content: { 'application/json': { schema, example } },
})
