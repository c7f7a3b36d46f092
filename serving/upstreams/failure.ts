import { ERRORS, type ErrorCode, WeirError } from '../../core/errors.ts'
import { AnsweredError, MalformedAnswer } from './dialect.ts'

/** How an upstream failed, which determines what may be done about it. */
export type FailureKind =
  /** no connection: nothing was sent, so nothing is billed */
  | 'unreachable'
  /** no answer within its time limit */
  | 'timeout'
  /** 429 */
  | 'rate_limited'
  /** 408, 409, 5xx */
  | 'server_error'
  /** any other 4xx: the request is wrong, and another upstream would refuse it too */
  | 'rejected'
  /** 401, 403, 404: our key or model name is wrong; another upstream may work */
  | 'misconfigured'
  /** not a valid answer: no JSON, no choices, no events */
  | 'malformed'
  /** broken off after the answer had begun */
  | 'broken'

const CODES: Record<FailureKind, ErrorCode> = {
  unreachable: 'upstream_unreachable',
  timeout: 'upstream_timeout',
  rate_limited: 'upstream_rate_limited',
  server_error: 'upstream_failed',
  rejected: 'upstream_rejected',
  misconfigured: 'upstream_misconfigured',
  malformed: 'upstream_malformed',
  broken: 'upstream_broken',
}

export interface FailureFacts {
  readonly upstream: string
  readonly reason: string
  /** the status of its answer, if there was one */
  readonly status?: number
  /** the wait it asked for in Retry-After */
  readonly retryAfterMs?: number
  /** its error body, sent on to the client if the kind is `rejected` */
  readonly body?: string
  readonly cause?: unknown
}

/** One attempt that failed. */
export class UpstreamError extends WeirError {
  override readonly status: number
  readonly kind: FailureKind
  readonly upstream: string
  readonly upstreamStatus: number | undefined
  readonly retryAfterMs: number | undefined
  readonly body: string | undefined

  constructor(kind: FailureKind, facts: FailureFacts) {
    const { upstream, reason, status, retryAfterMs, body, cause } = facts
    super(
      CODES[kind],
      { upstream, reason },
      {
        cause,
        ...(retryAfterMs === undefined ? {} : { retryAfter: Math.ceil(retryAfterMs / 1000) }),
      },
    )
    // the client must fix a request that was refused, so it gets the upstream's status
    this.status = kind === 'rejected' && status !== undefined ? status : ERRORS[CODES[kind]].status
    this.kind = kind
    this.upstream = upstream
    this.upstreamStatus = status
    this.retryAfterMs = retryAfterMs
    this.body = body
  }

  /** Whether asking again, here or elsewhere, may help. */
  get retryable(): boolean {
    return this.kind !== 'rejected'
  }
}

/** The failure for a status other than 2xx. */
export function refusalOf(
  upstream: string,
  { status, headers }: AnswerHead,
  body: string,
  now: number,
): UpstreamError {
  const wait = retryAfterMs(headers, now)
  const kind = kindOf(status)
  return new UpstreamError(kind, {
    upstream,
    // the text may quote our key, so it is only passed on if the refusal is about the client's request
    reason: kind === 'rejected' ? said(body, status) : `HTTP ${status}`,
    status,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
    ...(kind === 'rejected' ? { body } : {}),
  })
}

/** The status and headers of an answer. */
export interface AnswerHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

function kindOf(status: number): FailureKind {
  if (status === 429) return 'rate_limited'
  if (status >= 500 || status === 408 || status === 409 || status === 425) return 'server_error'
  // redirects are not followed: they could lead anywhere
  if (status < 400 || status === 401 || status === 403 || status === 404) return 'misconfigured'
  return 'rejected'
}

function said(body: string, status: number): string {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } }
    if (typeof error?.message === 'string') return error.message.slice(0, 300)
  } catch {
    // not JSON
  }
  return `HTTP ${status}`
}

/**
 * Classifies anything that an attempt threw.
 *
 * @param watch why the caller gave up, if it did; the limit that was exceeded, in milliseconds
 * @param begun part of the answer had come
 */
export function failureOf(
  error: unknown,
  upstream: string,
  watch: { readonly givenUp: unknown; readonly late: number | undefined },
  begun = false,
): Error {
  if (error instanceof WeirError) return error
  const { givenUp, late } = watch
  if (givenUp !== undefined) return cancelled(givenUp)
  const fail = (kind: FailureKind, reason: string): UpstreamError =>
    new UpstreamError(kind, { upstream, reason, cause: error })
  if (late !== undefined) {
    return fail(begun ? 'broken' : 'timeout', `silent for ${Math.round(late)} ms`)
  }
  const { message } = error as Error
  if (error instanceof MalformedAnswer || error instanceof RangeError) {
    return fail(begun ? 'broken' : 'malformed', message)
  }
  if (error instanceof AnsweredError) return fail(begun ? 'broken' : 'server_error', message)
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (UNCONNECTED.has(code)) return fail('unreachable', code)
  return fail('broken', code || message)
}

/** The error to throw when the caller gave up for this reason. */
export function cancelled(reason: unknown): WeirError {
  return reason instanceof WeirError
    ? reason
    : new WeirError('cancelled', { signal: 'the client' }, { cause: reason })
}

/** Error codes that mean that no request was sent at all. */
const UNCONNECTED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/**
 * Milliseconds that a Retry-After header asks for: seconds or an HTTP date (RFC 9110, 10.2.3). OpenAI's
 * `retry-after-ms` is more precise.
 *
 * @param now milliseconds since 1970
 */
export function retryAfterMs(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  now: number,
): number | undefined {
  const fine = Number(headers['retry-after-ms'] ?? Number.NaN)
  if (fine >= 0) return fine
  const value = headers['retry-after']
  if (typeof value !== 'string' || value.trim() === '') return undefined
  const seconds = Number(value)
  if (seconds >= 0) return seconds * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
