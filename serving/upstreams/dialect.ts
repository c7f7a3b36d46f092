export { UntranslatableRequest } from '../conversation/form.ts'

import type { ClientApi } from '../conversation/client-api.ts'
import type { ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

/** The answer does not follow the dialect's API; the message says what was wrong. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

/** The upstream reported an error inside an answer whose status is 200. */
export class AnsweredError extends Error {
  override readonly name = 'AnsweredError'
  /** the JSON that reported it */
  readonly body: Readonly<Record<string, unknown>>

  constructor(body: Readonly<Record<string, unknown>>) {
    super('the answer is an error')
    this.body = body
  }
}

/** One kind of API: its paths, and how bodies and answers are converted. Does no I/O and has no clock. */
export interface Dialect {
  /** relative to the base URL; undefined if the API has no such endpoint */
  path(endpoint: Endpoint): string | undefined
  headers(key: string | undefined): Record<string, string>
  /**
   * The body to send: JSON text (a string or a `LargeJson`), or a value to serialize.
   *
   * @param plain leave out what only the gateway asks for: this upstream refuses it
   * @throws UntranslatableRequest
   */
  request(call: UpstreamCall, plain?: boolean): unknown
  /** Whether `request` adds fields that the client did not send, which an upstream may refuse. */
  adds?(call: UpstreamCall): boolean
  /** @throws MalformedAnswer, AnsweredError */
  answer(call: UpstreamCall, text: string): DialectAnswer
  stream(call: UpstreamCall): StreamDecoder
  /** For a whole answer that the client gets as it is; absent if answers must be translated. */
  passing?(call: UpstreamCall): PassingAnswer
  /** the API, other than chat completions, whose bodies it takes as they are */
  readonly native?: ClientApi
  /** what else can be forwarded: the rest of OpenAI's API, or these paths */
  readonly forwards?: 'all' | readonly string[]
}

/** Reads what must be known of a whole answer while its bytes pass. */
export interface PassingAnswer {
  /** @throws MalformedAnswer, AnsweredError */
  push(bytes: Buffer): void
  /** The token counts, after the last byte. @throws MalformedAnswer, AnsweredError */
  end(): Usage | undefined
}

export interface DialectAnswer {
  readonly body: Record<string, unknown>
  readonly usage: Usage | undefined
  /** whether `body` is the upstream's text, unchanged */
  readonly verbatim: boolean
}

/** Converts one stream's events to OpenAI's, and tracks how far the answer has come. */
export abstract class StreamDecoder {
  /** whether part of the answer itself has come: from then on it cannot be requested again */
  begun = false
  /**
   * whether what came is worth keeping where an error follows in the same packet: some streams begin with
   * events that say nothing yet
   */
  get said(): boolean {
    return this.begun
  }

  /** whether the answer is complete as far as the stream has said; more may follow, such as token counts */
  finished = false
  /**
   * whether `finished` may not be true yet: some servers say it in every event, so that it came with the first one,
   * or more of the answer came after it
   */
  finishesEarly = false
  /** whether the stream has said that nothing more follows */
  over = false
  /** the counts that came so far */
  abstract get usage(): Usage | undefined
  /**
   * The event with the token counts, if it was kept from a client that did not ask for it: the JSON of a
   * chunk without choices.
   */
  usageEvent: string | undefined

  /** Whole events to send on for one event; '' for nothing. @throws MalformedAnswer, AnsweredError */
  abstract event(event: ServerEvent): string
}

/** Whether the client asked for the token counts of its stream. */
export function asksForUsage(body: Readonly<Record<string, unknown>>): boolean {
  return (
    (body.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true
  )
}

export function parsedObject(text: string, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new MalformedAnswer(`${what} is no JSON`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedAnswer(`${what} is no JSON object`)
  }
  return value as Record<string, unknown>
}

export const tokenCount = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0

export type Counts = Readonly<Record<string, unknown>>

/**
 * Token counts after one more event of a stream: the last value of each field counts, those of nested objects
 * included. Some servers count in every event, others split the counts over several.
 */
export function mergedCounts(before: Counts | undefined, next: unknown): Counts | undefined {
  if (typeof next !== 'object' || next === null) return before
  if (!before) return next as Counts
  const merged: Record<string, unknown> = { ...before }
  for (const [field, value] of Object.entries(next)) {
    if (value === null || value === undefined) continue
    merged[field] =
      typeof value === 'object' ? mergedCounts(merged[field] as Counts | undefined, value) : value
  }
  return merged
}
