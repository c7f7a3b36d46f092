/** Failures in a row after which a router's encoder counts as down. */
const LIMIT = 5
/** Milliseconds after the last failure until the encoder is assumed to work and is tried again. */
const FORGET_MS = 10_000

/** Tracks failing encoders: those with this many failures in a row, the last of them recent. */
export class EncoderHealth {
  private readonly failures = new Map<string, { count: number; last: number }>()
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  failed(router: string): void {
    const count = (this.failures.get(router)?.count ?? 0) + 1
    this.failures.set(router, { count, last: this.now() })
  }

  worked(router: string): void {
    if (this.failures.size > 0) this.failures.delete(router)
  }

  /** Names of the routers whose encoder is down. */
  down(): string[] {
    const since = this.now() - FORGET_MS
    return [...this.failures]
      .filter(([, { count, last }]) => count >= LIMIT && last > since)
      .map(([router]) => router)
  }
}
