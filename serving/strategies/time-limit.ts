import { setMaxListeners } from 'node:events'
import { WeirError } from '../../models/errors.ts'

/** A limit on part of a request's work, beside the request's own signal. */
export interface TimeLimit {
  readonly signal: AbortSignal
  /** for one attempt within it, which is then known to have been too slow, rather than given up */
  readonly attemptMs: number
  /** Gives up what is under way. */
  abort(): void
  /** The work is done: nothing is aborted any more. */
  end(): void
}

const ATTEMPT_SHARE = 0.95

/** @param milliseconds at most 2^31 - 1 */
export function timeLimit(outer: AbortSignal, milliseconds: number): TimeLimit {
  const own = new AbortController()
  const timer = setTimeout(
    () => own.abort(new WeirError('cancelled', { signal: 'a time limit' })),
    Math.max(0, milliseconds),
  )
  const signal = AbortSignal.any([outer, own.signal])
  // as many samples may wait on it as a policy asks for
  setMaxListeners(0, signal)
  return {
    attemptMs: ATTEMPT_SHARE * milliseconds,
    signal,
    abort() {
      clearTimeout(timer)
      own.abort(new WeirError('cancelled', { signal: 'another answer' }))
    },
    end: () => clearTimeout(timer),
  }
}
