import { Readable } from 'node:stream'
import Type from 'typebox'
import type { BytesHeld } from '../../core/bytes-held.ts'
import { jsonPieces, LargeJson } from '../../core/json/large.ts'
import { type OutgoingTls, type OutgoingUrl, outgoingPool } from '../../core/outgoing.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Cancellation } from './cancellation.ts'
import { type Dialect, UntranslatableRequest } from './dialect.ts'
import { cancelled, UpstreamError } from './failure.ts'
import { ForwardReader } from './forwarding.ts'
import { TlsSettings } from './tls-settings.ts'
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
    /** the header that the key is sent in, instead of the API's own: `api-key` for Azure */
    key_header: Type.Optional(Type.String({ pattern: '^[a-z0-9-]+$' })),
    /** added to every address: Azure's `api-version` */
    query: Type.Optional(Type.Record(Type.String({ minLength: 1 }), Type.String())),
    /** private authorities and client certificates */
    tls: Type.Optional(TlsSettings),
    /** sent with every request */
    headers: Type.Optional(Type.Record(HeaderName, Type.String())),
    connect_timeout_ms: Type.Optional(Milliseconds),
    /** how long an upstream may be silent before a whole answer */
    answer_timeout_ms: Type.Optional(Milliseconds),
    /** how long it may be silent before the first token of a stream; any byte is a sign of life */
    first_token_timeout_ms: Type.Optional(Milliseconds),
    /** between two packets of a stream */
    idle_timeout_ms: Type.Optional(Milliseconds),
    connections: Type.Optional(Type.Integer({ minimum: 1 })),
    /**
     * of OpenAI's API: it has `/responses` (true), or bodies of it are translated to chat completions (false);
     * tried if absent
     */
    responses: Type.Optional(Type.Boolean()),
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
  /** of `settings.tls`, read */
  readonly tls?: OutgoingTls | undefined
  /** where the proxy settings are */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** the answers that are held as a whole, of all upstreams */
  readonly held: BytesHeld
  /** milliseconds since 1970 */
  readonly now: () => number
}

