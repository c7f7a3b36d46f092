import { WeirError } from '../../core/errors.ts'
import type { Endpoint, PassedBody } from '../upstreams/upstream.ts'
import type {
  Answer,
  GatewayRequest,
  Plan,
  Policy,
  RefusePlan,
  ServedObserver,
  Strategy,
} from './contracts.ts'
import type { ModelDispatcher } from './dispatcher.ts'
import { Exchange } from './exchange.ts'

export interface GatewayOptions {
  readonly dispatcher: ModelDispatcher
  readonly policy: Policy
  /** ways of asking beside `single` */
  readonly strategies?: readonly Strategy[]
  readonly observers: readonly ServedObserver[]
  readonly deadlineMs: number
  readonly streamLimitMs: number
  readonly forwardHeaders: readonly string[]
  /** milliseconds, never going back */
  readonly now: () => number
}

/** What a request came to, before its bytes are sent. `finish` must be called once they are, or could not be. */
export interface Outcome {
  readonly exchange: Exchange
  readonly plan: Plan
  /** absent where the plan refuses */
  readonly answer: Answer | undefined
  /** tells the observers; further calls do nothing */
  finish(status: number, code?: string): void
}

/** A refusal that is an error, with what it must tell the client. */
export class Refusal extends WeirError {
  override readonly status: number
  readonly plan: RefusePlan

  constructor(plan: RefusePlan) {
    super('policy_refused', { message: plan.message }, retry(plan))
    this.status = plan.status ?? 403
    this.plan = plan
  }
}

const retry = ({ retryAfter }: RefusePlan): { retryAfter?: number } =>
  retryAfter === undefined ? {} : { retryAfter }

export interface Gateway {
  readonly dispatcher: ModelDispatcher
  /** @param cancelled called with what to do when the client goes */
  chat(request: GatewayRequest, cancelled: OnCancel): Promise<Outcome>
  /** A body of another endpoint, to the model it names. */
  pass(
    endpoint: Endpoint,
    request: GatewayRequest,
    body: PassedBody,
    cancelled: OnCancel,
  ): Promise<Outcome>
}

export type OnCancel = (cancel: () => void) => void

const single: Strategy = { kind: 'single', run: (call) => call.sendFirst(call.plan.targets) }

export function createGateway(options: GatewayOptions): Gateway {
  const { dispatcher, policy, observers, now } = options
  const strategies = new Map([single, ...(options.strategies ?? [])].map((s) => [s.kind, s]))

  const open = (endpoint: Endpoint, request: GatewayRequest, cancelled: OnCancel): Exchange => {
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
    let told = false
    const firstByteMs = exchange.milliseconds
    return {
      exchange,
      plan,
      answer,
      finish(status, code) {
        if (told) return
        told = true
        exchange.end()
        const { ledger, request, endpoint } = exchange
        const model = answer?.target.model
        const served = {
          endpoint,
          request,
          plan,
          model,
          upstream: answer?.upstream,
          attempts: ledger.attempts,
          trail: exchange.trail,
          costUsd: ledger.costUsd,
          savedUsd: model === undefined ? undefined : ledger.savedUsd(model, instead(plan)),
          milliseconds: exchange.milliseconds,
          firstByteMs: answer ? firstByteMs : undefined,
          status,
          code,
        }
        for (const observe of observers) observe(served)
      },
    }
  }

  /** Runs the plan; an error is told to the observers and thrown. */
  const serve = async (
    exchange: Exchange,
    plan: Plan,
    run: () => Promise<Answer>,
  ): Promise<Outcome> => {
    try {
      const answer = await run()
      if (answer.answer.kind === 'stream') exchange.streaming(options.streamLimitMs)
      else exchange.end()
      return outcome(exchange, plan, answer)
    } catch (error) {
      const known = error instanceof WeirError ? error : undefined
      outcome(exchange, plan, undefined).finish(known?.status ?? 500, known?.code ?? 'internal')
      throw error
    }
  }

  return {
    dispatcher,
    async chat(request, cancelled) {
      const exchange = open('chat', request, cancelled)
      let plan: Plan
      try {
        plan = await policy.plan(request, exchange.planning())
      } catch (error) {
        exchange.end()
        throw error
      }
      if (plan.kind === 'refuse') {
        const refused = outcome(exchange, plan, undefined)
        if (plan.as === 'answer') return refused
        refused.finish(plan.status ?? 403, 'policy_refused')
        throw new Refusal(plan)
      }
      if (plan.deadlineMs !== undefined) exchange.shorten(plan.deadlineMs)
      const serving = plan
      return serve(exchange, plan, () => {
        const { kind } = serving.strategy
        const strategy = strategies.get(kind)
        if (strategy) return strategy.run(exchange.call(serving))
        const expected = [...strategies.keys()].join(', ')
        throw new WeirError('config_invalid', { where: 'strategy', expected, got: kind })
      })
    },
    async pass(endpoint, request, body, cancelled) {
      const exchange = open(endpoint, request, cancelled)
      const plan = {
        kind: 'serve',
        targets: [{ model: body.model }],
        strategy: { kind: 'single' },
        deciding: { step: 'model_named', reason: 'model_named' },
        propensity: 1,
      } as const
      let refusal: RefusePlan | undefined
      try {
        refusal = await policy.admits?.(request, exchange.planning())
      } catch (error) {
        exchange.end()
        throw error
      }
      if (refusal) {
        outcome(exchange, refusal, undefined).finish(refusal.status ?? 403, 'policy_refused')
        throw new Refusal(refusal)
      }
      return serve(exchange, plan, () => exchange.call(plan).send(plan.targets[0], { body }))
    },
  }
}

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

/** The models that could have answered instead: the dearest of them is what was saved against. */
function instead(plan: Plan): string[] {
  if (plan.kind === 'refuse') return []
  const candidates = plan.decision?.candidates ?? []
  return [...plan.targets, ...candidates].map(({ model }) => model)
}
