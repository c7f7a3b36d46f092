import { WeirError } from '../../core/errors.ts'
import type { BodyText } from '../../core/json/large.ts'
import { mayName } from '../router/keys.ts'
import type { PlannedFacts, Tracing } from '../telemetry/tracing.ts'
import { Cancellation } from '../upstreams/cancellation.ts'
import type { Endpoint, PassedBody, ServedEndpoint } from '../upstreams/upstream.ts'
import {
  type Answer,
  type GatewayRequest,
  NO_STEP,
  type Plan,
  type Planning,
  type Policy,
  type RefusePlan,
  type SendOptions,
  type ServedObserver,
  type ServePlan,
  type Strategy,
  type StrategyCall,
  type Target,
  Trail,
} from './contracts.ts'
import type { ModelDispatcher } from './dispatcher.ts'
import { type FailedRequest, failureHeaders } from './error-body.ts'
import { sendFirst } from './failover.ts'
import {
  assertForwardable,
  type Forwarded,
  type Forwarding,
  type ForwardOptions,
  forward,
  UNLISTED,
} from './forwarding.ts'
import { RequestCosts } from './request-costs.ts'

export interface GatewayOptions {
  readonly dispatcher: ModelDispatcher
  /** how requests of other endpoints are sent on */
  readonly forwarding: ForwardOptions
  readonly policy: Policy
  /** the strategies that a plan may name, besides `single` */
  readonly strategies?: readonly Strategy[]
  readonly observers: readonly ServedObserver[]
  /** called with the budget's name for each model that a budget closed to a request that is served or refused */
  readonly onOverBudget?: (budget: string) => void
  readonly deadlineMs: number
  readonly streamLimitMs: number
  readonly forwardHeaders: readonly string[]
  /** milliseconds, never going back */
  readonly now: () => number
  readonly tracing?: Tracing | undefined
}

/** The result of a request, before its bytes are sent. Call `finish` once they are sent or cannot be sent. */
export interface Outcome {
  readonly exchange: Exchange
  readonly plan: Plan
  /** absent if the plan refuses */
  readonly answer: Answer | undefined
  /** Notifies the observers; only the first call counts. */
  finish(status: number, code?: string): void
}

/** The error that the client gets for a plan that refuses with one. */
export class Refusal extends WeirError {
  override readonly status: number
  readonly plan: RefusePlan

  constructor(plan: RefusePlan) {
    const { message, retryAfter } = plan
    super('policy_refused', { message }, retryAfter === undefined ? {} : { retryAfter })
    this.status = plan.status ?? 403
    this.plan = plan
  }
}

/** Both methods notify the observers of every request once, whether it was answered, refused or failed. */
export interface Gateway {
  readonly dispatcher: ModelDispatcher
  /** @param cancelled registers a function to call when the client disconnects */
  chat(request: GatewayRequest, cancelled: OnCancel): Promise<Outcome>
  /** Sends a body of another endpoint to the model it names. */
  pass(
    endpoint: Endpoint,
    request: GatewayRequest,
    body: PassedBody,
    /** the client's JSON of `body` */
    text: BodyText,
    cancelled: OnCancel,
  ): Promise<Outcome>
  /**
   * Sends a request of any other endpoint as it is, to the model that it names or the default upstream.
   * `request.passed` holds what could be read of its body.
   */
  forward(
    endpoint: ServedEndpoint,
    request: GatewayRequest,
    sent: Forwarding,
    cancelled: OnCancel,
  ): Promise<ForwardOutcome>
}

/** The answer to a forwarded request, before its bytes are sent. Call `finish` once they are, or cannot be. */
export interface ForwardOutcome extends Forwarded {
  readonly id: string
  finish(status: number, code?: string): void
}

export type OnCancel = (cancel: () => void) => void

const single: Strategy = {
  kind: 'single',
  run: (call) => call.sendFirst(call.plan.targets, { passes: true }),
}

