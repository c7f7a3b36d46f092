import { setTimeout as wait } from 'node:timers/promises'
import { WeirError } from '../../models/errors.ts'
import type { Price } from '../../models/prices.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import { cancelled } from '../upstreams/http-failure.ts'
import { type Admit, NOT_SENT } from './admission.ts'
import { attemptOnce } from './attempt.ts'
import type { Backend } from './backend.ts'
import { type BalanceOptions, chooseBackend, usable, withinLatency } from './balancer.ts'
import type { Dispatch } from './dispatch.ts'
import { backoffMs, type RetryBudget } from './retry-budget.ts'
import type { Answer } from './strategy.ts'

/** A name of `gateway.models` and all that answers for it. */
export interface ServedModel {
  readonly name: string
  readonly backends: readonly Backend[]
  readonly price: Price | undefined
  readonly quality: number | undefined
}

export interface DispatcherOptions extends BalanceOptions {
  readonly models: ReadonlyMap<string, ServedModel>
  readonly attempts: number
  readonly budget: RetryBudget
  /** has a say before every attempt */
  readonly admit?: Admit | undefined
}

/** Of the time that is left, what an attempt may take where another could follow it. */
const ATTEMPT_SHARE = 0.6

/** Asks models: picks who answers for them, tries again, and obeys breakers and Retry-After. */
export class ModelDispatcher {
  private readonly options: DispatcherOptions

  constructor(options: DispatcherOptions) {
    this.options = options
  }

  /** @throws model_not_served */
  model(name: string): ServedModel {
    const { models } = this.options
    const model = models.get(name)
    if (model) return model
    throw new WeirError(
      'model_not_served',
      { model: name, known: [...models.keys()] },
      { param: 'model' },
    )
  }

  get models(): ReadonlyMap<string, ServedModel> {
    return this.options.models
  }

  /** Whether some upstream of the model may be asked and is fast enough, as far as is known. */
  ready(name: string, stream: boolean, maxLatencyMs: number | undefined): boolean {
    const now = this.options.now()
    return this.model(name).backends.some(
      (backend) => usable(backend, now) && withinLatency(backend, stream, maxLatencyMs),
    )
  }

  /** Takes from the same budget as retries: a hedge is load that nobody asked for. */
  takeHedge(): boolean {
    return this.options.budget.take()
  }

  /** @throws UpstreamError of the last attempt, upstream_unavailable, model_not_served, the signal's reason */
  async send(dispatch: Dispatch): Promise<Answer> {
    const { attempts, budget, random, now } = this.options
    const { target, cancellation, maxLatencyMs } = dispatch
    const { backends } = this.model(target.model)
    const stream = dispatch.body.stream === true
    const tried = new Set<Backend>()
    budget.earn()
    let last: UpstreamError | undefined
    for (let attempt = 1; ; attempt++) {
      let hold = this.options.admit?.(dispatch)
      if (hold instanceof Promise) {
        hold = await hold
        if (cancellation.cancelled) {
          hold?.settle(NOT_SENT, undefined)
          throw cancelled(cancellation.reason)
        }
      }
      const backend = chooseBackend(backends, this.options, { stream, maxLatencyMs, tried })
      if (!backend) {
        hold?.settle(NOT_SENT, undefined)
        throw last ?? this.unavailable(target.model, backends)
      }
      tried.add(backend)
      const fresh = (): boolean =>
        backends.some((other) => !tried.has(other) && usable(other, now()))
      const share = dispatch.moreToTry || fresh() ? ATTEMPT_SHARE : 1
      try {
        return await attemptOnce(dispatch, backend, dispatch.remainingMs() * share, now, hold)
      } catch (error) {
        if (!(error instanceof UpstreamError) || !error.retryable) throw error
        last = error
      }
      if (attempt >= attempts) throw last
      const another = fresh()
      if (!another && last.kind === 'misconfigured') throw last
      const pause = another ? 0 : Math.max(backoffMs(attempt, random), last.retryAfterMs ?? 0)
      // what would come too late, or could be asked elsewhere meanwhile, is not waited for
      if (pause >= dispatch.remainingMs() || (dispatch.moreToTry && pause > PATIENCE_MS)) throw last
      if (!budget.take()) throw last
      if (pause > 0) await pauseFor(pause, cancellation.signal)
    }
  }

  private unavailable(model: string, backends: readonly Backend[]): WeirError {
    const now = this.options.now()
    const paused = backends.filter((backend) => backend.pausedUntil > now)
    const reason = paused.length > 0 ? 'rate limits' : 'circuit breakers are open'
    const soonest = Math.min(...paused.map((backend) => backend.pausedUntil - now), 5_000)
    return new WeirError(
      'upstream_unavailable',
      { model, reason },
      { retryAfter: Math.max(1, Math.ceil(soonest / 1000)) },
    )
  }
}

/** Longest wait for a model that fails while another could be asked, in milliseconds. */
const PATIENCE_MS = 200

async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(milliseconds, undefined, { signal })
  } catch (error) {
    throw signal.reason instanceof WeirError ? signal.reason : error
  }
}
