import { WeirError } from '../../core/errors.ts'
import type { PrimaryChannel, TopicHandler } from './primary-channel.ts'

/** Clients remembered; the oldest one is dropped first. */
const CLIENTS = 10_000

interface Grant {
  /** whole tokens, at most as many as requested */
  readonly granted: number
  /** milliseconds until the next token, if none was granted */
  readonly wait: number
}

interface Bucket {
  tokens: number
  at: number
  /** lent to workers and not reported as spent yet */
  lent: number
}

/**
 * One client's bucket: holds one minute's tokens and is refilled steadily. Lent tokens count as still in it.
 */
class TokenBuckets {
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

  /**
   * As `take`, for a worker that spends them later and reports it. @param share most of the tokens left to
   * lend
   */
  lend(client: string, perMinute: number, needed: number, share: number): Grant {
    const bucket = this.#filled(client, perMinute)
    const most = Math.max(needed, Math.floor(bucket.tokens * share))
    const grant = this.take(client, perMinute, most)
    bucket.lent += grant.granted
    return grant
  }

  /** Lent tokens that were spent or lost. */
  spent(client: string, tokens: number): void {
    const bucket = this.#buckets.get(client)
    if (bucket) bucket.lent -= tokens
  }

  /** Lent tokens that are returned. */
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
    // never more than one minute's tokens, in the bucket and lent together
    bucket.tokens = Math.max(bucket.tokens, Math.min(perMinute - bucket.lent, refilled))
    bucket.at = now
    return bucket
  }
}

/** Limits the request rate of each client. */
export interface RateLimiter {
  /**
   * Takes one request's token; synchronous if possible.
   *
   * @throws rate_limited, with the seconds to wait
   */
  take(client: string, perMinute: number): Promise<void> | undefined
  close?(): void
}

/** Token buckets of one process: a client may use a minute's tokens in a burst, and is refilled steadily. */
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

export const RATE_TOPIC = 'rate'

interface RateQuestion {
  readonly client: string
  readonly perMinute: number
  /** tokens of this client spent since the last report */
  readonly spent: number
  /** fewest tokens wanted; 0 to return tokens */
  readonly needed: number
  readonly back: number
}

/** How long a refusal is cached, in milliseconds: another worker may return tokens. */
const BELIEVED_MS = 250
/** Tokens unused for this long are returned. */
const IDLE_MS = 1000
const LEASED_CLIENTS = 10_000
/** Longest wait for the primary, in milliseconds. */
const ANSWER_MS = 5000

interface Lease {
  readonly perMinute: number
  tokens: number
  spent: number
  usedAt: number
  refusedUntil: number
  /** requests that wait for the primary's answer */
  waiting: { resolve: () => void; reject: (error: unknown) => void }[]
}

/**
 * A worker's share of the rate limits that the primary keeps for all: tokens come in blocks, so that most
 * requests need no message. All workers together never exceed the limit; tokens that one of them does not use
 * are returned after a second.
 */
export class LeasedRateLimit implements RateLimiter {
  readonly #primary: PrimaryChannel
  readonly #now: () => number
  readonly #leases = new Map<string, Lease>()
  readonly #sweeper: NodeJS.Timeout

  /** @param now milliseconds, of any origin */
  constructor(primary: PrimaryChannel, now: () => number = () => performance.now()) {
    this.#primary = primary
    this.#now = now
    this.#sweeper = setInterval(() => this.sweep(), IDLE_MS)
    this.#sweeper.unref()
  }

