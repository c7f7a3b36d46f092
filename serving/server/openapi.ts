import type { TSchema } from 'typebox'
import { Decision, type Explanation, RouteRequest } from '../../models/decision/decision.ts'
import { FeedbackBody } from '../../records/feedback/body.ts'
import { STEP_NAMES } from '../gateway/contracts.ts'
import { ErrorBody } from '../gateway/error-body.ts'
import { FORWARDED } from '../upstreams/upstream.ts'
import { BatchRequest, BatchResponse } from './routes/batch.ts'
import { ChatRequest } from './routes/chat.ts'
import { FeedbackAnswer } from './routes/feedback.ts'
import { MessagesRequest, ResponsesRequest } from './routes/other-apis.ts'
import { PassedRequest } from './routes/passed.ts'
import { ModelList } from './routes/read-only.ts'

/**
 * The endpoints in OpenAPI 3.1, whose schemas are JSON Schema: the same that requests are checked with.
 *
 * @param gateway whether the server also answers chats
 * @param steps names of the policy's steps
 */
export function openApiDocument(
  gateway = false,
  steps: readonly string[] = STEP_NAMES,
): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weir',
      version: '1',
      description: 'Which model should answer this prompt: a learned router over HTTP.',
    },
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    security: [{}, { key: [] }],
    paths: {
      '/route': {
        post: {
          operationId: 'route',
          summary:
            'Routes one prompt or conversation. All turns, the system prompt and the names of tools count.',
          requestBody: body(RouteRequest, ROUTE_EXAMPLE),
          responses: {
            200: examples('The decision', Decision, {
              decision: DECISION_EXAMPLE,
              explained: { ...DECISION_EXAMPLE, explanation: FEATURES_EXAMPLE },
              'explained by neighbours': { ...DECISION_EXAMPLE, explanation: NEIGHBOURS_EXAMPLE },
            }),
            ...REFUSALS,
          },
        },
      },
      '/route/batch': {
        post: {
          operationId: 'routeBatch',
          summary:
            'Routes up to 1,000 requests; one that is wrong gets its error and spoils no other.',
          requestBody: body(BatchRequest, { requests: [ROUTE_EXAMPLE, { prompt: '' }] }),
          responses: { 200: json('A decision or an error each', BatchResponse), ...REFUSALS },
        },
      },
      '/feedback': {
        post: {
          operationId: 'feedback',
          summary: 'Records how good the answer to a decision was. Answered once it is on disk.',
          requestBody: body(FeedbackBody, {
            decision_id: DECISION_EXAMPLE.id,
            score: 1,
            source: 'user',
          }),
          responses: { 200: json('Recorded', FeedbackAnswer), ...REFUSALS },
        },
      },
      ...(gateway ? gatewayPaths(headers(steps)) : {}),
      '/v1/models': {
        get: {
          operationId: 'models',
          summary: 'Router names, aliases and splits that a request may give.',
          responses: { 200: json('The names', ModelList) },
        },
      },
      '/health': {
        get: {
          operationId: 'health',
          summary: 'Whether the process lives.',
          responses: { 200: { description: 'It lives' } },
        },
      },
      '/ready': {
        get: {
          operationId: 'ready',
          summary: 'Whether it can route.',
          responses: {
            200: { description: 'It can' },
            503: json('Loading, or an encoder is down', ErrorBody),
          },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Counters and histograms for Prometheus.',
          responses: { 200: { description: 'Prometheus text' } },
        },
      },
    },
  }
}

const ROUTE_EXAMPLE = { prompt: 'Prove that the square root of 2 is irrational.' }

const DECISION_EXAMPLE: Decision = {
  id: '0a4a7b6e-6c3f-4f1e-9a55-0a8f3f8f3c55',
  object: 'routing.decision',
  created: 1_763_000_000,
  router: { name: 'demo', version: '2244b138dcc40923' },
  model: 'big-1',
  win_rate: 0.7312,
  threshold: 0.6132,
  calibrated: true,
  candidates: [
    {
      model: 'big-1',
      score: 0.7312,
      eligible: true,
      reason: 'chosen',
      est_cost_usd: 0.0061,
      propensity: 1,
    },
    {
      model: 'small-1',
      score: 0.2688,
      eligible: true,
      reason: 'next',
      est_cost_usd: 0.0002,
      propensity: 0,
    },
  ],
  reason: 'win_rate_reached',
  fallback: false,
  fallback_reason: null,
  propensity: 1,
  timing_ms: 0.061,
  truncated: false,
}

