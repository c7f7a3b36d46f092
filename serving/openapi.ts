import { Decision, type Explanation, RouteRequest } from '../models/decision.ts'
import { FeedbackBody } from '../models/feedback/body.ts'
import { ErrorBody } from './error-body.ts'
import { gatewayPaths } from './openapi-gateway.ts'
import { BatchRequest, BatchResponse } from './routes/batch.ts'
import { FeedbackAnswer } from './routes/feedback.ts'
import { ModelList } from './routes/models.ts'

/**
 * The endpoints in OpenAPI 3.1, whose schemas are JSON Schema: the ones requests are checked by.
 *
 * @param gateway whether chats are answered as well
 */
export function openApiDocument(gateway = false): Record<string, unknown> {
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
      ...(gateway ? gatewayPaths() : {}),
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

/** With `explain: true`: of a linear head what moved it, the largest first. */
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
 * Of a head that asks training prompts, those (weights of neighbours, others and prior add up to 1), and what
 * the log-odds lose without each part of the prompt.
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