export async function openHttpUpstream(
  settings: HttpUpstreamSettings,
  { name, url, dialect, key, tls, environment, held, now }: HttpUpstreamOptions,
): Promise<Upstream> {
  const {
    connect_timeout_ms: connectTimeoutMs = 5_000,
    answer_timeout_ms: answerTimeoutMs = 600_000,
    first_token_timeout_ms: firstTokenTimeoutMs = 60_000,
    idle_timeout_ms: idleMs = 60_000,
    connections = 1024,
  } = settings
  const settingsOfPool = {
    connections,
    // each attempt has more precise limits than these
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeoutMs,
    tls,
    environment,
  }
  const pool = await outgoingPool(url, settingsOfPool)
  const forwarding = await outgoingPool(url, settingsOfPool)
  const base = url.pathname.replace(/\/+$/, '')
  const query = new URLSearchParams(url.search)
  for (const [field, value] of Object.entries(settings.query ?? {})) query.set(field, value)
  const search = query.size === 0 ? '' : `?${query}`
  const { key_header: keyHeader } = settings
  const fixed = {
    'content-type': 'application/json',
    // without it any coding is acceptable (RFC 9110, 12.5.3)
    'accept-encoding': 'identity',
    ...dialect.headers(keyHeader === undefined ? key : undefined),
    ...(keyHeader === undefined || key === undefined ? {} : { [keyHeader]: key }),
    ...settings.headers,
  }
  const fixedList = Object.entries(fixed).flat()

  /** Names and values alternate; the fixed headers cannot be overridden. */
  const headerList = (given: UpstreamCall['headers']): string[] => {
    const list = [...fixedList]
    for (const header in given) if (!(header in fixed)) list.push(header, given[header]!)
    return list
  }

  /** undefined until it is known whether the upstream has the client's API beside chat completions */
  let hasNative = dialect.native === 'responses' ? settings.responses : true

  /** undefined until it is known whether the upstream takes the fields that only the gateway adds */
  let takesAdded: boolean | undefined

  /** Without a promise where nothing must be awaited. */
  const payload = (
    call: UpstreamCall,
    plain: boolean,
  ): string | Buffer[] | ReturnType<typeof jsonPieces> => {
    try {
      const request = dialect.request(call, plain)
      if (request instanceof LargeJson) return request.pieces()
      return typeof request === 'string' ? request : jsonPieces(request)
    } catch (error) {
      if (!(error instanceof UntranslatableRequest)) throw error
      const { message, param } = error
      const spoken = {
        message,
        type: 'invalid_request_error',
        code: 'unsupported_parameter',
        param: param ?? null,
      }
      throw new UpstreamError('rejected', { upstream: name, reason: message, status: 400, spoken })
    }
  }

  const ask = async (
    call: UpstreamCall,
    cancellation: Cancellation,
    plain: boolean,
  ): Promise<UpstreamAnswer> => {
    if (cancellation.cancelled) throw cancelled(cancellation.reason)
    const path = dialect.path(call.endpoint)
    if (path === undefined) {
      const reason = `it has no endpoint for ${call.endpoint}`
      throw new UpstreamError('misconfigured', { upstream: name, reason })
    }
    const written = payload(call, plain)
    const body = written instanceof Promise ? await written : written
    return new Promise<UpstreamAnswer>((resolve, reject) => {
      // while a long body was written
      if (cancellation.cancelled) throw cancelled(cancellation.reason)
      const silenceMs = call.body.stream === true ? firstTokenTimeoutMs : answerTimeoutMs
      const headers = headerList(call.headers)
      const reader = new AnswerReader({
        upstream: name,
        dialect,
        call,
        cancellation,
        silenceMs,
        limitMs: call.remainingMs,
        idleMs,
        held,
        now,
        resolve,
        reject,
      })
      const to = { method: 'POST' as const, path: `${base}${path}${search}`, headers }
      if (typeof body === 'string') {
        pool.dispatch({ ...to, body }, reader)
      } else {
        const size = body.reduce((sum, { length }) => sum + length, 0)
        headers.push('content-length', String(size))
        pool.dispatch({ ...to, body: Readable.from(body) }, reader)
      }
    })
  }

  /** An upstream with a strict schema refuses fields that it does not know: it is asked without them. */
  const askWithAdded = async (
    call: UpstreamCall,
    cancellation: Cancellation,
  ): Promise<UpstreamAnswer> => {
    const started = now()
    try {
      const answer = await ask(call, cancellation, false)
      takesAdded = true
      return answer
    } catch (error) {
      if (!(error instanceof UpstreamError) || !mayRefuseAdded(error, takesAdded)) throw error
      const remainingMs = Math.max(0, call.remainingMs - (now() - started))
      const answer = await ask({ ...call, remainingMs }, cancellation, true)
      takesAdded = false
      return answer
    }
  }

  /** Many servers of OpenAI's API have no `/responses`: they are asked once, and not again. */
  const askNative = async (
    call: UpstreamCall,
    cancellation: Cancellation,
  ): Promise<UpstreamAnswer> => {
    try {
      const answer = await ask(call, cancellation, false)
      hasNative = true
      return answer
    } catch (error) {
      if (error instanceof UpstreamError && isMissing(error) && !refersToStored(call.body)) {
        hasNative = false
        throw new NoSuchApi()
      }
      throw error
    }
  }

  const forward: Upstream['forward'] = (call, cancellation) =>
    new Promise((resolve, reject) => {
      if (cancellation.cancelled) throw cancelled(cancellation.reason)
      if (Array.isArray(dialect.forwards) && !dialect.forwards.includes(call.path)) {
        const reason = `it has no endpoint ${call.method} ${call.path}`
        throw new UpstreamError('misconfigured', { upstream: name, reason })
      }
      const asked = new URLSearchParams(call.query)
      // the operator's parameters cannot be overridden
      for (const field of query.keys()) asked.delete(field)
      const rest = asked.size === 0 ? '' : `${search === '' ? '?' : '&'}${asked}`
      const { 'content-type': _, ...own } = fixed
      const headers = { ...call.headers, ...own }
      const reader = new ForwardReader({
        upstream: name,
        call,
        cancellation,
        silenceMs: answerTimeoutMs,
        idleMs,
        now,
        resolve,
        reject,
      })
      const path = `${base}${call.path}${search}${rest}`
      forwarding.dispatch({ method: call.method, path, headers, body: call.body ?? null }, reader)
    })

  return {
    name,
    ...(dialect.forwards ? { forward } : {}),
    ...(Array.isArray(dialect.forwards) ? { forwards: dialect.forwards } : {}),
    speaks: (api) => api === dialect.native && hasNative !== false,
    complete(call, cancellation) {
      if (call.chat !== undefined && call.endpoint === dialect.native && hasNative === undefined) {
        return askNative(call, cancellation)
      }
      if (takesAdded === false) return ask(call, cancellation, true)
      return dialect.adds?.(call)
        ? askWithAdded(call, cancellation)
        : ask(call, cancellation, false)
    },
    close: async () => {
      await Promise.all([pool.destroy(), forwarding.destroy()])
    },
  }
}

/** The upstream does not have the client's API: nothing was billed, and chat completions are asked instead. */
export class NoSuchApi extends Error {
  override readonly name = 'NoSuchApi'
}

/** Whether a 404 may be about what the body refers to: it then says nothing about the API. */
const refersToStored = (body: UpstreamCall['body']): boolean =>
  [body.previous_response_id, body.conversation, body.prompt].some(
    (value) => value !== undefined && value !== null,
  )

/** No such path, rather than no such model. */
function isMissing({ upstreamStatus: status, reason, spoken }: UpstreamError): boolean {
  if (status === 405 || status === 501) return true
  if (status !== 404) return false
  const said = `${reason} ${JSON.stringify(spoken ?? '')}`
  return !/model|deployment/i.test(said)
}

/** How strict servers refuse a field without naming it. */
const UNKNOWN_FIELD =
  /unknown|unrecogni[sz]ed|unexpected|extra (input|field|param)|extra_forbidden|not (permitted|allowed|supported)|unsupported|additional propert/i

/** @param taken whether the upstream took the fields before: then only a refusal that names them counts */
function mayRefuseAdded({ kind, spoken, upstreamStatus }: UpstreamError, taken?: boolean): boolean {
  if (kind !== 'rejected' || (upstreamStatus !== 400 && upstreamStatus !== 422)) return false
  const said = JSON.stringify(spoken ?? '')
  return /stream_?options|include_?usage/i.test(said) || (!taken && UNKNOWN_FIELD.test(said))
}
