import { WeirError } from '../../core/errors.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import type { Answer, Target } from './contracts.ts'
import type { ModelDispatcher, ServedModel } from './dispatcher.ts'

export interface FailoverOptions {
  readonly dispatcher: ModelDispatcher
  readonly stream: boolean
  readonly allowDown: boolean
  readonly hedgeAfterMs: number | undefined
  readonly maxLatencyMs: number | undefined
  readonly cancellation: Cancellation
  /** `moreToTry` says that another could follow */
  readonly send: (target: Target, moreToTry: boolean, cancellation: Cancellation) => Promise<Answer>
}

/**
 * Asks targets in order until one answers. What is of lower quality than the first is skipped unless that
 * is allowed; what cannot be asked now, or is too slow, comes last.
 */
export async function sendFirst(
  targets: readonly Target[],
  options: FailoverOptions,
): Promise<Answer> {
  const order = inOrder(targets, options)
  let last: unknown
  // grows while it is gone through
  for (const [i, target] of order.entries()) {
    try {
      return await hedged(target, order[i + 1], options)
    } catch (error) {
      if (!goesOn(error)) throw error
      // what costs less may answer, however good it is
      if (isOverBudget(error)) order.push(...targets.filter((other) => !order.includes(other)))
      last = error
    }
  }
  throw last
}

/** The targets that may answer, the first one's equals and betters alone unless down is allowed. */
export function inOrder(targets: readonly Target[], options: FailoverOptions): Target[] {
  const { dispatcher, stream, maxLatencyMs, allowDown } = options
  const first = targets[0]!
  const best = dispatcher.model(first.model)
  const allowed = targets.filter(
    (target, i) => i === 0 || allowDown || asGood(dispatcher.model(target.model), best),
  )
  if (allowed.length === 1) return allowed
  const ready = (target: Target): boolean => dispatcher.ready(target.model, stream, maxLatencyMs)
  return [...allowed.filter(ready), ...allowed.filter((target) => !ready(target))]
}

/** By the quality that was configured, else by price: the strong one costs more. Not where neither is known. */
function asGood(other: ServedModel, first: ServedModel): boolean {
  if (other.name === first.name) return true
  if (other.quality !== undefined && first.quality !== undefined) {
    return other.quality >= first.quality
  }
  if (!other.price || !first.price) return false
  return other.price.input + other.price.output >= first.price.input + first.price.output
}

function goesOn(error: unknown): boolean {
  if (error instanceof UpstreamError) return error.retryable
  return (
    isOverBudget(error) || (error instanceof WeirError && error.code === 'upstream_unavailable')
  )
}

const isOverBudget = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'model_over_budget'

/** Asks the next as well once the first has been silent for so long; the first answer wins, the other is given up. */
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

/** Why the slower one of a hedge is given up. */
const OVERTAKEN = new WeirError('cancelled', { signal: 'a faster answer' })

/** The first that answers; those that come later are cancelled. Fails as the first one did where none answers. */
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
    } else if (came.answer.kind === 'stream') {
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
