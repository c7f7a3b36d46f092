import { WeirError } from './errors.ts'

/** Throws `cancelled` if the signal is aborted; encoders call it between prompts or batches. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal)
}

/** The result. @param late makes the error that is thrown if it takes longer than the limit */
export function within<T>(work: Promise<T>, milliseconds: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), milliseconds)
  })
  return Promise.race([work, limit]).finally(() => clearTimeout(timer))
}

export function cancelled(signal: AbortSignal): WeirError {
  const reason: unknown = signal.reason
  // the command line aborts with an error that names the signal it received
  if (reason instanceof WeirError) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  return new WeirError(
    'cancelled',
    { signal: timedOut ? 'its deadline' : 'its caller' },
    { cause: reason },
  )
}
