import type {
  Decision,
  Explanation,
  Neighbour,
  RouteRequest,
  RuleHit,
} from '../models/decision/decision.ts'
import type { FeedbackBody as Feedback } from '../records/feedback/body.ts'

export type { Decision, Explanation, Feedback, Neighbour, RouteRequest, RuleHit }

export interface WeirClientOptions {
  /** such as `http://127.0.0.1:8080` */
  readonly baseUrl: string
  readonly apiKey?: string
  /** milliseconds a call may take (default 10,000) */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

export interface CallOptions {
  readonly signal?: AbortSignal
}

/** One answer of a batch: a decision, or the request's error. */
export type BatchItem =
  | { readonly index: number; readonly decision: Decision; readonly error?: never }
  | { readonly index: number; readonly error: ClientErrorBody; readonly decision?: never }

export interface ClientErrorBody {
  readonly message: string
  readonly type: string
  readonly code: string
  readonly param: string | null
}

/** A call that the server refused. */
export class WeirClientError extends Error {
  override readonly name = 'WeirClientError'
  readonly status: number
  readonly code: string
  readonly param: string | null
  /** seconds after which trying again may help */
  readonly retryAfter: number | undefined

  constructor(status: number, body: ClientErrorBody, retryAfter: number | undefined) {
    super(body.message)
    this.status = status
    this.code = body.code
    this.param = body.param
    this.retryAfter = retryAfter
  }
}

/** Calls a weir server; needs only `fetch`. */
export class WeirClient {
  private readonly options: WeirClientOptions

  constructor(options: WeirClientOptions) {
    this.options = options
  }

  /**
   * With `explain: true` the decision has an `explanation`: features or neighbours, the rules that applied,
   * and the threshold that would have flipped it.
   *
   * @throws WeirClientError; what fetch throws if the server cannot be reached or is too slow
   */
  route(request: RouteRequest | string, options: CallOptions = {}): Promise<Decision> {
    const body = typeof request === 'string' ? { prompt: request } : request
    return this.call<Decision>('/route', body, options)
  }

  async routeBatch(
    requests: readonly RouteRequest[],
    options: CallOptions = {},
  ): Promise<BatchItem[]> {
    const { data } = await this.call<{ data: BatchItem[] }>('/route/batch', { requests }, options)
    return data
  }

  async feedback(feedback: Feedback, options: CallOptions = {}): Promise<void> {
    await this.call('/feedback', feedback, options)
  }

  /** Names that a request's `router` may give. */
  async routers(options: CallOptions = {}): Promise<string[]> {
    const { data } = await this.call<{ data: { id: string }[] }>('/v1/models', undefined, options)
    return data.map(({ id }) => id)
  }

  private async call<T>(path: string, body: unknown, { signal }: CallOptions): Promise<T> {
    const { baseUrl, apiKey, timeoutMs = 10_000 } = this.options
    const limit = AbortSignal.timeout(timeoutMs)
    const send = this.options.fetch ?? fetch
    const response = await send(`${baseUrl.replace(/\/+$/, '')}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    const text = await response.text()
    if (response.ok) return JSON.parse(text) as T
    const wait = Number(response.headers.get('retry-after') ?? Number.NaN)
    throw new WeirClientError(
      response.status,
      errorBody(text, response.status),
      Number.isFinite(wait) ? wait : undefined,
    )
  }
}

/** A proxy before the server may answer in another shape. */
function errorBody(text: string, status: number): ClientErrorBody {
  try {
    const { error } = JSON.parse(text) as { error?: ClientErrorBody }
    if (error?.code) return error
  } catch {
    // not JSON
  }
  return { message: `HTTP ${status}`, type: 'server_error', code: 'http_error', param: null }
}