export function createGateway(options: GatewayOptions): Gateway {
  const { dispatcher, policy, observers, onOverBudget, now, tracing } = options
  const strategies = new Map([single, ...(options.strategies ?? [])].map((s) => [s.kind, s]))

  const open = (
    endpoint: ServedEndpoint,
    request: GatewayRequest,
    cancelled: OnCancel,
  ): Exchange => {
    const exchange = new Exchange({
      endpoint,
      request,
      dispatcher,
      headers: forwarded(request, options.forwardHeaders),
      deadlineMs: Math.min(options.deadlineMs, request.hints.deadline_ms ?? options.deadlineMs),
      now,
    })
    cancelled(() => exchange.cancel())
    return exchange
  }

  const outcome = (exchange: Exchange, plan: Plan, answer: Answer | undefined): Outcome => {
    return { exchange, plan, answer, finish: ending(exchange, plan, answer) }
  }

  /** Tells the observers, once. */
  const ending = (
    exchange: Exchange,
    plan: Plan,
    answer: Pick<Answer, 'target' | 'upstream'> | undefined,
  ): Outcome['finish'] => {
    let finished = false
    const firstByteMs = exchange.milliseconds
    return (status, code) => {
      if (finished) return
      finished = true
      exchange.end()
      const { costs, request, endpoint } = exchange
      const model = answer?.target.model
      const served = {
        endpoint,
        request,
        plan,
        model,
        upstream: answer?.upstream,
        attempts: costs.attempts,
        trail: exchange.trail,
        costUsd: costs.costUsd,
        savedUsd: model === undefined ? undefined : costs.savedUsd(model, alternatives(plan)),
        milliseconds: exchange.milliseconds,
        firstByteMs: answer ? firstByteMs : undefined,
        status,
        code,
      }
      for (const observe of observers) observe(served)
    }
  }

  /**
   * Runs one part of a request. Errors are reported to the observers and rethrown. @param plan once there is
   * one
   */
  const part = async <T>(
    exchange: Exchange,
    plan: Plan | undefined,
    run: () => Promise<T>,
  ): Promise<T> => {
    try {
      return await run()
    } catch (error) {
      if (error instanceof WeirError) error.answerHeaders = failureHeaders(error, failed(exchange))
      const { status, code } = error instanceof WeirError ? error : BUG
      outcome(exchange, plan ?? unplanned(code, error), undefined).finish(status, code)
      throw error
    }
  }

  const refuse = (exchange: Exchange, plan: RefusePlan): Refusal => {
    const refusal = new Refusal(plan)
    refusal.answerHeaders = failureHeaders(refusal, failed(exchange))
    outcome(exchange, plan, undefined).finish(refusal.status, refusal.code)
    return refusal
  }

  const serve = (
    exchange: Exchange,
    plan: ServePlan,
    run: () => Promise<Answer>,
  ): Promise<Outcome> =>
    part(exchange, plan, async () => {
      const answer = await run()
      if (answer.answer.kind !== 'complete') exchange.streaming(options.streamLimitMs)
      else exchange.end()
      return outcome(exchange, plan, answer)
    })

  /** Whether a request may go to the model that it names, which is not routed. @throws its refusal */
  const admit = async (exchange: Exchange, check: () => void): Promise<void> => {
    const { request } = exchange
    const { model } = request.body
    const refused = await part(exchange, undefined, async () => {
      // a key limited to some routers cannot bypass them by naming a model; an earlier response names its router's choice
      if (!request.pinned && !mayName(request.caller, model)) {
        throw new WeirError('router_forbidden', { router: model }, { param: 'model' })
      }
      check()
      return policy.admits?.(request, exchange.planning())
    })
    if (!refused) return
    for (const budget of refused.overBudget ?? []) onOverBudget?.(budget)
    throw refuse(exchange, refused)
  }

  return {
    dispatcher,
    async chat(request, cancelled) {
      const exchange = open(request.client?.api ?? 'chat', request, cancelled)
      const decide = (): Promise<Plan> => policy.plan(request, exchange.planning())
      const plan = await part(exchange, undefined, () =>
        tracing ? tracing.planned(decide, plannedFacts) : decide(),
      )
      for (const budget of plan.overBudget ?? []) onOverBudget?.(budget)
      if (plan.kind === 'refuse') {
        if (plan.as === 'answer') return outcome(exchange, plan, undefined)
        throw refuse(exchange, plan)
      }
      if (plan.deadlineMs !== undefined) exchange.shorten(plan.deadlineMs)
      return serve(exchange, plan, () => {
        const { kind } = plan.strategy
        const strategy = strategies.get(kind)
        if (strategy) return strategy.run(exchange.call(plan))
        const expected = [...strategies.keys()].join(', ')
        throw new WeirError('config_invalid', { where: 'strategy', expected, got: kind })
      })
    },
    async pass(endpoint, request, body, text, cancelled) {
      const exchange = open(endpoint, request, cancelled)
      const { model } = body
      await admit(exchange, () => {})
      const target = { model }
      const plan = planFor(target)
      return serve(exchange, plan, () =>
        exchange.call(plan).send(target, { body, text, passes: true }),
      )
    },
    async forward(endpoint, request, sent, cancelled) {
      const exchange = open(endpoint, request, cancelled)
      const { model } = request.body
      const listed = dispatcher.models.has(model)
      await admit(exchange, () => assertForwardable(model, options.forwarding, sent))
      const target = { model: listed ? model : UNLISTED }
      const plan = planFor(target)
      return part(exchange, plan, async () => {
        const { passed: body = { model } } = request
        // what is not asked of a model has no price
        const asks = listed && sent.method === 'POST'
        const admission = { endpoint, request, plan, target, body }
        const reservation = asks ? dispatcher.admitted(admission) : undefined
        const its = await exchange.forward(sent, reservation, options.forwarding)
        exchange.streaming(options.streamLimitMs)
        const { upstream } = its
        return { ...its, id: request.id, finish: ending(exchange, plan, { target, upstream }) }
      })
    },
  }
}

