import type { OutgoingController, OutgoingHandler } from '../../core/outgoing.ts'
import type { Cancellation } from './cancellation.ts'
import { type Dialect, MalformedAnswer } from './dialect.ts'
import { EventStream } from './event-stream.ts'
import { type AnswerHead, failureOf, refusalOf } from './failure.ts'
import type { UpstreamAnswer, UpstreamCall } from './upstream.ts'

export interface AnswerReaderOptions {
  readonly upstream: string
  readonly dialect: Dialect
  readonly call: UpstreamCall
  readonly cancellation: Cancellation
  /** for a whole answer or the first token of a stream */
  readonly limitMs: number
  /** between two packets of a stream */
  readonly idleMs: number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly resolve: (answer: UpstreamAnswer) => void
  readonly reject: (failure: Error) => void
}

/** Most bytes that are read of an error's body. */
const REFUSAL_LIMIT = 64 * 1024
/** How long an upstream may take to close a stream after its last event, in milliseconds. */
const LAST_BYTES_MS = 1000

/**
 * Receives one answer as undici reads it off the connection, and settles the attempt: with a whole answer,
 * with a stream once its first token has come, or with the failure.
 */
export class AnswerReader implements OutgoingHandler {
  private readonly options: AnswerReaderOptions
  private readonly watch: AttemptWatch
  private controller: OutgoingController | undefined
  private head: AnswerHead = { status: 0, headers: {} }
  private events: EventStream | undefined
  private parts: Buffer[] = []
  private size = 0
  private settled = false
  private failed = false

  constructor(options: AnswerReaderOptions) {
    this.options = options
    this.watch = new AttemptWatch(options.cancellation, options.limitMs, () =>
      this.fail(new Error('given up')),
    )
  }

  onRequestStart(controller: OutgoingController): void {
    this.controller = controller
    if (this.failed) controller.abort(new Error('given up'))
  }

  onResponseStart(_: OutgoingController, status: number, headers: AnswerHead['headers']): void {
    if (status < 200) return
    this.head = { status, headers }
    const { call, dialect } = this.options
    if (status > 299 || call.body.stream !== true) return
    const type = String(headers['content-type'] ?? '')
    if (!type.startsWith('text/event-stream')) {
      this.fail(new MalformedAnswer(`expected text/event-stream, got ${type || 'no content-type'}`))
      return
    }
    this.events = new EventStream(dialect.stream(call), this.drained, this.watch.abort)
  }

  onResponseData(_: OutgoingController, chunk: Buffer): void {
    if (this.events) {
      this.packet(this.events, chunk)
      return
    }
    this.parts.push(chunk)
    this.size += chunk.length
    if (this.head.status > 299 && this.size > REFUSAL_LIMIT) this.refused()
  }

  onResponseEnd(): void {
    if (this.failed) return
    try {
      if (this.events) {
        this.events.end()
        this.watch.end()
      } else if (this.head.status > 299) {
        this.refused()
      } else {
        this.answered()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  onResponseError(_: OutgoingController, error: Error): void {
    this.fail(error)
  }

  private packet(events: EventStream, chunk: Buffer): void {
    const { watch, options } = this
    try {
      events.push(chunk)
    } catch (error) {
      this.fail(error)
      return
    }
    if (this.settled) {
      watch.refresh()
    } else if (events.begun) {
      this.settled = true
      watch.restart(options.idleMs)
      const decoder = events.decoder
      options.resolve({
        kind: 'stream',
        chunks: events,
        usage: () => decoder.usage,
        cancel: () => {
          // read the end of a whole answer, so that the connection can be reused
          if (!events.over) watch.abort()
        },
      })
    }
    if (events.over) {
      watch.restart(LAST_BYTES_MS)
    } else if (events.full) {
      watch.pause()
      this.controller?.pause()
    }
  }

  private readonly drained = (): void => {
    if (!this.events?.over) this.watch.restart(this.options.idleMs)
    this.controller?.resume()
  }

  private answered(): void {
    const { dialect, call, resolve } = this.options
    const text = this.text()
    const { body, usage, verbatim } = dialect.answer(call, text)
    this.settled = true
    this.watch.end()
    resolve({ kind: 'complete', body, text: verbatim ? text : undefined, usage })
  }

  private refused(): void {
    const { upstream, now } = this.options
    this.fail(refusalOf(upstream, this.head, this.text(), now()))
  }

  private text(): string {
    const [first] = this.parts
    const bytes = first && this.parts.length === 1 ? first : Buffer.concat(this.parts)
    const text = bytes.toString('utf8')
    return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text
  }

  /** Ends the attempt, and closes the connection unless the answer was read to its end. */
  private fail(error: unknown): void {
    if (this.failed) return
    this.failed = true
    const { options, watch, events, settled } = this
    const failure = failureOf(error, options.upstream, watch, settled)
    watch.end()
    if (!settled) {
      this.settled = true
      options.reject(failure)
    } else {
      events?.fail(failure)
    }
    this.controller?.abort(failure)
  }
}

const BYTE_ORDER_MARK = 0xfeff

/**
 * Closes an attempt when the caller gives up, or when nothing came for too long, and records which it was.
 * Uses one timer at a time.
 */
export class AttemptWatch {
  /** the limit that was exceeded, in milliseconds; undefined if none was */
  late: number | undefined
  private readonly outer: Cancellation
  private readonly close: () => void
  private timer: NodeJS.Timeout | undefined
  private ended = false

  /** @param close closes the connection if it is open; called at most once */
  constructor(outer: Cancellation, limitMs: number, close: () => void) {
    this.outer = outer
    this.close = close
    outer.listen(this.abort)
    this.restart(limitMs)
  }

  /** why the caller gave up, if it did */
  get givenUp(): unknown {
    return this.outer.cancelled ? (this.outer.reason ?? true) : undefined
  }

  /** Something came: from now on `limitMs` may pass before the next. */
  restart(limitMs: number): void {
    clearTimeout(this.timer)
    if (this.ended) return
    this.timer = setTimeout(this.passed, Math.max(0, limitMs), limitMs)
  }

  /** Starts the same limit again, without a new timer. */
  refresh(): void {
    this.timer?.refresh()
  }

  /** Nothing is expected until `restart`. */
  pause(): void {
    clearTimeout(this.timer)
  }

  readonly abort = (): void => {
    if (this.ended) return
    this.end()
    this.close()
  }

  /** Success: stops watching. */
  end(): void {
    this.ended = true
    clearTimeout(this.timer)
    this.outer.unlisten(this.abort)
  }

  private readonly passed = (limitMs: number): void => {
    this.late = limitMs
    this.abort()
  }
}
