import { setTimeout as wait } from 'node:timers/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { cancelled, throwIfAborted } from '../../../core/abort.ts'
import { WeirError } from '../../../core/errors.ts'
import {
  loadClient,
  type OutgoingResponse,
  outgoingFetch,
  outgoingUrl,
} from '../../../core/outgoing.ts'
import { createRandom, type Random } from '../../../core/random.ts'
import { saysTooLong } from './input.ts'
import type { OpenAiSettings } from './settings.ts'

const Answer = Compile(
  Type.Object({
    data: Type.Array(
      Type.Object({
        index: Type.Optional(Type.Integer({ minimum: 0 })),
        embedding: Type.Array(Type.Number(), { minItems: 1 }),
      }),
    ),
  }),
)

/** Passed in by callers; tests pass their own clock and waits. */
export interface EndpointOptions {
  /** never written anywhere: not to bundles, logs or messages */
  readonly apiKey?: string | undefined
  /** hosts that the address must be on; any host if undefined */
  readonly allowHosts?: readonly string[] | undefined
  readonly retry?: RetryPolicy
  readonly wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  readonly now?: () => number
}

/** The vectors of the inputs in order, or `too_long` if the endpoint reports that one has too many tokens. */
export type EndpointAnswer = readonly (readonly number[])[] | 'too_long'

export interface Endpoint {
  /** for messages: without the query string, which may contain a key */
  readonly url: string
  /** @throws encoder_endpoint_failed, cancelled */
  embed(inputs: readonly string[], signal?: AbortSignal): Promise<EndpointAnswer>
}

/** An OpenAI-compatible `/v1/embeddings`. @throws config_invalid if its address must not be called */
export function createEndpoint(settings: OpenAiSettings, options: EndpointOptions = {}): Endpoint {
  const rules = {
    allowHosts: options.allowHosts,
    listName: 'the allowed encoder hosts',
    query: true,
  }
  const url = outgoingUrl(settings.base_url, 'the address of the openai encoder', rules)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/embeddings`
  const shown = `${url.origin}${url.pathname}`
  const { apiKey, retry = DEFAULT_RETRY, now = Date.now } = options
  const pause = options.wait ?? defaultWait
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (apiKey) {
    if (url.hostname.endsWith('.azure.com')) headers['api-key'] = apiKey
    else headers.authorization = `Bearer ${apiKey}`
  }
  const random: Random = createRandom(0)
  const failure = (reason: string, cause?: unknown): WeirError =>
    new WeirError('encoder_endpoint_failed', { url: shown, reason: redact(reason) }, { cause })
  const redact = (text: string): string => (apiKey ? text.replaceAll(apiKey, '[key]') : text)

  async function attempt(body: string, count: number, signal?: AbortSignal): Promise<Outcome> {
    await loadClient()
    const timeout = AbortSignal.timeout(settings.timeout_ms)
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout
    try {
      const response = await outgoingFetch(url, { method: 'POST', headers, body, signal: either })
      const text = await response.text()
      if (response.ok) return readAnswer(text, count)
      if (saysTooLong(response.status, text)) return 'too_long'
      const reason = `answered ${response.status}: ${text.slice(0, 200)}`
      if (!isRetryable(response.status)) throw failure(reason)
      return { reason, askedMs: retryAfter(response.headers, now()) }
    } catch (cause) {
      if (signal?.aborted) throw cancelled(signal)
      if (cause instanceof WeirError) throw cause
      const reason = timeout.aborted
        ? `did not answer within ${settings.timeout_ms} ms`
        : `could not be reached: ${reasonOf(cause)}`
      return { reason, cause }
    }
  }

  function readAnswer(text: string, count: number): Outcome {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      return { reason: `answered with text that is not JSON: ${text.slice(0, 80)}`, cause }
    }
    if (!Answer.Check(value)) throw failure('answered with JSON that holds no embeddings')
    if (value.data.length !== count) {
      throw failure(`answered with ${value.data.length} embeddings for ${count} inputs`)
    }
    const vectors: (readonly number[])[] = new Array(count)
    for (const [place, { index, embedding }] of value.data.entries()) {
      vectors[index ?? place] = embedding
    }
    for (let i = 0; i < count; i++) {
      if (!vectors[i]) throw failure(`answered without an embedding of index ${i}`)
    }
    return vectors
  }

  return {
    url: shown,
    async embed(inputs, signal) {
      const request = { model: settings.model, input: inputs, encoding_format: 'float' }
      const { dimensions } = settings
      const body = JSON.stringify(dimensions === undefined ? request : { ...request, dimensions })
      for (let tries = 1; ; tries++) {
        throwIfAborted(signal)
        const outcome = await attempt(body, inputs.length, signal)
        if (outcome === 'too_long' || !('reason' in outcome)) return outcome
        if (tries >= retry.attempts) {
          throw failure(`${outcome.reason} (after ${tries} tries)`, outcome.cause)
        }
        await pause(waitBefore(tries - 1, retry, outcome.askedMs, random), signal)
      }
    },
  }
}

type Outcome = EndpointAnswer | { reason: string; askedMs?: number | undefined; cause?: unknown }

async function defaultWait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await wait(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    if (signal?.aborted) throw cancelled(signal)
    throw error
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error as { cause?: { code?: string; message?: string } }
  return cause?.code ?? cause?.message ?? error.message
}

interface RetryPolicy {
  /** total attempts, including the first */
  readonly attempts: number
  /** the first wait in milliseconds; each later one is twice as long */
  readonly baseMs: number
  /** the longest wait in milliseconds, even if the server asks for more */
  readonly maxMs: number
}

const DEFAULT_RETRY: RetryPolicy = { attempts: 6, baseMs: 500, maxMs: 60_000 }

/** Responses that may succeed on another try: time-outs, conflicts, rate limits and server errors. */
const isRetryable = (status: number): boolean =>
  status === 408 || status === 409 || status === 429 || status >= 500

/** Full jitter (Brooker 2015): uniform up to the doubled wait, and at least what the server asked for. */
function waitBefore(
  attempt: number,
  policy: RetryPolicy,
  askedMs: number | undefined,
  random: Random,
): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** attempt)
  const jittered = ceiling * (0.5 + 0.5 * random.next())
  return Math.min(policy.maxMs, Math.max(jittered, askedMs ?? 0))
}

/** The wait requested by `Retry-After` (seconds or a date) or `retry-after-ms`, in milliseconds. */
function retryAfter(headers: OutgoingResponse['headers'], now: number): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN)
  if (milliseconds >= 0) return milliseconds
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = Number(value)
  if (seconds >= 0) return seconds * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
