import { Decision, RouteRequest } from '../models/decision.ts'
import { ErrorBody } from './error-body.ts'

/** The endpoints in OpenAPI 3.1, whose schemas are JSON Schema: the ones requests are checked by. */
export function openApiDocument(): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weir',
      version: '1',
      description: 'Which model should answer this prompt: a learned router over HTTP.',
    },
    paths: {
      '/route': {
        post: {
          operationId: 'route',
          summary: 'Route one prompt or conversation',
          requestBody: {
            required: true,
            content: { 'application/json': { schema: RouteRequest, example: ROUTE_EXAMPLE } },
          },
          responses: {
            200: json('The decision', Decision),
            400: json('The request is not valid', ErrorBody),
            413: json('The prompt or body is too large', ErrorBody),
            503: json('Not ready', ErrorBody),
          },
        },
      },
      '/health': { get: { operationId: 'health', responses: { 200: { description: 'Alive' } } } },
      '/ready': {
        get: {
          operationId: 'ready',
          responses: { 200: { description: 'Can route' }, 503: json('Still loading', ErrorBody) },
        },
      },
    },
  }
}

const ROUTE_EXAMPLE = { prompt: 'Prove that the square root of 2 is irrational.' }

function json(description: string, schema: unknown): Record<string, unknown> {
  return { description, content: { 'application/json': { schema } } }
}
