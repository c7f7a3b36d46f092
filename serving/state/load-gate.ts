import { WeirError } from '../../core/errors.ts'

export interface LoadGateOptions {
  readonly maxInFlight: number
  readonly maxLagMs: number
}

const SAMPLE_MS = 50
/** A single stall, such as a module being loaded, is not a queue: the lag is measured again soon after. */
const SOON_MS = 2
/** Seconds in the Retry-After of a refused request. */
const RETRY_AFTER = 1

/**
 * Refuses work that would only delay everything else: above a number of requests in progress, or when the
 * event loop is so late that a queue must have built up before it.
 */
export class LoadGate {
  inFlight = 0
  /** lag of the event loop at the last measurement, in milliseconds */
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
