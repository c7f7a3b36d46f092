import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { type ErrorCode, WeirError } from '../../core/errors.ts'
import { BODY_LIMIT } from '../../core/json-body.ts'

/** The body of every refusal, on all endpoints: the shape that OpenAI clients expect. */
export const ErrorBody = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    code: Type.String(),
    param: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  }),
})
export type ErrorBody = Type.Static<typeof ErrorBody>

export interface ErrorAnswer {
  readonly status: number
  readonly body: ErrorBody
  /** seconds, for the Retry-After header */
  readonly retryAfter?: number
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
  const { status, code, message, retryAfter } = known
  const refusal = answer(status, errorType(status), code, message, known.param ?? null)
  return retryAfter === undefined ? refusal : { ...refusal, retryAfter }
}

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
  return { status, body: { error: { message, type, code, param } } }
}
