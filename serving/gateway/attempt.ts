import { WeirError } from '../../models/errors.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import type { PassedBody, StreamAnswer, Usage } from '../upstreams/upstream.ts'
import type { Hold } from './admission.ts'
import type { Backend } from './backend.ts'
import type { Permit } from './breaker.ts'
import type { Dispatch } from './dispatch.ts'
import type { Target } from './plan.ts'
import type { Answer } from './strategy.ts'

/** How long an upstream that says 429 and nothing more is left alone, in milliseconds. */
const DEFAULT_PAUSE_MS = 1000

/** Asks one backend once, and tells its breaker, its latency and the request's ledger what came of it. */
export async function attemptOnce(
  dispatch: Dispatch,
  backend: Backend,
  remainingMs: number,
  now: () => number,
  hold?: Hold,
): Promise<Answer> {
  const { endpoint, target, headers, cancellation, ledger } = dispatch
  const permit = backend.breaker.enter()
  const started = now()
  backend.inFlight++
  let ended = false
  const end = (outcome: string, usage?: Usage): void => {
    if (ended) return
    ended = true
    backend.inFlight--
    tell(permit, outcome)
    const { name: upstream } = backend.upstream
    const milliseconds = now() - started
    ledger.add({ model: target.model, upstream, milliseconds, outcome, usage })
    hold?.settle(outcome, usage)
  }
  const stream = dispatch.body.stream === true
  try {
    const body = bodyFor(target, dispatch.body, backend.model)
    const own = target.system === undefined && target.parameters === undefined
    const text = own ? dispatch.text : undefined
    const call = { endpoint, body, text, headers, remainingMs }
    const answer = await backend.upstream.complete(call, cancellation)
    backend.latency(stream).add(now() - started)
    const { name: upstream } = backend.upstream
    if (answer.kind === 'stream') {
      return { target, upstream, answer: accounted(answer, end) }
    }
    end('answered', answer.usage)
    return { target, upstream, answer }
  } catch (error) {
    end(outcomeOf(error))
    if (error instanceof UpstreamError) {
      // so that one that is slow enough to fail is known to be slow
      if (error.kind === 'timeout') backend.latency(stream).add(now() - started)
      if (error.kind === 'rate_limited') {
        backend.pausedUntil = now() + (error.retryAfterMs ?? DEFAULT_PAUSE_MS)
      }
    }
    throw error
  }
}

/** The client's body as this target is asked. */
function bodyFor({ system, parameters }: Target, body: PassedBody, model: string): PassedBody {
  if (system === undefined && parameters === undefined) return { ...body, model }
  const messages = body.messages as readonly unknown[] | undefined
  return {
    ...body,
    ...parameters,
    ...(system === undefined
      ? {}
      : { messages: [{ role: 'system', content: system }, ...(messages ?? [])] }),
    model,
  }
}

/** A stream is an attempt until its last byte: a break in the middle is the upstream's failure too. */
function accounted(
  answer: StreamAnswer,
  end: (outcome: string, usage?: Usage) => void,
): StreamAnswer {
  async function* chunks(): AsyncGenerator<string> {
    let outcome = 'cancelled'
    try {
      yield* answer.chunks
      outcome = 'answered'
    } catch (error) {
      outcome = outcomeOf(error)
      throw error
    } finally {
      end(outcome, answer.usage())
    }
  }
  return {
    kind: 'stream',
    chunks: chunks(),
    usage: answer.usage,
    cancel() {
      answer.cancel()
      end('cancelled', answer.usage())
    },
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof UpstreamError) return error.kind
  return error instanceof WeirError ? 'cancelled' : 'error'
}

function tell(permit: Permit, outcome: string): void {
  switch (outcome) {
    // the upstream did its part: what it refused was the request
    case 'answered':
    case 'rejected':
      permit.succeeded()
      break
    // a rate limit is no illness: the backend is left alone for as long as it asked
    case 'rate_limited':
    case 'cancelled':
    case 'error':
      permit.dropped()
      break
    default:
      permit.failed()
  }
}
