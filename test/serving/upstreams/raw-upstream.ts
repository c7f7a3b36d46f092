import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RawRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly bytes: Buffer
}

/** Answers one request; `nth` counts from 1. */
export type RawAnswer = (response: ServerResponse, request: RawRequest, nth: number) => void

export interface RawUpstream {
  /** with `/v1` */
  readonly url: string
  readonly received: RawRequest[]
  answer: RawAnswer
  close(): Promise<void>
}

/** A server on a port of its own that sends whatever bytes a test wants. */
export async function rawUpstream(): Promise<RawUpstream> {
  const received: RawRequest[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const bytes = Buffer.concat(parts)
    const { method = '', url = '', headers } = request
    const its = { method, path: url, headers, bytes, text: bytes.toString() }
    received.push(its)
    upstream.answer(response, its, received.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: RawUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received,
    answer: (response) => response.end(),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

export const SSE = { 'content-type': 'text/event-stream' }
export const JSON_TYPE = { 'content-type': 'application/json' }

export const completion = (content: string, more: object = {}) => ({
  id: 'c1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 },
  ...more,
})

export const chunk = (delta: object, reason: string | null = null, more: object = {}) => ({
  id: 'c1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: reason }],
  ...more,
})

/** Events as text; a text is sent as it is. */
export const sse = (...events: readonly (object | string)[]): string =>
  events.map((e) => `data: ${typeof e === 'string' ? e : JSON.stringify(e)}\n\n`).join('')

/** The data of the events of a stream, parsed where they are JSON. */
export const dataOf = (text: string): (string | Record<string, unknown>)[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice('data:'.length).trim())
    .map((data) => (data.startsWith('{') ? (JSON.parse(data) as Record<string, unknown>) : data))

/** What the chunks of a stream say together. */
export const saidBy = (text: string): string =>
  dataOf(text)
    .flatMap((event) => (typeof event === 'string' ? [] : ((event.choices ?? []) as unknown[])))
    .map((choice) => (choice as { delta?: { content?: string } }).delta?.content ?? '')
    .join('')