const plannedFacts = (plan: Plan): PlannedFacts => {
  const { step, reason, name } = plan.deciding
  const served = plan.kind === 'serve' ? plan : undefined
  return {
    step,
    reason,
    name,
    policy: plan.policy?.name,
    model: served?.targets[0]?.model,
    strategy: served?.strategy.kind,
    score: served?.decision?.win_rate ?? served?.targets[0]?.score,
    threshold: served?.decision?.threshold,
  }
}

const failed = ({ request: { id }, costs: { attempts } }: Exchange): FailedRequest => ({
  id,
  attempts,
})

/** The plan for a request to a model that its client named. */
const planFor = (target: Target): ServePlan => ({
  kind: 'serve',
  targets: [target],
  strategy: { kind: 'single' },
  deciding: { step: 'model_named', reason: 'model_named' },
  propensity: 1,
})

/** What observers get for an error outside the error table. */
const BUG = { status: 500, code: 'internal' }

/** Used as the plan of a request that failed before a step decided. */
const unplanned = (code: string, error: unknown): RefusePlan => ({
  kind: 'refuse',
  as: 'error',
  message: error instanceof Error ? error.message : String(error),
  deciding: { step: NO_STEP, reason: code },
})

function forwarded(
  { headers }: GatewayRequest,
  allowed: readonly string[],
): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of allowed) {
    const value = headers[name]
    if (typeof value === 'string') kept[name] = value
  }
  return kept
}

/** The models that could have answered instead: savings are measured against the most expensive of them. */
function alternatives(plan: Plan): string[] {
  if (plan.kind === 'refuse') return []
  const candidates = plan.decision?.candidates ?? []
  return [...plan.targets, ...candidates].map(({ model }) => model)
}

