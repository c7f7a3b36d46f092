import Type from 'typebox'
import { type OutgoingUrl, outgoingPool } from '../../core/outgoing.ts'
import { AnswerReader } from './answer-reader.ts'
import { type Dialect, UntranslatableRequest } from './dialect.ts'
import { cancelled, UpstreamError } from './failure.ts'

import type { Upstream, UpstreamAnswer, UpstreamCall } from './upstream.ts'

const Milliseconds = Type.Number({ minimum: 1, maximum: 2_147_483_647 })

/** A header that may be passed from the client to an upstream: none for authentication or transport. */
export const HeaderName = Type.String({
  pattern:
    '^(?!(authorization|cookie|host|connection|content-length|content-type|transfer-encoding|proxy-.*|x-api-key|api-key|te|trailer|upgrade|expect|keep-alive|accept-encoding)$)[a-z0-9-]+$',
})

/** The settings of an HTTP upstream. Defaults are in `openHttpUpstream`. */
export const HttpUpstreamSettings = Type.Object(
  {
    /** the API of the upstream (default `openai`) */
    kind: Type.Optional(Type.String()),
    /** with the version, as clients take it: `https://api.openai.com/v1`, `http://127.0.0.1:11434/v1` */
    base_url: Type.String({ minLength: 1 }),
    /** the environment variable that holds its key; if absent, no key is sent */
    key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    /** sent with every request */
    headers: Type.Optional(Type.Record(HeaderName, Type.String())),
    connect_timeout_ms: Type.Optional(Milliseconds),
    /** limit for a whole answer */
    answer_timeout_ms: Type.Optional(Milliseconds),
    first_token_timeout_ms: Type.Optional(Milliseconds),
    /** between two packets of a stream */
    idle_timeout_ms: Type.Optional(Milliseconds),
    connections: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)
export type HttpUpstreamSettings = Type.Static<typeof HttpUpstreamSettings>

/** What an HTTP upstream needs in addition to its settings. */
export interface HttpUpstreamOptions {
  readonly name: string
  /** `base_url`, checked */
  readonly url: OutgoingUrl
  readonly dialect: Dialect
  readonly key: string | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** Largest whole answer that is accepted. */
const ANSWER_LIMIT = 64 * 1024 * 1024

export async function openHttpUpstream(
  settings: HttpUpstreamSettings,
  { name, url, dialect, key, now }: HttpUpstreamOptions,
): Promise<Upstream> {
  const {
    connect_timeout_ms: connectTimeoutMs = 5_000,
    answer_timeout_ms: answerTimeoutMs = 120_000,
    first_token_timeout_ms: firstTokenTimeoutMs = 60_000,
    idle_timeout_ms: idleMs = 60_000,
    connections = 1024,
  } = settings
  const pool = await outgoingPool(url, {
    connections,
    maxResponseSize: ANSWER_LIMIT,
    // each attempt has more precise limits than these
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeoutMs,
  })
  const base = url.pathname.replace(/\/+$/, '')
  const fixed = {
    'content-type': 'application/json',
    ...dialect.headers(key),
    ...settings.headers,
  }
  const fixedList = Object.entries(fixed).flat()

  /** Names and values alternate; the fixed headers cannot be overridden. */
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
