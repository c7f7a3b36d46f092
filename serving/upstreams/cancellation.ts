/**
 * Reports once that work is given up, and why. Node's AbortController costs a request ten microseconds and a
 * finalizer; this class makes a signal only on demand.
 */
export class Cancellation {
  private why: unknown
  private done = false
  private listeners: (() => void)[] = []
  private controller: AbortController | undefined

  get cancelled(): boolean {
    return this.done
  }

  /** the reason it was cancelled with */
  get reason(): unknown {
    return this.why
  }

  /** Calls every listener; further calls do nothing. */
  cancel(reason: unknown): void {
    if (this.done) return
    this.done = true
    this.why = reason
    const { listeners } = this
    this.listeners = []
    for (const listener of listeners) listener()
    this.controller?.abort(reason)
  }

  /** Call only while not `cancelled`. */
  listen(listener: () => void): void {
    this.listeners.push(listener)
  }

  unlisten(listener: () => void): void {
    const at = this.listeners.indexOf(listener)
    if (at >= 0) this.listeners.splice(at, 1)
  }

  /** The same, for APIs that take a signal. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.done) this.controller.abort(this.why)
    }
    return this.controller.signal
  }

  /** A child that is cancelled with this one, with `signal`, or separately. */
  child(signal?: AbortSignal): Cancellation {
    const child = new Cancellation()
    if (this.done) child.cancel(this.why)
    else this.listen(() => child.cancel(this.why))
    if (signal?.aborted) child.cancel(signal.reason)
    else signal?.addEventListener('abort', () => child.cancel(signal.reason), { once: true })
    return child
  }
}
