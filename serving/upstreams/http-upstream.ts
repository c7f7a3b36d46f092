import type { Dispatcher } from 'undici'
import { AttemptWatch } from './attempt-watch.ts'
import { type Dialect, UntranslatableRequest } from './dialect.ts'
import { openEventStream } from './event-stream.ts'
import { UpstreamError } from './failure.ts'
import { guardedLookup } from './host-list.ts'
import { failureOf, refusalOf } from './http-failure.ts'
import type { CompleteAnswer, Upstream, UpstreamAnswer, UpstreamCall } from './upstream.ts'

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
  const { name, url, dialect } = options
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

  const payload = (call: UpstreamCall): string => {
    try {
      return JSON.stringify(dialect.request(call))
    } catch (error) {
      if (!(error instanceof UntranslatableRequest)) throw error
      const { message: reason } = error
      throw new UpstreamError('rejected', { upstream: name, reason, status: 400 })
    }
  }

  const whole = async (
    call: UpstreamCall,
    response: Dispatcher.ResponseData,
  ): Promise<CompleteAnswer> => {
    const text = await response.body.text()
    const { body, usage, verbatim } = dialect.answer(call, text)
    return { kind: 'complete', body, text: verbatim ? text : undefined, usage }
  }

  return {
    name,
    async complete(call, signal): Promise<UpstreamAnswer> {
      const path = dialect.path(call.endpoint)
      if (path === undefined) {
        const reason = `it has no endpoint for ${call.endpoint}`
        throw new UpstreamError('misconfigured', { upstream: name, reason })
      }
      const body = payload(call)
      const stream = call.body.stream === true
      const limit = stream ? options.firstTokenTimeoutMs : options.answerTimeoutMs
      const watch = new AttemptWatch(signal, Math.min(limit, call.remainingMs))
      try {
        const response = await pool.request({
          method: 'POST',
          path: `${base}${path}`,
          headers: { ...call.headers, ...fixed },
          body,
          signal: watch.signal,
        })
        // without a listener a cut connection would end the process
        response.body.on('error', ignore)
        if (response.statusCode < 200 || response.statusCode > 299) {
          throw await refusalOf(name, response, options.now())
        }
        if (!stream) {
          const answer = await whole(call, response)
          watch.end()
          return answer
        }
        return await openEventStream({
          upstream: name,
          response,
          decoder: dialect.stream(call),
          watch,
          idleMs: options.idleTimeoutMs,
        })
      } catch (error) {
        const failure = failureOf(error, name, watch)
        watch.abort()
        throw failure
      }
    },
    close: () => pool.destroy(),
  }
}

const ignore = (): void => {}
