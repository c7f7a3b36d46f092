import type { ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

/** What came is not what the dialect's API says; the message says what was wrong. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

/** The upstream told of its own failure inside a stream. */
export class AnsweredError extends Error {
  override readonly name = 'AnsweredError'
}

/** How one kind of API is spoken. Knows nothing of sockets and time. */
export interface Dialect {
  /** below the base URL; undefined where the API has no such endpoint */
  path(endpoint: Endpoint): string | undefined
  headers(key: string | undefined): Record<string, string>
  /** What is sent: JSON as text, or what becomes JSON. @throws UntranslatableRequest */
  request(call: UpstreamCall): unknown
  /** @throws MalformedAnswer */
  answer(call: UpstreamCall, text: string): DialectAnswer
  stream(call: UpstreamCall): StreamDecoder
}

/** The request asks for what this API cannot say. */
export class UntranslatableRequest extends Error {
  override readonly name = 'UntranslatableRequest'
}

export interface DialectAnswer {
  readonly body: Record<string, unknown>
  readonly usage: Usage | undefined
  /** whether `body` is the upstream's text, unchanged */
  readonly verbatim: boolean
}

/** Makes one stream's events into OpenAI's, and knows how far the answer has come. */
export abstract class StreamDecoder {
  /** whether some of the answer itself has come: from here on it cannot be asked for again */
  begun = false
  /** whether the answer said that it is whole */
  finished = false
  usage: Usage | undefined

  /** What is sent on for one event, whole events; '' for nothing. @throws MalformedAnswer, AnsweredError */
  abstract event(event: ServerEvent): string
}

/** Whether the client itself wants the tokens of its stream counted. */
export function asksForUsage(body: Readonly<Record<string, unknown>>): boolean {
  return (body.stream_options as { include_usage?: unknown } | undefined)?.include_usage === true
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
