import type { TSchema } from 'typebox'
import { ErrorBody } from '../../gateway/error-body.ts'
import { ENDPOINTS, type Endpoint, Session, SignIn } from './contract.ts'

/**
 * The console's endpoints in OpenAPI 3.1, from the table that their requests are checked with.
 *
 * @param api the path before each name, such as `/console/api`
 * @param names of the endpoints that are answered
 */
export function consoleDocument(api: string, names: readonly string[]): Record<string, unknown> {
  const offered = Object.entries<Endpoint>(ENDPOINTS).filter(([name]) => names.includes(name))
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weir: console',
      version: '1',
      description:
        'What the console’s pages ask. Programs send an API key with a `console` role, or the admin token, with each request; pages have the cookie of a session and send its `csrf` in x-weir-csrf.',
    },
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer' },
        session: {
          ...{ type: 'apiKey', in: 'cookie', name: 'weir_console_PORT' },
          description: 'Its name ends with the port of the address; without one, with `web`.',
        },
      },
    },
    security: [{ key: [] }, { session: [] }],
    paths: {
      [`${api}/session`]: {
        get: {
          operationId: 'consoleSession',
          summary: 'Who is signed in by the cookie; `session` is null if nobody.',
          security: [{}],
          responses: {
            200: json('The session', {
              type: 'object',
              required: ['session'],
              properties: { session: { anyOf: [Session, { type: 'null' }] } },
            }),
          },
        },
      },
      [`${api}/sign-in`]: {
        post: {
          operationId: 'consoleSignIn',
          summary: 'Starts a session and sets its cookie.',
          security: [{}],
          requestBody: { required: true, ...content(SignIn) },
          responses: { 200: json('The session', Session), ...REFUSALS },
        },
      },
      [`${api}/sign-out`]: {
        post: {
          operationId: 'consoleSignOut',
          summary: 'Ends the session of the cookie.',
          responses: {
            200: json('Ended', {
              type: 'object',
              properties: { signed_out: { type: 'boolean' } },
            }),
            ...REFUSALS,
          },
        },
      },
      ...Object.fromEntries(
        offered.map(([name, endpoint]) => [
          `${api}/${name}`,
          { [endpoint.body ? 'post' : 'get']: operation(name, endpoint) },
        ]),
      ),
    },
  }
}

function operation(name: string, { summary, role, query, body, answer }: Endpoint): object {
  const parameters = Object.entries(query?.properties ?? {}).map(([key, schema]) => ({
    ...{ name: key, in: 'query', required: query?.required?.includes(key) ?? false, schema },
  }))
  return {
    operationId: `console_${name}`,
    summary,
    description: `Needs the role ${role}, or one above it.`,
    ...(query && { parameters }),
    ...(body && { requestBody: { required: true, ...content(body) } }),
    responses: { 200: json('The answer', answer), ...REFUSALS },
  }
}

const content = (schema: TSchema | object) => ({ content: { 'application/json': { schema } } })
const json = (description: string, schema: TSchema | object) => ({
  description,
  ...content(schema),
})

const REFUSALS = {
  400: json('The request is not valid', ErrorBody),
  401: json('No session, or an unknown key', ErrorBody),
  403: json('Another role is needed, or the request is not of this console’s pages', ErrorBody),
  429: json('Too many wrong keys; Retry-After says when', ErrorBody),
}