/** With `explain: true`: for a linear head the features that moved it, the largest first. */
const FEATURES_EXAMPLE: Explanation = {
  features: [
    { name: 'prove', contribution: 0.41 },
    { name: 'square root', contribution: 0.22 },
    { name: '[length (characters)]', contribution: -0.07 },
  ],
  rules: [
    { step: 'allow_list', matched: true, reason: 'leaves out small-2' },
    { step: 'rule', matched: true, name: 'maths', reason: 'matched' },
    {
      step: 'policy',
      name: 'main@5d41402abc4b',
      matched: true,
      reason: 'would ask big-1, by rule maths (matched)',
    },
  ],
  flip: { threshold: 0.7312, when: 'above', model: 'small-1' },
}

/**
 * For a head that compares with training prompts: those prompts (weights of neighbours, others and prior add
 * up to 1), and how much the log-odds lose without each part of the prompt.
 */
const NEIGHBOURS_EXAMPLE: Explanation = {
  features: [
    { name: '“Prove”', contribution: 0.38 },
    { name: '“irrational.”', contribution: 0.21 },
  ],
  neighbours: [
    {
      prompt_hash: '414bc377ac4c9bfc',
      similarity: 0.83,
      weight: 0.21,
      win_rate: 1,
      strong: 1,
      weak: 0,
      text: 'Show that the square root of 3 is irrational.',
    },
  ],
  neighbourhood: {
    win_rate: 0.7312,
    others: { count: 99, weight: 0.7, win_rate: 0.66 },
    prior: { weight: 0.09, win_rate: 0.66 },
  },
  rules: [],
  flip: { threshold: 0.7312, when: 'above', model: 'small-1' },
}

const REFUSALS = {
  400: json('The request is not valid', ErrorBody, {
    error: {
      message: 'expected a prompt with text in it, got ""',
      type: 'invalid_request_error',
      code: 'prompt_empty',
      param: 'prompt',
    },
  }),
  401: json('No key, or an unknown one', ErrorBody),
  413: json('The prompt or body is too large', ErrorBody),
  429: json('Too many requests of this key; Retry-After says when', ErrorBody),
  503: json('Not ready, or at its limit; Retry-After says when', ErrorBody),
}

function json(description: string, schema: unknown, example?: unknown): Record<string, unknown> {
  const content = example === undefined ? { schema } : { schema, example }
  return { description, content: { 'application/json': content } }
}

function examples(
  description: string,
  schema: unknown,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const named = Object.entries(values).map(([name, value]) => [name, { value }] as const)
  const content = { schema, examples: Object.fromEntries(named) }
  return { description, content: { 'application/json': content } }
}

function body(schema: unknown, example: unknown): Record<string, unknown> {
  return { required: true, content: { 'application/json': { schema, example } } }
}

/** Headers of an answer; a test drives the gateway and checks that this list is complete. */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  'x-weir-id': 'The request’s own id: feedback may name it, and the log line bears it.',
  'x-weir-step': 'The policy step that decided',
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

/** The endpoints that OpenAI's clients call, if a gateway is served. */
function gatewayPaths(headers: Record<string, unknown>): Record<string, unknown> {
  return {
    '/v1/chat/completions': {
      post: {
        operationId: 'chat',
        summary:
          'Answers a chat by the model that policy and router pick. `model` is weir/<router or alias>, weir/auto, a route of the policy, or a model’s own name; `weir` says what routing should know and goes no further. All other fields pass to the upstream untouched, and its answer comes back as it is.',
        requestBody: gatewayBody(ChatRequest, CHAT_EXAMPLE),
        responses: {
          200: {
            ...answer(
              'The upstream’s answer; with stream: true, server-sent events of chunks that end with data: [DONE]',
              ANSWER_EXAMPLE,
            ),
            headers,
          },
          ...GATEWAY_REFUSALS,
        },
      },
    },
    '/v1/responses': passed(
      'responses',
      ResponsesRequest,
      'Answers a request of OpenAI’s Responses API by the model that policy and router pick. An upstream that has this API gets the request as it is, any other as a chat.',
      { model: 'weir', input: 'Say hello.' },
      { id: 'resp_1', object: 'response', status: 'completed', model: 'big-1', output: [] },
      headers,
    ),
    '/v1/messages': passed(
      'messages',
      MessagesRequest,
      'Answers a request of Anthropic’s Messages API by the model that policy and router pick. Errors have Anthropic’s shape; the key may be in x-api-key.',
      { model: 'weir', max_tokens: 400, messages: [{ role: 'user', content: 'Say hello.' }] },
      {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'big-1',
        content: [{ type: 'text', text: 'Hello.' }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 9, output_tokens: 3 },
      },
      headers,
    ),
    '/v1/messages/count_tokens': passed(
      'countTokens',
      MessagesRequest,
      'Counts the tokens of a request of the Messages API: by Anthropic’s API for a model that is named and behind it, else an estimate.',
      { model: 'weir', messages: [{ role: 'user', content: 'Say hello.' }] },
      { input_tokens: 10 },
      {},
    ),
    '/v1/embeddings': passed(
      'embeddings',
      PassedRequest,
      'Passes texts on to the embedding model it names.',
      { model: 'embed-1', input: ['first text', 'second text'] },
      {
        object: 'list',
        model: 'embed-1',
        data: [{ object: 'embedding', index: 0, embedding: [0.12, -0.03] }],
      },
      headers,
    ),
    ...Object.fromEntries(
      FORWARDED.map((name) => [
        `/v1/${name}`,
        {
          post: {
            operationId: name,
            summary: `Sends on the request as it is, to the model it names or the default upstream; as are /v1/${name}/..., GET and DELETE.`,
            responses: { 200: answer('The upstream’s answer', {}), ...GATEWAY_REFUSALS },
          },
        },
      ]),
    ),
  }
}

