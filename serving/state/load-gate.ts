import { WeirError } from '../../core/errors.ts'

export interface LoadGateOptions {
  readonly maxInFlight: number
  readonly maxLagMs: number
}

const SAMPLE_MS = 50
/** One stall, such as a module that loads, is no queue: soon after one it is looked again. */
const SOON_MS = 2
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
  private timer: NodeJS.Timeout | undefined

  constructor(options: LoadGateOptions) {
    this.options = options
    this.sample(SAMPLE_MS)
  }

  /** @throws overloaded */
  check(): void {
    const { maxInFlight, maxLagMs } = this.options
    if (this.inFlight >= maxInFlight) this.refuse(`${maxInFlight} requests under way`)
    if (this.lagMs > maxLagMs) this.refuse(`${Math.round(this.lagMs)} ms behind`)
  }

  close(): void {
    clearTimeout(this.timer)
  }

  private sample(wait: number): void {
    const began = performance.now()
    this.timer = setTimeout(() => {
      this.lagMs = Math.max(0, performance.now() - began - wait)
      this.sample(this.lagMs > this.options.maxLagMs ? SOON_MS : SAMPLE_MS)
    }, wait)
    this.timer.unref()
  }

  private refuse(what: string): never {
    throw new WeirError('overloaded', { what }, { retryAfter: RETRY_AFTER })
  }
}
