import { PassThrough, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import type { BytesHeld } from '../../core/bytes-held.ts'
import type { OutgoingController, OutgoingHandler } from '../../core/outgoing.ts'
import type { Cancellation } from './cancellation.ts'
import {
  AnsweredError,
  asksForUsage,
  type Dialect,
  MalformedAnswer,
  type PassingAnswer,
  type StreamDecoder,
} from './dialect.ts'
import { decoded, EventStream } from './event-stream.ts'
import { type AnswerHead, failureOf, UpstreamError } from './failure.ts'
import { chatEvents, responseEvents, wholeOf } from './other-framing.ts'
import { passedBytes } from './passing.ts'
import { passedHeaders, refusalOf } from './refusal.ts'
import { EventParser } from './sse.ts'
import type { UpstreamAnswer, UpstreamCall, Usage } from './upstream.ts'

export interface AnswerReaderOptions {
  readonly upstream: string
  readonly dialect: Dialect
  readonly call: UpstreamCall
  readonly cancellation: Cancellation
  /** how long the upstream may be silent before a whole answer or the first token of a stream */
  readonly silenceMs: number
  /** for all of a whole answer, or up to the first token of a stream */
  readonly limitMs: number
  /** between two packets of a stream */
  readonly idleMs: number
  /** the answers that are held as a whole, of all upstreams */
  readonly held: BytesHeld
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly resolve: (answer: UpstreamAnswer) => void
  readonly reject: (failure: Error) => void
}

/** Most bytes that are read of an error's body. */
const REFUSAL_LIMIT = 64 * 1024
/** Above this many bytes an answer that the client gets as it is is passed on while it comes. */
const PASSED_ABOVE = 1024 * 1024
/** Most bytes of an answer that is held as a whole. */
const ANSWER_LIMIT = 64 * 1024 * 1024
/** How long an upstream may take to close a stream after its last event, in milliseconds. */
const LAST_BYTES_MS = 1000
/** How long an answer that is finished waits for its token counts and its end, in milliseconds. */
const FINISHED_MS = 3000
/**
 * After this time of comments and empty events, in milliseconds, what came is passed on before the first
 * token: the client and all between would give up a connection that stays silent for longer.
 */
const KEPT_ALIVE_MS = 10_000

/**
 * Receives one answer as undici reads it off the connection, and settles the attempt: with a whole answer,
 * with a stream once its first token has come, or with the failure. The first byte of the answer tells its
 * framing, not its content-type, which some servers get wrong.
 */
export class AnswerReader implements OutgoingHandler {
  private readonly options: AnswerReaderOptions
  private readonly watch: AttemptWatch
  private controller: OutgoingController | undefined
  private head: AnswerHead = { status: 0, headers: {} }
  /** undefined until the first byte that is not white space */
  private framing: 'whole' | 'events' | undefined
  /** the answer's content-encoding; '' if there is none */
  private coding = ''
  private decompressor: Transform | undefined
  /** its last stage */
  private decompressed: Transform | undefined
  private events: EventStream | undefined
  private collected: CollectedEvents | undefined
  /** of an answer that was passed on */
  private usage: Usage | undefined
  private passing: { readonly check: PassingAnswer; readonly bytes: Readable } | undefined
  private firstByteMs = 0
  private parts: Buffer[] = []
  private size = 0
  /** bytes that are counted in `held` */
  private counted = 0
  /** something has left this machine */
  private sent = false
  private settled = false
  private failed = false

  constructor(options: AnswerReaderOptions) {
    this.options = options
    const { progress } = options.call
    if (progress) progress.sent = false
    this.watch = new AttemptWatch(options.cancellation, options, () => this.gaveUp())
  }

  onRequestStart(controller: OutgoingController): void {
    this.controller = controller
    if (this.failed) {
      controller.abort(new Error('given up'))
      return
    }
    const { progress } = this.options.call
    if (progress) progress.sent = true
    this.sent = true
  }

  onResponseStart(_: OutgoingController, status: number, headers: AnswerHead['headers']): void {
    this.watch.refresh()
    if (status < 200) return
    this.head = { status, headers }
    if (status > 299) this.framing = 'whole'
    const codings = String(headers['content-encoding'] ?? '')
      .toLowerCase()
      .split(',')
    this.coding = codings
      .map((coding) => coding.trim())
      .filter((coding) => coding !== 'identity' && coding !== '')
      .join(',')
  }

  onResponseData(_: OutgoingController, chunk: Buffer): void {
    if (this.failed) return
    if (this.coding === '') {
      this.take(chunk)
      return
    }
    try {
      this.decompressor ??= this.decompress(this.coding, chunk[0]!)
      this.decompressor.write(chunk)
    } catch (error) {
      this.fail(error)
    }
  }

  onResponseEnd(): void {
    if (this.failed) return
    if (this.decompressor) this.decompressor.end()
    else this.end()
  }

  onResponseError(_: OutgoingController, error: Error): void {
    this.fail(error)
  }

  /** @param first byte of the answer */
  private decompress(coding: string, first: number): Transform {
    const streams = coding
      .split(',')
      .map((name) => decompressor(name, first))
      .reverse()
    const last = streams.at(-1)!
    this.decompressed = last
    last.on('data', (chunk: Buffer) => {
      if (!this.failed) this.take(chunk)
    })
    last.on('end', () => this.end())
    for (const [i, stream] of streams.entries()) {
      if (i > 0) streams[i - 1]!.pipe(stream)
      stream.on('error', (error) =>
        this.fail(new MalformedAnswer(`content-encoding ${coding}: ${error.message}`)),
      )
    }
    return streams[0]!
  }

  /** Bytes of the answer, decompressed. */
  private take(chunk: Buffer): void {
    try {
      this.watch.refresh()
      this.framing ??= this.begin(chunk)
      if (!this.framing) return
      if (this.events) {
        this.packet(this.events, chunk)
        return
      }
      if (this.passing) {
        this.passing.check.push(chunk)
        if (!this.passing.bytes.push(chunk)) this.pause()
        return
      }
      this.options.held.take(chunk.length)
      this.counted += chunk.length
      if (this.collected) {
        if (this.collected.push(chunk)) this.answered()
        else if (endsSoon(this.collected.decoder)) this.watch.restart(FINISHED_MS)
        return
      }
      this.parts.push(chunk)
      this.size += chunk.length
      if (this.size > ANSWER_LIMIT) {
        throw new MalformedAnswer(`an answer of more than ${ANSWER_LIMIT} bytes`)
      }
      if (this.head.status > 299) {
        if (this.size > REFUSAL_LIMIT) this.refused()
      } else if (this.size > PASSED_ABOVE) {
        this.pass()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  /** Passes on what has come and what will come, if the client gets the answer as it is. */
  private pass(): void {
    const { call, dialect, resolve, idleMs } = this.options
    if (!call.passes || call.body.stream === true) return
    const check = dialect.passing?.(call)
    if (!check) return
    // throws if it is an error, which is not passed on
    for (const part of this.parts) check.push(part)
    const bytes = passedBytes(this.drained, this.watch.abort)
    this.passing = { check, bytes }
    for (const part of this.parts) bytes.push(part)
    this.parts = []
    this.release()
    this.settled = true
    this.watch.restart(idleMs)
    this.pause()
    resolve({
      kind: 'large',
      chunks: bytes,
      usage: () => this.usage,
      headers: passedHeaders(this.head.headers),
      cancel: () => void bytes.destroy(),
    })
  }

  /** Until the client has read what has come. */
  private pause(): void {
    this.watch.pause()
    this.controller?.pause()
    this.decompressed?.pause()
  }

  private release(): void {
    this.options.held.release(this.counted)
    this.counted = 0
  }

  private begin(chunk: Buffer): 'whole' | 'events' | undefined {
    const { call, dialect } = this.options
    const wanted = call.body.stream === true
    const type = String(this.head.headers['content-type'] ?? '')
    const framing = framingOf(chunk, type)
    if (framing === undefined) return undefined
    this.firstByteMs = performance.now()
    if (framing === 'events' && wanted) {
      this.events = new EventStream(dialect.stream(call), this.drained, this.watch.abort)
    } else if (framing === 'events') {
      const stream = { stream: true, stream_options: { include_usage: true } }
      const body = { ...call.body, ...stream }
      const decoder = dialect.stream({ ...call, body, holdsUsage: false })
      this.collected = new CollectedEvents(decoder)
    } else if (framing === 'other' && wanted) {
      throw new MalformedAnswer(`expected text/event-stream, got ${type || 'no content-type'}`)
    }
    return framing === 'events' ? 'events' : 'whole'
  }

  private end(): void {
    if (this.failed) return
    try {
      if (this.events) {
        this.events.end()
        this.watch.end()
        // an answer that came in one packet, without the blank line after its last event
        if (!this.settled) this.streaming(this.events)
      } else if (this.passing) {
        this.usage = this.passing.check.end()
        this.watch.end()
        this.passing.bytes.push(null)
      } else if (this.head.status > 299) {
        this.refused()
      } else {
        this.collected?.end()
        this.answered()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  private packet(events: EventStream, chunk: Buffer): void {
    const { watch } = this
    try {
      events.push(chunk)
    } catch (error) {
      // as if the packet had ended before the error: what came is paid for, so it is not asked for again
      if (!this.settled && events.alive && events.decoder.said) this.streaming(events)
      throw error
    }
    if (!this.settled && (events.begun || this.keptAlive(events))) this.streaming(events)
    if (events.over) {
      watch.restart(LAST_BYTES_MS)
    } else if (events.full) {
      this.pause()
    } else if (this.settled) {
      const { idleMs } = this.options
      watch.expect(endsSoon(events.decoder) ? Math.min(FINISHED_MS, idleMs) : idleMs)
    }
  }

  private keptAlive(events: EventStream): boolean {
    return events.alive && performance.now() - this.firstByteMs > KEPT_ALIVE_MS
  }

  /** The first token has come, or the connection was kept alive without one for long. */
  private streaming(events: EventStream): void {
    const { watch, options } = this
    this.settled = true
    watch.restart(options.idleMs)
    const { decoder } = events
    options.resolve({
      kind: 'stream',
      chunks: events,
      usage: () => decoder.usage,
      usageEvent: () => decoder.usageEvent,
      headers: passedHeaders(this.head.headers),
      cancel: () => {
        // read the end of a whole answer, so that the connection can be reused
        if (!events.over) watch.abort()
      },
    })
  }

  private readonly drained = (): void => {
    if (!this.events?.over) this.watch.restart(this.options.idleMs)
    this.controller?.resume()
    this.decompressed?.resume()
  }

  private answered(): void {
    if (this.settled) return
    const { dialect, call, resolve } = this.options
    const headers = passedHeaders(this.head.headers)
    if (this.collected) {
      const { text, decoder } = this.collected
      const body = wholeOf(call.endpoint, text)
      this.settle()
      resolve({ kind: 'complete', body, text: undefined, usage: decoder.usage, headers })
      return
    }
    const text = this.text()
    const { body, usage, verbatim } = dialect.answer(call, text)
    this.settle()
    if (call.body.stream !== true) {
      resolve({ kind: 'complete', body, text: verbatim ? text : undefined, usage, headers })
      return
    }
    const events =
      call.endpoint === 'chat'
        ? chatEvents(body, asksForUsage(call.body) && !call.holdsUsage)
        : responseEvents(body)
    resolve({ kind: 'stream', chunks: inTurn(events), usage: () => usage, headers, cancel() {} })
  }

  private settle(): void {
    this.settled = true
    this.watch.end()
    this.release()
    // a collected stream may be whole before its connection is closed
    if (this.collected && !this.collected.closed) this.controller?.abort(new Error('complete'))
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

  /** The watch has closed the attempt. A finished answer whose connection stays open is whole. */
  private gaveUp(): void {
    const { watch, events, collected } = this
    if (watch.givenUp === undefined) {
      try {
        if (events?.decoder.finished) events.close()
        else if (collected?.decoder.finished) this.answered()
      } catch (error) {
        this.fail(error)
        return
      }
    }
    this.fail(new Error('given up'))
  }

  /** Ends the attempt, and closes the connection unless the answer was read to its end. */
  private fail(error: unknown): void {
    if (this.failed) return
    this.failed = true
    const { options, watch, events, passing, settled } = this
    const failure = this.failureOf(error)
    watch.end()
    if (!settled) {
      this.settled = true
      options.reject(failure)
    } else {
      events?.fail(failure)
      passing?.bytes.destroy(failure)
    }
    this.release()
    this.decompressor?.destroy()
    this.controller?.abort(failure)
  }

  private failureOf(error: unknown): Error {
    const { watch, settled: begun, head, sent } = this
    const { upstream, now } = this.options
    if (error instanceof AnsweredError) {
      const refusal = refusalOf(upstream, head, JSON.stringify(error.body), now())
      if (!begun) return refusal
      const { reason, spoken } = refusal
      return new UpstreamError('broken', { upstream, reason, spoken })
    }
    const { givenUp, late, silent } = watch
    return failureOf(error, upstream, { givenUp, late, silent, begun, sent })
  }
}

/** Whether nothing but token counts is expected. */
const endsSoon = ({ finished, finishesEarly }: StreamDecoder): boolean => finished && !finishesEarly

const BYTE_ORDER_MARK = 0xfeff

async function* inTurn(events: Iterable<string>): AsyncGenerator<string> {
  yield* events
}

/**
 * A decompressor of Node 20 for a content coding. `deflate` is zlib's format, or, from some servers, without
 * its header: the first byte tells.
 */
function decompressor(coding: string, first: number): Transform {
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip()
    case 'br':
      return createBrotliDecompress()
    case 'deflate':
      return (first & 0x0f) === 8 ? createInflate() : createInflateRaw()
    default:
      // `none`, `utf-8`: no coding, which the text shows
      if (!COMPRESSED.test(coding) && TEXT_START.test(String.fromCharCode(first))) {
        return new PassThrough()
      }
      throw new MalformedAnswer(`content-encoding ${coding}, and identity was asked for`)
  }
}

/** Codings that Node 20 has no decompressor for. */
const COMPRESSED = /zstd|compress|lz|xz/
const TEXT_START = /[{[:\sa-z]/

const FIELDS = ['data', 'event', 'id', 'retry']

/** How an answer is framed, from its first bytes; undefined if they are all white space. */
function framingOf(chunk: Buffer, type: string): 'whole' | 'events' | 'other' | undefined {
  // white space is sent to keep a connection alive
  const start = chunk.findIndex((byte, i) => byte > 0x20 && !(i < 3 && byte >= 0xbb))
  if (start < 0) return undefined
  const text = chunk.toString('latin1', start, start + 6)
  if (text.startsWith('{') || text.startsWith('[')) return 'whole'
  if (/^\s*text\/event-stream/i.test(type) || text.startsWith(':')) return 'events'
  const isField = FIELDS.some((name) => text.startsWith(name) || name.startsWith(text))
  return isField ? 'events' : 'other'
}

/** The events of a stream where a whole answer was asked for. */
class CollectedEvents {
  readonly decoder: StreamDecoder
  /** the upstream has closed the stream */
  closed = false
  text = ''
  private readonly parser = new EventParser()
  private readonly utf8 = new TextDecoder()

  constructor(decoder: StreamDecoder) {
    this.decoder = decoder
  }

  /** Whether the answer is complete. */
  push(packet: Buffer): boolean {
    return this.take(this.parser.push(this.utf8.decode(packet, { stream: true })))
  }

  /** @throws MalformedAnswer if that is too early */
  end(): void {
    this.closed = true
    this.take([...this.parser.push(this.utf8.decode()), ...this.parser.flush()])
    if (!this.decoder.finished) throw new MalformedAnswer('the stream ended in the middle')
  }

  private take(events: ReturnType<EventParser['push']>): boolean {
    for (const event of events) {
      if (!this.decoder.over) this.text += decoded(this.decoder, event)
    }
    if (this.text.length > ANSWER_LIMIT) {
      throw new MalformedAnswer(`an answer of more than ${ANSWER_LIMIT} characters`)
    }
    return this.decoder.over
  }
}

/**
 * Closes an attempt when the caller gives up, when nothing came for too long, or when an answer takes too
 * long, and records which it was. Uses one timer at a time.
 */
export class AttemptWatch {
  /** the limit that was exceeded, in milliseconds; undefined if none was */
  late: number | undefined
  /** whether the upstream was silent for that long; otherwise the answer took that long */
  silent = true
  private readonly outer: Cancellation
  private readonly close: () => void
  private timer: NodeJS.Timeout | undefined
  /** milliseconds of the clock */
  private until: number
  private readonly limitMs: number
  private silenceMs: number
  private lastMs: number
  private ended = false

  /**
   * @param silenceMs how long nothing may come
   * @param limitMs for everything, until `restart`
   * @param close closes the connection if it is open; called at most once
   */
  constructor(
    outer: Cancellation,
    { silenceMs, limitMs }: { readonly silenceMs: number; readonly limitMs: number },
    close: () => void,
  ) {
    this.outer = outer
    this.close = close
    this.silenceMs = silenceMs
    this.limitMs = limitMs
    this.lastMs = performance.now()
    this.until = this.lastMs + limitMs
    outer.listen(this.abort)
    this.arm()
  }

  /** why the caller gave up, if it did */
  get givenUp(): unknown {
    return this.outer.cancelled ? (this.outer.reason ?? true) : undefined
  }

  /** From now on only silence for this long ends it. */
  restart(silenceMs: number): void {
    this.until = Number.POSITIVE_INFINITY
    this.silenceMs = silenceMs
    this.lastMs = performance.now()
    this.arm()
  }

  /** Like `restart` where the limit is another one, else like `refresh`. */
  expect(silenceMs: number): void {
    if (silenceMs === this.silenceMs) this.refresh()
    else this.restart(silenceMs)
  }

  /** Something came. Costs no timer. */
  refresh(): void {
    this.lastMs = performance.now()
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

  private arm(): void {
    clearTimeout(this.timer)
    if (this.ended) return
    const dueMs = Math.min(this.until, this.lastMs + this.silenceMs) - performance.now()
    this.timer = setTimeout(this.passed, Math.max(0, dueMs))
  }

  private readonly passed = (): void => {
    const now = performance.now()
    this.silent = now - this.lastMs >= this.silenceMs - 1
    if (!this.silent && now < this.until - 1) {
      this.arm()
      return
    }
    this.late = this.silent ? this.silenceMs : this.limitMs
    this.abort()
  }
}
