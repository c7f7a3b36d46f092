import { ERRORS, type ErrorCode, WeirError } from '../../core/errors.ts'

/** How an upstream failed, which says what may be done about it. */
export type FailureKind =
  /** no connection: nothing was asked, so nothing is billed */
  | 'unreachable'
  /** silent for longer than its time */
  | 'timeout'
  /** 429 */
  | 'rate_limited'
  /** 408, 409, 5xx */
  | 'server_error'
  /** any other 4xx: the request is at fault and another upstream would say the same */
  | 'rejected'
  /** 401, 403, 404: our key or model name is at fault; another upstream may do */
  | 'misconfigured'
  /** what came is no answer: no JSON, no choices, no events */
  | 'malformed'
  /** cut after the answer had begun */
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
  /** the status it answered with, where it did */
  readonly status?: number
  /** what it asked for in Retry-After */
  readonly retryAfterMs?: number
  /** its own error body, sent on to the client where it is `rejected` */
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
    // a refusal of the request is the client's to understand, so it keeps the upstream's status
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
