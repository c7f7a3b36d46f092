import { WeirError } from '../models/errors.ts'

/** Clients remembered; the one known longest makes room. */
const CLIENTS = 10_000

/** Token buckets: a client may burst a minute's worth and is refilled steadily. */
export class RateLimit {
  private readonly buckets = new Map<string, { tokens: number; at: number }>()
  private readonly now: () => number

  /** @param now milliseconds, of any origin */
  constructor(now: () => number = () => performance.now()) {
    this.now = now
  }

  /** @throws rate_limited, with the seconds to wait */
  take(client: string, perMinute: number): void {
    const now = this.now()
    const bucket = this.buckets.get(client) ?? this.added(client, perMinute, now)
    bucket.tokens = Math.min(perMinute, bucket.tokens + ((now - bucket.at) / 60_000) * perMinute)
    bucket.at = now
    if (bucket.tokens < 1) {
      const wait = Math.ceil(((1 - bucket.tokens) / perMinute) * 60)
      throw new WeirError('rate_limited', { limit: perMinute }, { retryAfter: wait })
    }
    bucket.tokens--
  }
  private added(client: string, tokens: number, at: number): { tokens: number; at: number } {
    if (this.buckets.size >= CLIENTS) {
      const oldest = this.buckets.keys().next()
      if (!oldest.done) this.buckets.delete(oldest.value)
    }
    const bucket = { tokens, at }
    this.buckets.set(client, bucket)
    return bucket
  }
}
