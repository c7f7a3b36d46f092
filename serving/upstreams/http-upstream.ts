import { AnswerReader } from './answer-reader.ts'
import { type Dialect, UntranslatableRequest } from './dialect.ts'
import { UpstreamError } from './failure.ts'
import { guardedLookup } from './host-list.ts'
import { cancelled } from './http-failure.ts'
import type { Upstream, UpstreamAnswer, UpstreamCall } from './upstream.ts'

export interface HttpUpstreamOptions {
  readonly name: string
  /** with the path that the API's own paths follow, such as `https://api.openai.com/v1` */
  readonly url: URL
  readonly dialect: Dialect
  readonly key: string | undefined
  /** sent with every request */
  readonly headers?: Readonly<Record<string, string>>
  readonly connectTimeoutMs: number
  /** until a whole answer has come */
  readonly answerTimeoutMs: number
  /** until the first token of a stream */
  readonly firstTokenTimeoutMs: number
  /** between two packets of a stream */
  readonly idleTimeoutMs: number
  /** most connections at once */
  readonly connections: number
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** A whole answer that is larger than this is none. */
const ANSWER_LIMIT = 64 * 1024 * 1024

/** Opens undici, this file being its only door: its pool costs a fifth of what global `fetch` does. */
export async function openHttpUpstream(options: HttpUpstreamOptions): Promise<Upstream> {
  const { Pool } = await import('undici')
  const { name, url, dialect, now } = options
  const pool = new Pool(url.origin, {
    connections: options.connections,
    maxResponseSize: ANSWER_LIMIT,
    // the watch of each attempt is finer than these
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: options.connectTimeoutMs, lookup: guardedLookup },
  })
  const base = url.pathname.replace(/\/+$/, '')
  const fixed = {
    'content-type': 'application/json',
    ...dialect.headers(options.key),
    ...options.headers,
  }
  const fixedList = Object.entries(fixed).flat()

  /** Names and values in a row; what is fixed cannot be overridden. */
  const headerList = (given: UpstreamCall['headers']): string[] => {
    const list = [...fixedList]
    for (const header in given) if (!(header in fixed)) list.push(header, given[header]!)
    return list
  }

  const payload = (call: UpstreamCall): string => {
    try {
      const request = dialect.request(call)
      return typeof request === 'string' ? request : JSON.stringify(request)
    } catch (error) {
      if (!(error instanceof UntranslatableRequest)) throw error
      const { message: reason } = error
      throw new UpstreamError('rejected', { upstream: name, reason, status: 400 })
    }
  }

  return {
    name,
    complete: (call, cancellation) =>
      new Promise<UpstreamAnswer>((resolve, reject) => {
        if (cancellation.cancelled) throw cancelled(cancellation.reason)
        const path = dialect.path(call.endpoint)
        if (path === undefined) {
          const reason = `it has no endpoint for ${call.endpoint}`
          throw new UpstreamError('misconfigured', { upstream: name, reason })
        }
        const { firstTokenTimeoutMs, answerTimeoutMs, idleTimeoutMs: idleMs } = options
        const limit = call.body.stream === true ? firstTokenTimeoutMs : answerTimeoutMs
        const limitMs = Math.min(limit, call.remainingMs)
        const body = payload(call)
        const headers = headerList(call.headers)
        const reader = new AnswerReader({
          upstream: name,
          dialect,
          call,
          cancellation,
          limitMs,
          idleMs,
          now,
          resolve,
          reject,
        })
        pool.dispatch({ method: 'POST', path: `${base}${path}`, headers, body }, reader)
      }),
    close: () => pool.destroy(),
  }
}
