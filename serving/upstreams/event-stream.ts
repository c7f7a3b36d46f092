import type { Dispatcher } from 'undici'
import type { AttemptWatch } from './attempt-watch.ts'
import { MalformedAnswer, type StreamDecoder } from './dialect.ts'
import { failureOf } from './http-failure.ts'
import { EventParser } from './sse.ts'
import type { StreamAnswer } from './upstream.ts'

export interface EventStreamOptions {
  readonly upstream: string
  readonly response: Dispatcher.ResponseData
  readonly decoder: StreamDecoder
  readonly watch: AttemptWatch
  /** longest silence once it has begun, in milliseconds */
  readonly idleMs: number
}

/** How long an upstream may take to end a stream that it has said is whole, in milliseconds. */
const LAST_BYTES_MS = 1000

/** Reads a stream up to the first token; what fails until then can still be asked elsewhere. */
export async function openEventStream(options: EventStreamOptions): Promise<StreamAnswer> {
  const { upstream, response, decoder, watch, idleMs } = options
  const type = String(response.headers['content-type'] ?? '')
  if (!type.startsWith('text/event-stream')) {
    throw new MalformedAnswer(`expected text/event-stream, got ${type || 'no content-type'}`)
  }
  const packets = response.body[Symbol.asyncIterator]()
  const texts = decoded(packets, decoder)
  let head = ''
  while (!decoder.begun) {
    const next = await texts.next()
    if (next.done) {
      throw new MalformedAnswer('the stream ended before it said anything')
    }
    head += next.value
  }
  watch.restart(idleMs)
  return {
    kind: 'stream',
    chunks: rest(head),
    usage: () => decoder.usage,
    cancel: () => watch.abort(),
  }

  async function* rest(first: string): AsyncGenerator<string> {
    let whole = false
    try {
      if (first !== '') yield first
      for (;;) {
        const next = await texts.next()
        if (next.done) break
        watch.refresh()
        if (next.value !== '') yield next.value
      }
      whole = true
    } catch (error) {
      throw failureOf(error, upstream, watch, true)
    } finally {
      if (whole) {
        watch.restart(LAST_BYTES_MS)
        // so that the connection can be used again
        readOut(packets).then(
          () => watch.end(),
          () => watch.abort(),
        )
      } else {
        watch.abort()
      }
    }
  }
}

async function readOut(packets: AsyncIterator<Buffer>): Promise<void> {
  while (!(await packets.next()).done);
}

/** What is sent on, packet by packet. Ends where the answer is whole; throws where it is not and no more comes. */
async function* decoded(
  packets: AsyncIterator<Buffer>,
  decoder: StreamDecoder,
): AsyncGenerator<string> {
  const parser = new EventParser()
  const text = new TextDecoder()
  for (;;) {
    const packet = await packets.next()
    if (packet.done) break
    let out = ''
    let last = false
    const begun = decoder.begun
    try {
      for (const event of parser.push(text.decode(packet.value, { stream: true }))) {
        out += decoder.event(event)
        last ||= event.data === '[DONE]'
      }
    } catch (error) {
      // what came whole before it goes out, unless all of it can still be asked for elsewhere
      if (begun && out !== '') yield out
      throw error
    }
    yield out
    if (last) return
  }
  if (!decoder.finished || !parser.atBoundary) {
    throw new MalformedAnswer('the stream ended in the middle')
  }
}
