import { MalformedAnswer, type StreamDecoder } from './dialect.ts'
import { EventParser, type ServerEvent } from './sse.ts'

/** Text that may be buffered for a slow client, in UTF-16 units, before the upstream is paused. */
const HIGH_WATER = 256 * 1024

/**
 * One stream between an upstream that pushes packets and a reader that takes events, in OpenAI's shape.
 * Everything that came between two reads is returned by one read.
 */
export class EventStream implements AsyncIterableIterator<string, undefined> {
  /** the answer is complete: nothing more will come */
  over = false
  readonly decoder: StreamDecoder
  private readonly parser = new EventParser()
  private readonly text = new TextDecoder()
  private readonly onDrained: () => void
  private readonly onDropped: () => void
  private unread = ''
  private failure: Error | undefined
  private reader: { resolve: (next: Next) => void; reject: (error: Error) => void } | undefined

  /**
   * @param onDrained called when the buffer has been read, each time it was `full`
   * @param onDropped called when the reader cancels
   */
  constructor(decoder: StreamDecoder, onDrained: () => void, onDropped: () => void) {
    this.decoder = decoder
    this.onDrained = onDrained
    this.onDropped = onDropped
  }

  /** Whether part of the answer itself has come. */
  get begun(): boolean {
    return this.decoder.begun
  }

  /** Whether there is anything to read, be it a comment that keeps the connection alive. */
  get alive(): boolean {
    return this.unread !== ''
  }

  /** Whether the reader is so far behind that the upstream should pause. */
  get full(): boolean {
    return this.unread.length > HIGH_WATER
  }

  /** @throws MalformedAnswer, AnsweredError, RangeError if the stream must not be read any further */
  push(packet: Buffer): void {
    if (this.over || this.failure) return
    this.take(() => this.parser.push(this.text.decode(packet, { stream: true })))
    if (this.over) this.finish()
  }

  /**
   * The upstream has closed it, perhaps without the last blank line. @throws MalformedAnswer if that is too
   * early
   */
  end(): void {
    if (this.over || this.failure) return
    this.take(() => [...this.parser.push(this.text.decode()), ...this.parser.flush()])
    if (!this.over && !this.decoder.finished) {
      throw new MalformedAnswer('the stream ended in the middle')
    }
    this.close()
  }

  /** Nothing more will come of a finished answer, although the upstream has not closed it. */
  close(): void {
    if (this.over || this.failure) return
    this.over = true
    this.finish()
  }

  private take(events: () => readonly ServerEvent[]): void {
    let out = ''
    try {
      for (const event of events()) {
        out += decoded(this.decoder, event)
        if (this.decoder.over) {
          this.over = true
          break
        }
      }
    } catch (error) {
      // what was complete before it stays, however the stream was cut into packets
      if (this.decoder.said) this.add(out)
      throw error
    }
    this.add(out)
  }

  /** What has come is still read, then this error is thrown. */
  fail(failure: Error): void {
    if (this.over || this.failure) return
    this.failure = failure
    this.reader?.reject(failure)
    this.reader = undefined
  }

  next(): Promise<Next> {
    const { unread, full } = this
    if (unread !== '') {
      this.unread = ''
      if (full) this.onDrained()
      return Promise.resolve({ value: unread, done: false })
    }
    if (this.failure) return Promise.reject(this.failure)
    if (this.over) return Promise.resolve(END)
    return new Promise((resolve, reject) => {
      this.reader = { resolve, reject }
    })
  }

  return(): Promise<Next> {
    this.onDropped()
    return Promise.resolve(END)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private add(text: string): void {
    if (text === '') return
    const { reader } = this
    if (!reader) {
      this.unread += text
      return
    }
    this.reader = undefined
    reader.resolve({ value: text, done: false })
  }

  private finish(): void {
    if (!this.begun) throw new MalformedAnswer('the stream ended before it said anything')
    this.reader?.resolve(END)
    this.reader = undefined
  }
}

/** What is sent on for one event of an upstream: its comments too, which keep the client's connection alive. */
export function decoded(decoder: StreamDecoder, event: ServerEvent): string {
  if (event.comment !== undefined) return `: ${event.comment}\n\n`
  // some servers keep connections alive with empty events
  return event.data.length < 8 && event.data.trim() === '' ? '' : decoder.event(event)
}

type Next = IteratorResult<string, undefined>
const END = { value: undefined, done: true } as const
