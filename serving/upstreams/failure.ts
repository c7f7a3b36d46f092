import { ERRORS, type ErrorCode, WeirError } from '../../core/errors.ts'
import { MalformedAnswer } from './dialect.ts'

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
  /** any other 4xx, or a code for it: the request is wrong, and another upstream would refuse it too */
  | 'rejected'
  /** 401, 402, 403, 404, no credit left: our key, account or model name is wrong; another upstream may work */
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

/** An upstream's own error: OpenAI's fields, and whatever else it says. */
export interface SpokenError {
  readonly message: string
  readonly type?: unknown
  readonly code?: unknown
  readonly param?: unknown
  readonly [field: string]: unknown
}

export interface FailureFacts {
  readonly upstream: string
  readonly reason: string
  /** the status of its answer, if there was one */
  readonly status?: number | undefined
  /** the wait it asked for */
  readonly retryAfterMs?: number | undefined
  /** whom to leave alone for a while: our key, or only this model of it */
  readonly pauses?: 'key' | 'model' | undefined
  /** its own error, sent on to the client if the request was refused */
  readonly spoken?: SpokenError | undefined
  /** its headers that the client gets */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly cause?: unknown
}

/** One attempt that failed. */
export class UpstreamError extends WeirError {
  override readonly status: number
  readonly kind: FailureKind
  readonly upstream: string
  readonly reason: string
  readonly upstreamStatus: number | undefined
  readonly retryAfterMs: number | undefined
  readonly pauses: 'key' | 'model' | undefined
  readonly spoken: SpokenError | undefined
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(kind: FailureKind, facts: FailureFacts) {
    const { upstream, reason, status, retryAfterMs, pauses, spoken, headers, cause } = facts
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
    this.reason = reason
    this.upstreamStatus = status
    this.retryAfterMs = retryAfterMs
    this.pauses = pauses
    this.spoken = spoken
    this.headers = headers
  }

  /** Whether asking again, here or elsewhere, may help. */
  get retryable(): boolean {
    return this.kind !== 'rejected'
  }
}

/** The status and headers of an answer. */
export interface AnswerHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** What is known of an attempt that threw. */
export interface AttemptFacts {
  /** why the caller gave up, if it did */
  readonly givenUp: unknown
  /** the limit that was exceeded, in milliseconds */
  readonly late: number | undefined
  /** whether the upstream was silent for that long; otherwise its answer took that long */
  readonly silent: boolean
  /** part of the answer had come */
  readonly begun: boolean
  /** something had left this machine */
  readonly sent: boolean
}

/** Classifies anything that an attempt threw. */
export function failureOf(error: unknown, upstream: string, facts: AttemptFacts): Error {
  if (error instanceof WeirError) return error
  const { givenUp, late, silent, begun, sent } = facts
  if (givenUp !== undefined) return cancelled(givenUp)
  const fail = (kind: FailureKind, reason: string): UpstreamError =>
    new UpstreamError(kind, { upstream, reason, cause: error })
  if (late !== undefined) {
    const milliseconds = `${Math.round(late)} ms`
    if (!sent) return fail('unreachable', `no connection within ${milliseconds}`)
    const reason = silent ? `silent for ${milliseconds}` : `no answer within ${milliseconds}`
    return fail(begun ? 'broken' : 'timeout', reason)
  }
  const { message } = error as Error
  if (error instanceof MalformedAnswer || error instanceof RangeError) {
    return fail(begun ? 'broken' : 'malformed', message)
  }
  const code = (error as NodeJS.ErrnoException).code ?? ''
  // whatever it was (DNS, TLS, a handshake that was reset): nothing can have been billed
  return fail(sent ? 'broken' : 'unreachable', code || message)
}

/** The error to throw when the caller gave up for this reason. */
export function cancelled(reason: unknown): WeirError {
  return reason instanceof WeirError
    ? reason
    : new WeirError('cancelled', { signal: 'the client' }, { cause: reason })
}