  take(client: string, perMinute: number): Promise<void> | undefined {
    const lease = this.#leases.get(client) ?? this.#added(client, perMinute)
    const now = this.#now()
    if (lease.tokens > 0) {
      lease.tokens--
      lease.spent++
      lease.usedAt = now
      return undefined
    }
    if (now < lease.refusedUntil) throw rateLimited(perMinute, lease.refusedUntil - now)
    return new Promise((resolve, reject) => {
      lease.waiting.push({ resolve, reject })
      // clients of one turn share a message
      if (lease.waiting.length === 1) queueMicrotask(() => void this.#ask(client, lease))
    })
  }

  /** Reports spent tokens, and returns unused ones. */
  sweep(): void {
    const now = this.#now()
    for (const [client, lease] of this.#leases) {
      if (lease.waiting.length > 0) continue
      const idle = now - lease.usedAt >= IDLE_MS
      this.#giveBack(client, idle ? lease : { ...lease, tokens: 0 })
      lease.spent = 0
      if (idle) this.#leases.delete(client)
    }
  }

  close(): void {
    clearInterval(this.#sweeper)
    for (const [client, lease] of this.#leases) this.#giveBack(client, lease)
    this.#leases.clear()
  }

  async #ask(client: string, lease: Lease): Promise<void> {
    while (lease.waiting.length > 0) {
      const { perMinute, spent } = lease
      lease.spent = 0
      const question: RateQuestion = {
        client,
        perMinute,
        spent,
        needed: lease.waiting.length,
        back: 0,
      }
      const refuseAll = (error: unknown): void => {
        for (const { reject } of lease.waiting.splice(0)) reject(error)
      }
      const late = setTimeout(() => {
        const what = 'its primary process does not answer'
        refuseAll(new WeirError('overloaded', { what }, { retryAfter: 1 }))
      }, ANSWER_MS)
      let grant: Grant
      try {
        grant = (await this.#primary.ask(RATE_TOPIC, question)) as Grant
      } catch (error) {
        return refuseAll(error)
      } finally {
        clearTimeout(late)
      }
      lease.usedAt = this.#now()
      const served = lease.waiting.splice(0, grant.granted)
      lease.spent += served.length
      lease.tokens += grant.granted - served.length
      for (const { resolve } of served) resolve()
      if (grant.granted > 0) continue
      lease.refusedUntil = lease.usedAt + Math.min(grant.wait, BELIEVED_MS)
      refuseAll(rateLimited(perMinute, grant.wait))
    }
  }

  #giveBack(client: string, { perMinute, tokens, spent }: Lease): void {
    if (tokens === 0 && spent === 0) return
    const question: RateQuestion = { client, perMinute, spent, needed: 0, back: tokens }
    this.#primary.tell(RATE_TOPIC, question)
  }

  #added(client: string, perMinute: number): Lease {
    if (this.#leases.size >= LEASED_CLIENTS) {
      for (const [oldest, lease] of this.#leases) {
        if (lease.waiting.length > 0) continue
        this.#giveBack(oldest, lease)
        this.#leases.delete(oldest)
        break
      }
    }
    const lease = { perMinute, tokens: 0, spent: 0, usedAt: 0, refusedUntil: 0, waiting: [] }
    this.#leases.set(client, lease)
    return lease
  }
}

/** The primary's side of workers' rate limits. */
export class PrimaryRateLimits {
  readonly #buckets: TokenBuckets
  readonly #share: number
  /** by worker: tokens lent to it, by client */
  readonly #lent = new Map<number, Map<string, number>>()

  /** @param now milliseconds, of any origin */
  constructor(workers: number, now: () => number = () => performance.now()) {
    this.#buckets = new TokenBuckets(now)
    this.#share = 1 / (2 * workers)
  }

  answer: TopicHandler = (asked, worker) => {
    const { client, perMinute, spent, needed, back } = asked as RateQuestion
    if (spent > 0) this.#buckets.spent(client, spent)
    if (back > 0) this.#buckets.back(client, back)
    let lent = this.#lent.get(worker)
    if (!lent) {
      lent = new Map()
      this.#lent.set(worker, lent)
    }
    const grant =
      needed > 0
        ? this.#buckets.lend(client, perMinute, needed, this.#share)
        : { granted: 0, wait: 0 }
    const left = (lent.get(client) ?? 0) - spent - back + grant.granted
    if (left > 0) lent.set(client, left)
    else lent.delete(client)
    return grant
  }

  /** A worker has died: tokens lent to it count as spent. */
  gone(worker: number): void {
    for (const [client, tokens] of this.#lent.get(worker) ?? []) this.#buckets.spent(client, tokens)
    this.#lent.delete(worker)
  }
}
