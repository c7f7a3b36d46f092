import { WeirError } from '../../core/errors.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import type { PassedBody } from '../upstreams/upstream.ts'
import { learnFrom } from './abilities.ts'
import type { Answer, GatewayRequest, Target } from './contracts.ts'
import type { ModelDispatcher, ServedModel } from './dispatcher.ts'
import { needsOf } from './needs.ts'
import { type LatencyGoal, slownessOf } from './pace.ts'

export interface FailoverOptions {
  readonly dispatcher: ModelDispatcher
  /** what is asked: models that cannot take it are asked last */
  readonly body: PassedBody
  readonly stream: boolean
  readonly allowDown: boolean
  readonly hedgeAfterMs: number | undefined
  readonly maxLatencyMs: number | undefined
  readonly cancellation: Cancellation
  /** `moreToTry`: another target could follow */
  readonly send: (target: Target, moreToTry: boolean, cancellation: Cancellation) => Promise<Answer>
}

/**
 * Asks targets in order until one answers. Targets of lower quality than the first are skipped unless
 * allowed; those that are unavailable or too slow come last.
 */
export async function sendFirst(
  targets: readonly Target[],
  options: FailoverOptions,
): Promise<Answer> {
  const order = inOrder(targets, options)
  const { dispatcher, body } = options
  let last: unknown
  // grows during the loop
  for (const [i, target] of order.entries()) {
    try {
      return await hedged(target, order[i + 1], options)
    } catch (error) {
      const { abilities } = dispatcher.model(target.model)
      const unable = error instanceof UpstreamError && learnFrom(abilities, error, body)
      if (!unable && !goesOn(error)) throw error
      // cheaper models may answer, whatever their quality, and so may those that can take what this one cannot
      if (unable || isOverBudget(error)) {
        order.push(...ableFirst(targets, options).filter((other) => !order.includes(other)))
      }
      // a model that could take the request and failed may answer later: its failure is what the client needs
      if (last === undefined || !unable || isUnable(last)) last = error
    }
  }
  throw last
}

/**
 * The targets that may answer: those at least as good as the first, unless lower quality is allowed. Those
 * that cannot take the request are left out, unless none can.
 */
export function inOrder(targets: readonly Target[], options: FailoverOptions): Target[] {
  const { dispatcher, stream, maxLatencyMs, allowDown } = options
  const able = ableFirst(targets, options)
  const first = able[0]!
  const best = dispatcher.model(first.model)
  const allowed = able.filter(
    (target, i) => i === 0 || allowDown || asGood(dispatcher.model(target.model), best),
  )
  if (allowed.length === 1) return allowed
  const ready = (target: Target): boolean => dispatcher.ready(target.model, stream, maxLatencyMs)
  return [...allowed.filter(ready), ...allowed.filter((target) => !ready(target))]
}

/** Those that can take the request; if none can, all, those with the longest context first. */
function ableFirst(targets: readonly Target[], { dispatcher, body }: FailoverOptions): Target[] {
  if (targets.length === 1) return [...targets]
  const able = targets.filter(({ model }) => !dispatcher.model(model).abilities?.lacks(body))
  if (able.length > 0) return able
  const context = ({ model }: Target): number =>
    dispatcher.model(model).abilities?.contextTokens() ?? Number.POSITIVE_INFINITY
  return targets.toSorted((a, b) => context(b) - context(a) || 0)
}

/** Why a chat is not for a model, unless the client has named it. */
export function unableTo(
  { models }: Pick<ModelDispatcher, 'models'>,
  model: string,
  { body, passed }: GatewayRequest,
): { readonly reason: string } | undefined {
  if (passed !== undefined || models.has(body.model)) return undefined
  const reason = models.get(model)?.abilities?.lacks(body)
  return reason === undefined ? undefined : { reason }
}

/** Why a chat would take too long with a model, by its latest answers, unless the client has named it. */
export function tooSlowFor(
  { models }: Pick<ModelDispatcher, 'models'>,
  model: string,
  { body, passed }: GatewayRequest,
  goal: LatencyGoal,
): { readonly reason: string } | undefined {
  if (goal.maxTtftMs === undefined && goal.maxTotalMs === undefined) return undefined
  if (passed !== undefined || models.has(body.model)) return undefined
  const paces = models.get(model)?.backends.map(({ pace }) => pace) ?? []
  const mostTokens = goal.maxTotalMs === undefined ? undefined : needsOf(body).answerTokens
  const reason = slownessOf(goal, paces, body.stream === true, mostTokens)
  return reason === undefined ? undefined : { reason }
}

/** Compares by configured quality, else by price: the strong one costs more. False if neither is known. */
function asGood(other: ServedModel, first: ServedModel): boolean {
  if (other.name === first.name) return true
  if (other.quality !== undefined && first.quality !== undefined) {
    return other.quality >= first.quality
  }
  if (!other.price || !first.price) return false
  return other.price.input + other.price.output >= first.price.input + first.price.output
}

const isUnable = (error: unknown): boolean =>
  error instanceof UpstreamError && error.kind === 'rejected'

function goesOn(error: unknown): boolean {
  if (error instanceof UpstreamError) return error.retryable
  return (
    isOverBudget(error) || (error instanceof WeirError && error.code === 'upstream_unavailable')
  )
}

const isOverBudget = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'model_over_budget'

/**
 * Also asks the next when the first has sent nothing for this long; the first answer wins, the other is
 * cancelled.
 */
function hedged(
  target: Target,
  next: Target | undefined,
  options: FailoverOptions,
): Promise<Answer> {
  const { hedgeAfterMs, send, cancellation, dispatcher } = options
  if (hedgeAfterMs === undefined) return send(target, next !== undefined, cancellation)
  const alone = !next && dispatcher.model(target.model).backends.length < 2
  return alone ? send(target, false, cancellation) : race(target, next, hedgeAfterMs, options)
}

async function race(
  target: Target,
  next: Target | undefined,
  hedgeAfterMs: number,
  { send, cancellation, dispatcher }: FailoverOptions,
): Promise<Answer> {
  const racers: Cancellation[] = []
  const run = (runner: Target): Promise<Answer> => {
    const own = cancellation.child()
    racers.push(own)
    return send(runner, next !== undefined, own)
  }
  const first = run(target)
  let timer: NodeJS.Timeout | undefined
  const silent = new Promise<'silent'>((resolve) => {
    timer = setTimeout(resolve, hedgeAfterMs, 'silent')
  })
  const early = await Promise.race([first, silent]).finally(() => clearTimeout(timer))
  if (early !== 'silent' || !dispatcher.takeHedge()) return first
  return firstOf([first, run(next ?? target)], racers)
}

/** Why the slower one of a hedge is cancelled. */
const OVERTAKEN = new WeirError('cancelled', { signal: 'a faster answer' })

/** The first that answers; later ones are cancelled. If none answers, fails with the first one's error. */
async function firstOf(
  running: readonly Promise<Answer>[],
  racers: readonly Cancellation[],
): Promise<Answer> {
  let winner: number | undefined
  const watched = running.map(async (answer, i) => {
    const came = await answer
    if (winner === undefined) {
      winner = i
      for (const [other, racer] of racers.entries()) if (other !== i) racer.cancel(OVERTAKEN)
    } else if (came.answer.kind !== 'complete') {
      came.answer.cancel()
    }
    return came
  })
  try {
    return await Promise.any(watched)
  } catch (error) {
    throw (error as AggregateError).errors[0]
  }
}