interface ExchangeOptions {
  readonly endpoint: ServedEndpoint
  readonly request: GatewayRequest
  readonly dispatcher: ModelDispatcher
  /** passed on to every upstream */
  readonly headers: Readonly<Record<string, string>>
  readonly deadlineMs: number
  /** milliseconds, never going back */
  readonly now: () => number
}

/** One request in progress: its deadline, its signal, and its cost so far. */
class Exchange {
  readonly request: GatewayRequest
  readonly endpoint: ServedEndpoint
  readonly costs: RequestCosts
  readonly trail = new Trail()
  private readonly options: ExchangeOptions
  private readonly started: number
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
    this.costs = new RequestCosts((model) => options.dispatcher.models.get(model)?.price)
    this.timer = this.countdown(this.deadlineMs)
  }

  get milliseconds(): number {
    return this.options.now() - this.started
  }

  remainingMs = (): number => Math.max(0, this.deadlineMs - this.milliseconds)

  /** A plan may only shorten the deadline. */
  shorten(deadlineMs: number): void {
    if (deadlineMs >= this.deadlineMs) return
    this.deadlineMs = deadlineMs
    clearTimeout(this.timer)
    this.timer = this.countdown(this.remainingMs())
  }

  /** The first token has come: from now on the limit for whole streams applies. */
  streaming(limitMs: number): void {
    clearTimeout(this.timer)
    this.timer = this.countdown(limitMs)
  }

  /** The client has disconnected. */
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
          body: sendOptions.body ?? request.body,
          stream: (sendOptions.body ?? request.body).stream === true,
          allowDown: plan.allowDown ?? false,
          hedgeAfterMs: plan.hedgeAfterMs,
          maxLatencyMs: maxLatency(plan, request),
          cancellation: this.cancellable(sendOptions),
          send: (target, moreToTry, own) => this.send(plan, target, moreToTry, sendOptions, own),
        }),
    }
  }

  /** Sends it on as it is. */
  forward(
    sent: Forwarding,
    reservation: ReturnType<ModelDispatcher['admitted']>,
    forwarding: ForwardOptions,
  ): Promise<Forwarded> {
    const { request, costs, remainingMs, options, cancellation, endpoint } = this
    const { headers } = options
    const dispatch = { request, headers, costs, remainingMs, endpoint }
    return forward(sent, dispatch, cancellation, reservation, forwarding)
  }

  private cancellable({ signal }: SendOptions): Cancellation {
    return signal ? this.cancellation.child(signal) : this.cancellation
  }

  private send(
    plan: ServePlan | undefined,
    target: Target,
    moreToTry: boolean,
    { body = this.request.body, text, passes, withinMs = Number.POSITIVE_INFINITY }: SendOptions,
    cancellation: Cancellation,
  ): Promise<Answer> {
    const { request, costs, options } = this
    // others are forwarded, not sent
    const endpoint = this.endpoint as Endpoint
    const until = options.now() + withinMs
    const remainingMs = (): number =>
      Math.max(0, Math.min(this.remainingMs(), until - options.now()))
    // all retries of one send share a key, so that an upstream that supports the header bills them once
    const headers = { ...options.headers, 'idempotency-key': `${request.id}-${++this.sends}` }
    // strategies read answers and change bodies, in chat's shape
    const own = body === request.body && (plan?.strategy.kind ?? 'none') === 'single'
    return options.dispatcher.send({
      endpoint,
      native: own && request.client !== undefined,
      request,
      plan,
      target,
      body,
      text: body === request.body ? request.text : text,
      headers,
      cancellation,
      costs,
      remainingMs,
      maxLatencyMs: maxLatency(plan, request),
      // the cost is written into the answer's text
      passes: passes && request.takesBytes && request.hints.include_cost !== true,
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
  plan?.maxLatencyMs ??
  request.hints.max_latency_ms ??
  // of whole answers, the first token comes with the last
  request.hints.max_ttft_ms
