import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { type ErrorCode, WeirError } from '../../core/errors.ts'
import { BODY_LIMIT } from '../../core/json/body.ts'
import type { ClientApi } from '../conversation/client-api.ts'
import { type SpokenError, UpstreamError } from '../upstreams/failure.ts'
import type { Attempt } from './contracts.ts'

/** The body of every refusal, on all endpoints: the shape that OpenAI clients expect. */
export const ErrorBody = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.Unsafe<unknown>({ type: 'string' }),
    /** ours, or an upstream's own */
    code: Type.Unsafe<unknown>({ type: ['string', 'number', 'null'] }),
    param: Type.Unsafe<unknown>({ type: ['string', 'null'] }),
  }),
})
export type ErrorBody = Type.Static<typeof ErrorBody>

export interface ErrorAnswer {
  readonly status: number
  readonly body: ErrorBody
  /** seconds, for the Retry-After header */
  readonly retryAfter?: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** our own code, from the error table: the body may have an upstream's */
  readonly reason: string
}

/**
 * Converts anything thrown while a request was handled into the client's error. An internal error shows only
 * its code: its message may contain file names.
 */
export function errorAnswer(error: unknown, request: RequestFacts): ErrorAnswer {
  const known = error instanceof WeirError ? error : fromFastify(error, request)
  if (!known || known.status === 500) {
    const code = known?.code ?? 'internal_error'
    return answer(500, 'server_error', code, 'the server failed; its log says why', null)
  }
  const { status, code, message, retryAfter, answerHeaders: headers } = known
  const refusal = answer(status, errorType(status), code, message, known.param ?? null)
  const spoken = known instanceof UpstreamError ? known.spoken : undefined
  // the upstream's own error: clients branch on its code
  const body = spoken ? { error: { ...refusal.body.error, ...ownFields(spoken) } } : refusal.body
  return { ...refusal, body, headers, ...(retryAfter === undefined ? {} : { retryAfter }) }
}

/** An upstream's error without the fields that it left empty. */
function ownFields(spoken: SpokenError): SpokenError {
  const { type, code, ...rest } = spoken
  return {
    ...rest,
    ...(typeof type === 'string' && type !== '' ? { type } : {}),
    ...(code === undefined ? {} : { code }),
  }
}

/** The API that the clients of a path use, for the shape of their errors. */
export const apiOfPath = (path: string): 'messages' | undefined =>
  /^\/v1\/messages(?=[/?]|$)/.test(path) ? 'messages' : undefined

/** An error as Anthropic's clients expect it. */
export function messagesError({ status, body }: ErrorAnswer, id: string | undefined): object {
  const { message, type, code, param } = body.error
  const own = ANTHROPIC_TYPES.has(String(type)) ? type : anthropicType(status)
  // our code and field beside it: clients of Weir branch on them
  return {
    type: 'error',
    error: { type: own, message, code, param },
    ...(id === undefined ? {} : { request_id: id }),
  }
}

const ANTHROPIC_TYPES = new Set([
  'invalid_request_error',
  'authentication_error',
  'billing_error',
  'permission_error',
  'not_found_error',
  'request_too_large',
  'rate_limit_error',
  'timeout_error',
  'api_error',
  'overloaded_error',
])

function anthropicType(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error'
    case 402:
      return 'billing_error'
    case 403:
      return 'permission_error'
    case 404:
      return 'not_found_error'
    case 413:
      return 'request_too_large'
    case 429:
      return 'rate_limit_error'
    case 408:
    case 504:
      return 'timeout_error'
    case 503:
    case 529:
      return 'overloaded_error'
    default:
      return status < 500 ? 'invalid_request_error' : 'api_error'
  }
}

/** The last event of a stream that broke: clients throw on it. */
export function errorEvent(error: WeirError, api: ClientApi | undefined): string {
  const facts = { method: 'POST', path: '', contentType: undefined }
  const answer = errorAnswer(error, facts)
  switch (api) {
    case 'messages':
      return `event: error\ndata: ${JSON.stringify(messagesError(answer, undefined))}\n\n`
    case 'responses': {
      const { message, code, param } = answer.body.error
      const data = { type: 'error', code, message, param }
      return `event: error\ndata: ${JSON.stringify(data)}\n\n`
    }
    default:
      return `data: ${JSON.stringify(answer.body)}\n\n`
  }
}

/** What is known of a request that failed. */
export interface FailedRequest {
  readonly id: string
  readonly attempts: readonly Attempt[]
}

/**
 * Headers of an answer that reports a failure: which request it was, whom it was sent to, and whether the
 * client should ask again. Clients retry what failed on their own, and would multiply our retries.
 */
export function failureHeaders(
  error: WeirError,
  { id, attempts }: FailedRequest,
): Record<string, string> {
  const upstream = error instanceof UpstreamError ? error : undefined
  const last = attempts.at(-1)
  const headers: Record<string, string> = {
    'x-request-id': id,
    ...upstream?.headers,
    'x-weir-id': id,
    'x-weir-attempts': String(attempts.length),
  }
  if (last) headers['x-weir-model'] = headerText(last.model)
  const name = upstream?.upstream ?? last?.upstream
  if (name !== undefined) headers['x-weir-upstream'] = headerText(name)
  if (!isWorthRetrying(error, attempts)) headers['x-should-retry'] = 'false'
  return headers
}

function isWorthRetrying(error: WeirError, attempts: readonly Attempt[]): boolean {
  if (error.code === 'gateway_deadline') return false
  if (!(error instanceof UpstreamError)) return true
  switch (error.kind) {
    case 'rejected':
    case 'misconfigured':
      // the client cannot mend the second, nor would asking again mend the first
      return false
    case 'timeout':
      return false
    case 'rate_limited':
      // where nobody was asked twice, the client is told when to come back
      return !attempts.some((one, i) => attempts.some((other, j) => j < i && isSame(one, other)))
    default:
      return attempts.length < 2
  }
}

const isSame = (a: Attempt, b: Attempt): boolean => a.model === b.model && a.upstream === b.upstream

/** Names may contain any letters; headers may not. */
export const headerText = (text: string): string =>
  /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text)

export function requestFacts(request: FastifyRequest): RequestFacts {
  return {
    method: request.method,
    path: request.url.slice(0, 200),
    contentType: request.headers['content-type'],
  }
}

export interface RequestFacts {
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
}

/** Errors of fastify and Node's HTTP parser, mapped to the error table. */
function fromFastify(error: unknown, request: RequestFacts): WeirError | undefined {
  const { code, statusCode, message } = (error ?? {}) as {
    code?: unknown
    statusCode?: unknown
    message?: unknown
  }
  const refuse = (name: ErrorCode, parameters: Record<string, unknown>): WeirError =>
    new WeirError(name, parameters, { cause: error })
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('body_too_large', { limit: BODY_LIMIT })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('content_type_invalid', { got: request.contentType ?? 'none' })
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return refuse('request_invalid', { where: 'body', expected: 'JSON', got: 'nothing' })
    case 'FST_ERR_NOT_FOUND':
      return refuse('route_not_found', { method: request.method, path: request.path })
  }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return refuse('request_invalid', {
      where: 'request',
      expected: 'valid JSON over HTTP',
      got: message,
    })
  }
  return undefined
}

function errorType(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  // OpenAI's type for exhausted quota
  if (status === 402) return 'insufficient_quota'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

function answer(
  status: number,
  type: string,
  code: string,
  message: string,
  param: string | null,
): ErrorAnswer {
  return { status, body: { error: { message, type, code, param } }, reason: code }
}
