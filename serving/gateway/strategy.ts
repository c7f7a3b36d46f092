import type { PassedBody, UpstreamAnswer } from '../upstreams/upstream.ts'
import type { GatewayRequest, ServePlan, Target } from './plan.ts'
import type { Trail } from './trail.ts'

/** An answer and the target that gave it. */
export interface Answer {
  readonly target: Target
  /** the upstream that answered for it */
  readonly upstream: string
  readonly answer: UpstreamAnswer
}

export interface SendOptions {
  /** instead of the request's body: a judge's question, `stream: false` for a check; the target is laid over it */
  readonly body?: PassedBody
  /** aborts this call alone, beside the request's own signal */
  readonly signal?: AbortSignal
  /** least of this and the deadline is the time it has, in milliseconds: past it, its upstream has failed */
  readonly withinMs?: number
}

/** What a strategy works with. Tokens and dollars of every `send` are counted by the gateway itself. */
export interface StrategyCall {
  readonly request: GatewayRequest
  readonly plan: ServePlan
  /** aborted when the client has gone or the deadline has passed */
  readonly signal: AbortSignal
  readonly trail: Trail
  /** milliseconds left of the request's deadline */
  remainingMs(): number
  /**
   * Asks one target: balanced over its upstreams, retried within the budget, breakers obeyed.
   *
   * @throws UpstreamError of the last attempt, WeirError `cancelled` or `gateway_deadline`
   */
  send(target: Target, options?: SendOptions): Promise<Answer>
  /** Asks them in order until one answers: failover, which skips what is of lower quality unless the plan allows it. */
  sendFirst(targets: readonly Target[], options?: SendOptions): Promise<Answer>
}

/** A way of asking targets. `single` is the gateway's own; others are registered by their kind. */
export interface Strategy {
  readonly kind: string
  /** A strategy that drops an answer that is a stream must `cancel` it. */
  run(call: StrategyCall): Promise<Answer>
}
