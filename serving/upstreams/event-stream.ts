import { MalformedAnswer, type StreamDecoder } from './dialect.ts'
import { EventParser, type ServerEvent } from './sse.ts'

/** Text that may wait for a slow client, in UTF-16 units, before the upstream is told to wait as well. */
const HIGH_WATER = 256 * 1024

/**
 * One stream between an upstream that pushes packets and a reader who takes events, in OpenAI's shape.
 * What came between two reads is read at once.
 */
export class EventStream implements AsyncIterableIterator<string, undefined> {
  /** the answer is whole: nothing of it is still to come */
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
   * @param onDrained called when what waited has been read, each time it was `full`
   * @param onDropped called when the reader wants no more
   */
  constructor(decoder: StreamDecoder, onDrained: () => void, onDropped: () => void) {
    this.decoder = decoder
    this.onDrained = onDrained
    this.onDropped = onDropped
  }

  /** Whether some of the answer itself has come. */
  get begun(): boolean {
    return this.decoder.begun
  }

  /** Whether the reader is so far behind that no more should be pushed. */
  get full(): boolean {
    return this.unread.length > HIGH_WATER
  }

  /** @throws MalformedAnswer, AnsweredError, RangeError where the stream must not be read on */
  push(packet: Buffer): void {
    if (this.over || this.failure) return
    this.take(() => this.parser.push(this.text.decode(packet, { stream: true })))
    if (this.over) this.finish()
  }

  /** The upstream has ended it, perhaps without the last blank line. @throws MalformedAnswer where that is too early */
  end(): void {
    if (this.over || this.failure) return
    this.take(() => [...this.parser.push(this.text.decode()), ...this.parser.flush()])
    if (!this.over && !this.decoder.finished) {
      throw new MalformedAnswer('the stream ended in the middle')
    }
    this.over = true
    this.finish()
  }

  private take(events: () => readonly ServerEvent[]): void {
    const { begun } = this
    let out = ''
    try {
      for (const event of events()) {
        out += this.decoder.event(event)
        if (event.data === '[DONE]') {
          this.over = true
          break
        }
      }
    } catch (error) {
      // what came whole before it goes out, unless all of it can still be asked for elsewhere
      if (begun) this.add(out)
      throw error
    }
    this.add(out)
  }

  /** What came is still read, then this is thrown. */
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

type Next = IteratorResult<string, undefined>
const END = { value: undefined, done: true } as const
