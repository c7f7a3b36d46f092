import { WeirError } from '../../core/errors.ts'
import { Cancellation } from '../upstreams/cancellation.ts'
import type { Endpoint } from '../upstreams/upstream.ts'
import {
  type Answer,
  type GatewayRequest,
  type Planning,
  type SendOptions,
  type ServePlan,
  type StrategyCall,
  type Target,
  Trail,
} from './contracts.ts'
import type { ModelDispatcher } from './dispatcher.ts'
import { sendFirst } from './failover.ts'
import { Ledger } from './ledger.ts'

export interface ExchangeOptions {
  readonly endpoint: Endpoint
  readonly request: GatewayRequest
  readonly dispatcher: ModelDispatcher
  /** sent on to every upstream */
  readonly headers: Readonly<Record<string, string>>
  readonly deadlineMs: number
  /** milliseconds, never going back */
  readonly now: () => number
}

/** One request under way: its deadline, its one signal, and what it has cost so far. */
export class Exchange {
  readonly request: GatewayRequest
  readonly endpoint: Endpoint
  readonly ledger: Ledger
  readonly trail = new Trail()
  readonly started: number
  private readonly options: ExchangeOptions
  private readonly cancellation = new Cancellation()
  private deadlineMs: number
  private timer: NodeJS.Timeout
  private sends = 0

  constructor(options: ExchangeOptions) {
    this.options = options
    this.request = options.request
    this.endpoint = options.endpoint
    this.started = options.now()
    this.deadlineMs = options.deadlineMs
    this.ledger = new Ledger((model) => options.dispatcher.models.get(model)?.price)
    this.timer = this.countdown(this.deadlineMs)
  }

  get signal(): AbortSignal {
    return this.cancellation.signal
  }

  get milliseconds(): number {
    return this.options.now() - this.started
  }

  remainingMs = (): number => Math.max(0, this.deadlineMs - this.milliseconds)

  /** A plan may shorten the deadline, never lengthen it. */
  shorten(deadlineMs: number): void {
    if (deadlineMs >= this.deadlineMs) return
    this.deadlineMs = deadlineMs
    clearTimeout(this.timer)
    this.timer = this.countdown(this.remainingMs())
  }

  /** The first token has come: from here the limit of whole streams holds. */
  streaming(limitMs: number): void {
    clearTimeout(this.timer)
    this.timer = this.countdown(limitMs)
  }

  /** The client has gone, or nobody waits any more. */
  cancel(): void {
    clearTimeout(this.timer)
    this.cancellation.cancel(new WeirError('cancelled', { signal: 'the client' }))
  }

  end(): void {
    clearTimeout(this.timer)
  }

  /** What a policy works with, before there is a plan. */
  planning(): Planning {
    const { cancellation } = this
    return {
      get signal() {
        return cancellation.signal
      },
      send: (target, sendOptions) =>
        this.send(undefined, target, false, sendOptions, this.cancellable(sendOptions)),
    }
  }

  /** What a strategy works with. */
  call(plan: ServePlan): StrategyCall {
    const { request, cancellation, trail, remainingMs, options } = this
    return {
      request,
      plan,
      get signal() {
        return cancellation.signal
      },
      trail,
      remainingMs,
      send: (target, sendOptions = {}) =>
        this.send(plan, target, false, sendOptions, this.cancellable(sendOptions)),
      sendFirst: (targets, sendOptions = {}) =>
        sendFirst(targets, {
          dispatcher: options.dispatcher,
          stream: (sendOptions.body ?? request.body).stream === true,
          allowDown: plan.allowDown ?? false,
          hedgeAfterMs: plan.hedgeAfterMs,
          maxLatencyMs: maxLatency(plan, request),
          cancellation: this.cancellable(sendOptions),
          send: (target, moreToTry, own) => this.send(plan, target, moreToTry, sendOptions, own),
        }),
    }
  }

  private cancellable({ signal }: SendOptions): Cancellation {
    return signal ? this.cancellation.child(signal) : this.cancellation
  }

  private send(
    plan: ServePlan | undefined,
    target: Target,
    moreToTry: boolean,
    { body = this.request.body, withinMs = Number.POSITIVE_INFINITY }: SendOptions,
    cancellation: Cancellation,
  ): Promise<Answer> {
    const { request, endpoint, ledger, options } = this
    const until = options.now() + withinMs
    const remainingMs = (): number =>
      Math.max(0, Math.min(this.remainingMs(), until - options.now()))
    // retries of one send are one question, so that an upstream that knows the header bills it once
    const headers = { ...options.headers, 'idempotency-key': `${request.id}-${++this.sends}` }
    return options.dispatcher.send({
      endpoint,
      request,
      plan,
      target,
      body,
      text: body === request.body ? request.text : undefined,
      headers,
      cancellation,
      ledger,
      remainingMs,
      maxLatencyMs: maxLatency(plan, request),
      moreToTry,
    })
  }

  private countdown(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => {
      const deadline = Math.round(this.deadlineMs)
      this.cancellation.cancel(new WeirError('gateway_deadline', { deadline }))
    }, milliseconds)
  }
}

const maxLatency = (plan: ServePlan | undefined, request: GatewayRequest): number | undefined =>
  plan?.maxLatencyMs ?? request.hints.max_latency_ms
