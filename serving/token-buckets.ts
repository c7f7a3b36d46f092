/** Clients remembered; the one known longest makes room. */
const CLIENTS = 10_000

export interface Grant {
  /** whole tokens, at most as many as were asked for */
  readonly granted: number
  /** milliseconds until there is one, where none was granted */
  readonly wait: number
}

interface Bucket {
  tokens: number
  at: number
  /** lent to others and not yet spent, as far as they have said */
  lent: number
}

/** A bucket a client: it holds a minute's worth and is refilled steadily. What is lent counts as still in it. */
export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>()
  readonly #now: () => number

  /** @param now milliseconds, of any origin */
  constructor(now: () => number) {
    this.#now = now
  }

  take(client: string, perMinute: number, most: number): Grant {
    const bucket = this.#filled(client, perMinute)
    const granted = Math.min(most, Math.floor(bucket.tokens))
    bucket.tokens -= granted
    return { granted, wait: granted > 0 ? 0 : ((1 - bucket.tokens) / perMinute) * 60_000 }
  }

  /** As `take`, for somebody who spends them later and says so. @param share of what is there, at most */
  lend(client: string, perMinute: number, needed: number, share: number): Grant {
    const bucket = this.#filled(client, perMinute)
    const most = Math.max(needed, Math.floor(bucket.tokens * share))
    const grant = this.take(client, perMinute, most)
    bucket.lent += grant.granted
    return grant
  }

  /** Lent tokens that were spent, or are lost. */
  spent(client: string, tokens: number): void {
    const bucket = this.#buckets.get(client)
    if (bucket) bucket.lent -= tokens
  }

  /** Lent tokens that come back. */
  back(client: string, tokens: number): void {
    const bucket = this.#buckets.get(client)
    if (!bucket) return
    bucket.lent -= tokens
    bucket.tokens += tokens
  }

  #filled(client: string, perMinute: number): Bucket {
    const now = this.#now()
    let bucket = this.#buckets.get(client)
    if (!bucket) {
      if (this.#buckets.size >= CLIENTS) {
        const oldest = this.#buckets.keys().next()
        if (!oldest.done) this.#buckets.delete(oldest.value)
      }
      bucket = { tokens: perMinute, at: now, lent: 0 }
      this.#buckets.set(client, bucket)
    }
    const refilled = bucket.tokens + ((now - bucket.at) / 60_000) * perMinute
    // never more than a minute's worth, here and lent together
    bucket.tokens = Math.max(bucket.tokens, Math.min(perMinute - bucket.lent, refilled))
    bucket.at = now
    return bucket
  }
}
