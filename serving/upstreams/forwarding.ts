import type { Readable } from 'node:stream'
import type { OutgoingController, OutgoingHandler } from '../../core/outgoing.ts'
import { AttemptWatch } from './answer-reader.ts'
import type { Cancellation } from './cancellation.ts'
import type { Counts } from './dialect.ts'
import { type AnswerHead, failureOf } from './failure.ts'
import { openAiUsage } from './openai.ts'
import { passedBytes } from './passing.ts'
import { passedHeaders, refusalOf } from './refusal.ts'
import { EventParser } from './sse.ts'
import type { ForwardedAnswer, ForwardedCall, Usage } from './upstream.ts'

export interface ForwardReaderOptions {
  readonly upstream: string
  readonly call: ForwardedCall
  readonly cancellation: Cancellation
  /** how long the upstream may be silent before the head of its answer */
  readonly silenceMs: number
  /** between two packets of its answer */
  readonly idleMs: number
  /** milliseconds since 1970 */
  readonly now: () => number
  readonly resolve: (answer: ForwardedAnswer) => void
  readonly reject: (failure: Error) => void
}

/** Most bytes that are read of an answer about our account. */
const REFUSAL_LIMIT = 64 * 1024
/** Headers of the answer itself that the client gets, beside those of every answer. */
const OF_THE_BODY =
  /^(content-(type|length|encoding|disposition|range)|accept-ranges|etag|last-modified|retry-after(-ms)?|x-should-retry)$/

/**
 * Whether an answer is about our key or account rather than about the request, or a redirect, which is not
 * followed. What it says may quote the key.
 */
const isAboutUs = (status: number): boolean =>
  (status >= 300 && status < 400) || status === 401 || status === 402 || status === 403

/** Receives an answer as undici reads it off the connection, and passes its bytes on at the client's pace. */
export class ForwardReader implements OutgoingHandler {
  private readonly options: ForwardReaderOptions
  private readonly watch: AttemptWatch
  private controller: OutgoingController | undefined
  private head: AnswerHead = { status: 0, headers: {} }
  private body: Readable | undefined
  private refusal: Buffer[] | undefined
  private refusalBytes = 0
  private paused = false
  private sent = false
  private ended = false

  constructor(options: ForwardReaderOptions) {
    this.options = options
    const { call, cancellation, silenceMs } = options
    if (call.progress) call.progress.sent = false
    const limits = { silenceMs, limitMs: call.remainingMs }
    this.watch = new AttemptWatch(cancellation, limits, () => this.fail(new Error('given up')))
  }

  onRequestStart(controller: OutgoingController): void {
    this.controller = controller
    if (this.ended) {
      controller.abort(new Error('given up'))
      return
    }
    const { progress } = this.options.call
    if (progress) progress.sent = true
    this.sent = true
  }

  onResponseStart(_: OutgoingController, status: number, headers: AnswerHead['headers']): void {
    this.watch.refresh()
    if (status < 200 || this.ended) return
    this.head = { status, headers }
    if (isAboutUs(status)) {
      this.refusal = []
      return
    }
    this.watch.restart(this.options.idleMs)
    const body = passedBytes(
      () => this.resume(),
      () => this.close(),
    )
    this.body = body
    this.options.resolve({ status, headers: answerHeaders(headers), body })
  }

  onResponseData(_: OutgoingController, chunk: Buffer): void {
    if (this.ended) return
    this.watch.refresh()
    if (this.refusal) {
      this.refusal.push(chunk)
      this.refusalBytes += chunk.length
      if (this.refusalBytes > REFUSAL_LIMIT) this.refused(this.refusal)
    } else if (this.body && !this.body.push(chunk)) {
      this.paused = true
      this.watch.pause()
      this.controller?.pause()
    }
  }

  onResponseEnd(): void {
    if (this.ended) return
    if (this.refusal) {
      this.refused(this.refusal)
      return
    }
    this.ended = true
    this.watch.end()
    this.body?.push(null)
  }

  onResponseError(_: OutgoingController, error: Error): void {
    this.fail(error)
  }

  private resume(): void {
    if (!this.paused || this.ended) return
    this.paused = false
    this.watch.restart(this.options.idleMs)
    this.controller?.resume()
  }

  private refused(parts: readonly Buffer[]): void {
    const { upstream, now } = this.options
    const text = Buffer.concat(parts).toString('utf8')
    this.fail(refusalOf(upstream, this.head, text, now()))
  }

  /** The reader wants no more. */
  private close(): void {
    if (this.ended) return
    this.ended = true
    this.watch.end()
    this.controller?.abort(new Error('given up'))
  }

  private fail(error: Error): void {
    if (this.ended) return
    const { watch, sent, body } = this
    const { givenUp, late, silent } = watch
    const facts = { givenUp, late, silent, begun: body !== undefined, sent }
    const failure = failureOf(error, this.options.upstream, facts)
    this.close()
    if (body) body.destroy(failure)
    else this.options.reject(failure)
  }
}

function answerHeaders(headers: AnswerHead['headers']): Record<string, string> {
  const kept = passedHeaders(headers)
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'string' && OF_THE_BODY.test(name)) kept[name] = value
  }
  return kept
}

/** Most bytes of a whole answer that are read for its token counts. */
const COUNTED_BYTES = 4 * 1024 * 1024

/** Reads the token counts of an answer that passes by, be it JSON or a stream of events. */
export class UsageReader {
  private readonly framing: 'whole' | 'events' | undefined
  private readonly parser = new EventParser()
  private readonly utf8 = new TextDecoder()
  private parts: Buffer[] = []
  private size = 0
  private counts: unknown

  constructor({ status, headers }: Pick<ForwardedAnswer, 'status' | 'headers'>) {
    const type = headers['content-type'] ?? ''
    const plain = (headers['content-encoding'] ?? 'identity') === 'identity'
    if (status > 299 || !plain) return
    if (/json/i.test(type)) this.framing = 'whole'
    else if (/event-stream/i.test(type)) this.framing = 'events'
  }

  push(chunk: Buffer): void {
    if (this.framing === 'whole' && this.size <= COUNTED_BYTES) {
      this.parts.push(chunk)
      this.size += chunk.length
    } else if (this.framing === 'events') {
      try {
        for (const { data } of this.parser.push(this.utf8.decode(chunk, { stream: true }))) {
          if (data.includes('"usage"')) this.read(data)
        }
      } catch (error) {
        // an event that is too long: nothing that could be counted
        if (!(error instanceof RangeError)) throw error
      }
    }
  }

  /** once everything has passed; undefined if the upstream counted no tokens */
  usage(): Usage | undefined {
    if (this.framing === 'whole' && this.size <= COUNTED_BYTES) {
      this.read(Buffer.concat(this.parts).toString('utf8'))
    }
    const counts = this.counts as Counts | null | undefined
    // transcriptions may be counted in seconds
    const counted = TOKENS.some((field) => typeof counts?.[field] === 'number')
    return counted ? openAiUsage(counts) : undefined
  }

  private read(text: string): void {
    let value: { readonly usage?: unknown; readonly response?: { readonly usage?: unknown } } | null
    try {
      value = JSON.parse(text)
    } catch {
      return
    }
    const counts = value?.usage ?? value?.response?.usage
    if (typeof counts === 'object' && counts !== null) this.counts = counts
  }
}

const TOKENS = ['prompt_tokens', 'input_tokens', 'completion_tokens', 'output_tokens']