function passed(
  operationId: string,
  schema: TSchema,
  summary: string,
  request: Readonly<Record<string, unknown>>,
  example: Readonly<Record<string, unknown>>,
  headers: Record<string, unknown>,
): Record<string, unknown> {
  return {
    post: {
      operationId,
      summary,
      requestBody: gatewayBody(schema, request),
      responses: {
        200: { ...answer('The upstream’s answer', example), headers },
        ...GATEWAY_REFUSALS,
      },
    },
  }
}

const GATEWAY_REFUSALS = {
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

function headers(steps: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(ANSWER_HEADERS).map(([name, description]) => [
      name,
      {
        description: name === 'x-weir-step' ? `${description}: ${steps.join(', ')}` : description,
        schema: { type: 'string' },
      },
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

const gatewayBody = (schema: unknown, example: unknown) => ({
  required: true,
  content: { 'application/json': { schema, example } },
})

/** The page at `/docs`: the endpoints of an OpenAPI document, readable without scripts or network. */
export function docsPage(document: Record<string, unknown>): string {
  const { info, paths } = document as unknown as OpenApi
  const sections = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(path, method, operation)),
  )
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(info.title)}: endpoints</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px; font-size: 13px }
h2 code { font-size: 1.1rem } h2 b { font-size: .8rem; letter-spacing: .05em; margin-right: .5rem }
</style>
<h1>${escapeHtml(info.title)}</h1>
<p>${escapeHtml(info.description)} The schemas are in <a href="/openapi.json">/openapi.json</a>.</p>
${sections.join('\n')}
</html>
`
}

interface Content {
  readonly content?: {
    readonly 'application/json'?: {
      readonly example?: unknown
      readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
    }
  }
  readonly headers?: Readonly<Record<string, { readonly description: string }>>
}
interface Operation {
  readonly summary: string
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content & { readonly description: string }>>
}
interface OpenApi {
  readonly info: { readonly title: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

function section(path: string, method: string, operation: Operation): string {
  const request = exampleOf(operation.requestBody)
  const answers = Object.entries(operation.responses).map(
    ([status, response]) =>
      `<li><code>${status}</code> ${escapeHtml(response.description)}${headersOf(response)}${exampleOf(response)}</li>`,
  )
  return `<h2><b>${method.toUpperCase()}</b><code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(operation.summary)}</p>${request}<ul>${answers.join('')}</ul>`
}

function exampleOf(body: Content | undefined): string {
  const { example, examples = {} } = body?.content?.['application/json'] ?? {}
  if (example !== undefined) return pre(example)
  return Object.entries(examples)
    .map(([name, { value }]) => `<p>${escapeHtml(name)}:</p>${pre(value)}`)
    .join('')
}

const pre = (value: unknown): string => `<pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre>`

function headersOf({ headers = {} }: Content): string {
  const items = Object.entries(headers).map(
    ([name, { description }]) =>
      `<dt><code>${escapeHtml(name)}</code></dt><dd>${escapeHtml(description)}</dd>`,
  )
  return items.length === 0 ? '' : `<dl>${items.join('')}</dl>`
}

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
