const WINDOW = 100
/** How long a time is remembered, in milliseconds: an upstream that was slow an hour ago may be fast. */
const AGE_MS = 60_000
/** A quantile of fewer says little. */
export const ENOUGH = 10
/** A quantile is worked out again after so many more times. */
const STALE = 8

/** The last times of one upstream and model, to the first token of a stream or a whole answer. */
export class Latency {
  private readonly values = new Float64Array(WINDOW)
  private readonly times = new Float64Array(WINDOW).fill(Number.NEGATIVE_INFINITY)
  private readonly now: () => number
  private next = 0
  private since = STALE
  private cached: { readonly at: number; readonly p50: number; readonly p95: number } | undefined

  /** @param now milliseconds, never going back */
  constructor(now: () => number) {
    this.now = now
  }

  add(milliseconds: number): void {
    this.values[this.next] = milliseconds
    this.times[this.next] = this.now()
    this.next = (this.next + 1) % WINDOW
    this.since++
  }

  /** Milliseconds; undefined while fewer than ten are known of the last minute. */
  get p95(): number | undefined {
    return this.quantiles()?.p95
  }

  get p50(): number | undefined {
    return this.quantiles()?.p50
  }

  private quantiles(): { p50: number; p95: number } | undefined {
    const now = this.now()
    if (this.since < STALE && (!this.cached || now - this.cached.at < AGE_MS / 4))
      return this.cached
    this.since = 0
    const known = this.values.filter((_, i) => now - this.times[i]! < AGE_MS).sort()
    const at = (share: number): number => known[Math.ceil(share * known.length) - 1]!
    this.cached = known.length < ENOUGH ? undefined : { at: now, p50: at(0.5), p95: at(0.95) }
    return this.cached
  }
}
