import { WeirError } from '../../core/errors.ts'

let listening: AbortSignal | undefined

/** A signal that Ctrl-C aborts, so that long work stops cleanly; a second Ctrl-C ends the process at once. */
export function interruptSignal(): AbortSignal {
  if (listening) return listening
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals): void => {
    controller.abort(new WeirError('cancelled', { signal }))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  listening = controller.signal
  return listening
}
