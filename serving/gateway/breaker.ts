import type { BreakerConfig } from './config.ts'

export type BreakerState = 'closed' | 'open' | 'half_open'

const WINDOW = 20
const FAILURES = 5
const SHARE = 0.5
const OPEN_MS = 5_000
const LONGEST = 16

/**
 * The outcome of an attempt that a breaker let through, reported once. `dropped` does not count for or
 * against the upstream.
 */
export interface Permit {
  succeeded(): void
  failed(): void
  /** cancelled by us: the client disconnected, or another answer came first */
  dropped(): void
}

/**
 * A circuit breaker. It opens after a number of failures in a row, or when more than a share of the last
 * twenty failed. While it is open nothing is asked; then a single request is let through (half-open), which
 * closes it or opens it for twice as long. A permit from an earlier state does not affect a later one.
 */
export class Breaker {
  private readonly failuresToOpen: number
  private readonly shareToOpen: number
  private readonly openMs: number
  private readonly now: () => number
  private phase: BreakerState = 'closed'
  /** counts changes of phase, so that late outcomes of an earlier phase are recognised */
  private epoch = 0
  private inRow = 0
  private recent: boolean[] = []
  private until = 0
  private factor = 1
  private probing = false
  private suspectUntil = 0
  /** whether it reached its own limits, not those of a time in which it is suspected */
  private reached = false
  /** called when it opens by its own limits, with the time for which nothing is asked, in milliseconds */
  onOpen: ((ms: number) => void) | undefined

  /** @param now milliseconds, never going back */
  constructor(config: BreakerConfig, now: () => number) {
    this.failuresToOpen = config.failures ?? FAILURES
    this.shareToOpen = config.share ?? SHARE
    this.openMs = config.open_ms ?? OPEN_MS
    this.now = now
  }

  get state(): BreakerState {
    if (this.phase === 'open' && this.now() >= this.until) return 'half_open'
    return this.phase
  }

  /** Whether `enter` would let a request through. */
  get ready(): boolean {
    const { state } = this
    return state === 'closed' || (state === 'half_open' && !this.probing)
  }

  /** Call only where `ready`. */
  enter(): Permit {
    if (this.state === 'half_open') {
      if (this.phase === 'open') this.change('half_open')
      this.probing = true
    }
    const { epoch } = this
    let told = false
    const once = (act: () => void) => (): void => {
      if (told) return
      told = true
      if (epoch === this.epoch) act()
    }
    return {
      succeeded: once(() => this.good()),
      failed: once(() => this.bad()),
      dropped: once(() => {
        this.probing = false
      }),
    }
  }

  private good(): void {
    this.inRow = 0
    if (this.phase === 'half_open') {
      this.factor = 1
      this.change('closed')
    } else {
      this.remember(true)
    }
  }

  private bad(): void {
    this.inRow++
    if (this.phase === 'half_open') {
      this.factor = Math.min(this.factor * 2, LONGEST)
      this.open()
      return
    }
    this.remember(false)
    const failed = this.recent.filter((worked) => !worked).length
    this.reached =
      this.inRow >= this.failuresToOpen ||
      (this.recent.length >= WINDOW && failed > this.shareToOpen * WINDOW)
    if (this.reached || this.now() < this.suspectUntil) this.open()
  }

  private open(): void {
    const ms = this.openMs * this.factor
    this.until = this.now() + ms
    this.change('open')
    // were others told of one that opened at a hint, servers would keep each other's open at one failure in a while
    if (this.reached) this.onOpen?.(ms)
  }

  /** Another server's has opened: for so long, one failure opens this one. */
  suspect(ms: number): void {
    this.suspectUntil = this.now() + ms
  }

  private change(phase: BreakerState): void {
    this.phase = phase
    this.epoch++
    this.inRow = 0
    this.recent = []
    this.probing = false
  }

  private remember(worked: boolean): void {
    this.recent.push(worked)
    if (this.recent.length > WINDOW) this.recent.shift()
  }
}
