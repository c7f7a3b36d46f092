import { WeirError } from '../models/errors.ts'
import { TokenBuckets } from './token-buckets.ts'

/** How often a client may ask. */
export interface RateLimiter {
  /**
   * Takes one request; answers at once wherever it can.
   *
   * @throws rate_limited, with the seconds to wait
   */
  take(client: string, perMinute: number): Promise<void> | undefined
  close?(): void
}

/** Token buckets of one process: a client may burst a minute's worth and is refilled steadily. */
export class RateLimit implements RateLimiter {
  readonly #buckets: TokenBuckets

  /** @param now milliseconds, of any origin */
  constructor(now: () => number = () => performance.now()) {
    this.#buckets = new TokenBuckets(now)
  }

  take(client: string, perMinute: number): undefined {
    const { granted, wait } = this.#buckets.take(client, perMinute, 1)
    if (granted === 0) throw rateLimited(perMinute, wait)
  }
}

/** @param wait milliseconds */
export const rateLimited = (perMinute: number, wait: number): WeirError =>
  new WeirError(
    'rate_limited',
    { limit: perMinute },
    { retryAfter: Math.max(1, Math.ceil(wait / 1000)) },
  )
