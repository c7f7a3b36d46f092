export { UntranslatableRequest } from '../conversation/form.ts'

import type { ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

/** The answer does not follow the dialect's API; the message says what was wrong. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

/** The upstream reported an error inside a stream. */
export class AnsweredError extends Error {
  override readonly name = 'AnsweredError'
}

/** One kind of API: its paths, and how bodies and answers are converted. Does no I/O and has no clock. */
export interface Dialect {
  /** relative to the base URL; undefined if the API has no such endpoint */
  path(endpoint: Endpoint): string | undefined
  headers(key: string | undefined): Record<string, string>
  /** The body to send: JSON text, or a value to serialize. @throws UntranslatableRequest */
  request(call: UpstreamCall): unknown
  /** @throws MalformedAnswer */
  answer(call: UpstreamCall, text: string): DialectAnswer
  stream(call: UpstreamCall): StreamDecoder
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
  /** whether the stream marked the answer as complete */
  finished = false
  usage: Usage | undefined

  /** Whole events to send on for one event; '' for nothing. @throws MalformedAnswer, AnsweredError */
  abstract event(event: ServerEvent): string
}

/** Whether the client asked for the token counts of its stream. */
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
