import { WeirError } from '../models/errors.ts'

export interface LoadGateOptions {
  readonly maxInFlight: number
  readonly maxLagMs: number
}

const SAMPLE_MS = 50
/** Seconds a refused client is asked to wait. */
const RETRY_AFTER = 1

/**
 * Refuses work that would only make everyone wait: past so many requests under way, or once the event
 * loop answers so late that a queue must have built up before it.
 */
export class LoadGate {
  inFlight = 0
  /** milliseconds the event loop was late at the last look */
  lagMs = 0
  private readonly options: LoadGateOptions
  private readonly timer: NodeJS.Timeout

  constructor(options: LoadGateOptions) {
    this.options = options
    let last = performance.now()
    this.timer = setInterval(() => {
      const now = performance.now()
      this.lagMs = Math.max(0, now - last - SAMPLE_MS)
      last = now
    }, SAMPLE_MS)
    this.timer.unref()
  }

  /** @throws overloaded */
  check(): void {
    const { maxInFlight, maxLagMs } = this.options
    if (this.inFlight >= maxInFlight) this.refuse(`${maxInFlight} requests under way`)
    if (this.lagMs > maxLagMs) this.refuse(`${Math.round(this.lagMs)} ms behind`)
  }

  close(): void {
    clearInterval(this.timer)
  }

  private refuse(what: string): never {
    throw new WeirError('overloaded', { what }, { retryAfter: RETRY_AFTER })
  }
}
