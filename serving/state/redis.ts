import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { WeirError } from '../../core/errors.ts'
import type { StateSettings } from './config.ts'
import { HOT_READ_MS, type HotStore } from './hot-store.ts'
import { within } from './primary-channel.ts'
import { RateLimit, type RateLimiter, rateLimited } from './rate-limit.ts'

export interface RedisOptions extends Pick<StateSettings, 'deadlineMs' | 'replicas'> {
  /** `redis://` or `rediss://` */
  readonly url: string
  /** limits this server's rates while Redis does not answer, for all its workers together (default: for this process) */
  readonly own?: RateLimiter
  readonly onWarning: (message: string, error?: unknown) => void
}

/** What several servers share for a short time, in Redis 7 or Valkey. */
export interface RedisState extends HotStore {
  readonly rates: RateLimiter
  close(): Promise<void>
}

/** Wait before a lost connection is made again, in milliseconds. */
const RETRY_MS = 500
/** Clients whose tokens are kept here; the one that came least recently is dropped first. */
const LEASED_CLIENTS = 10_000
/** Tokens are taken in blocks that last about this long, in milliseconds. */
const BLOCK_MS = 1000
/** All servers together hold at most this share of a limit: what they do not use is lost until the window ends. */
const LEASED_SHARE = 0.01

/** Tokens of one client that this process has taken from Redis. */
interface Lease {
  tokens: number
  /** when they were asked for, and when they end with their window at the earliest, by the clock of `performance` */
  asked: number
  until: number
  /** how many were taken at once */
  block: number
  /** tokens that Redis had left then */
  left: number
  asking: boolean
  /** requests that wait for Redis */
  waiting: { resolve: (shared?: Promise<void>) => void; reject: (error: unknown) => void }[]
}

/**
 * Connects; ioredis and rate-limiter-flexible are optional dependencies, loaded only here.
 *
 * @throws store_unavailable, module_missing
 */
export async function openRedis(options: RedisOptions): Promise<RedisState> {
  const { url, replicas, own = new RateLimit(), onWarning } = options
  const missing = (module: string, cause: unknown): WeirError =>
    new WeirError(
      'module_missing',
      { what: 'a store in Redis', module, reason: `npm i ${module}` },
      { cause },
    )
  const { Redis: Client } = await import('ioredis').catch((cause: unknown) => {
    throw missing('ioredis', cause)
  })
  const { RateLimiterRedis } = await import('rate-limiter-flexible').catch((cause: unknown) => {
    throw missing('rate-limiter-flexible', cause)
  })
  const client: Redis = new Client(url, {
    lazyConnect: true,
    connectionName: 'weir',
    connectTimeout: 5000,
    commandTimeout: options.deadlineMs,
    // a request does not wait for a connection
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => RETRY_MS,
  })
  let failing = false
  let isOpen = false
  const gone = (error: unknown): void => {
    if (failing || !isOpen) return
    failing = true
    const reason = (error as Error).message || String(error)
    onWarning(
      `state: ${shownUrl(url)} does not answer (${reason}); this server keeps 1/${replicas} of the rates, and its own sessions`,
      error,
    )
  }
  client.on('error', () => {})
  client.on('close', () => gone(new Error('the connection was closed')))
  client.on('ready', () => {
    if (failing) onWarning(`state: ${shownUrl(url)} answers again`)
    failing = false
  })
  try {
    await client.connect()
  } catch (cause) {
    client.disconnect()
    const reason = (cause as Error).message
    throw new WeirError('store_unavailable', { store: shownUrl(url), reason }, { cause })
  }
  isOpen = true
  const isReady = (): boolean => client.status === 'ready'

  const limiters = new Map<number, InstanceType<typeof RateLimiterRedis>>()
  const limiterOf = (perMinute: number): InstanceType<typeof RateLimiterRedis> => {
    let limiter = limiters.get(perMinute)
    if (!limiter) {
      limiter = new RateLimiterRedis({
        storeClient: client,
        keyPrefix: `weir:rate:${perMinute}`,
        points: perMinute,
        duration: 60,
        // who is over the limit is refused here until the window ends
        inMemoryBlockOnConsumed: perMinute + 1,
        rejectIfRedisNotReady: true,
      })
      limiters.set(perMinute, limiter)
    }
    return limiter
  }
  const takeShare: RateLimiter['take'] = (name, perMinute) =>
    own.take(name, Math.max(1, Math.floor(perMinute / replicas)))
  const leases = new LRUCache<string, Lease>({ max: LEASED_CLIENTS })
  const leaseOf = (name: string, perMinute: number): Lease => {
    const key = `${perMinute}:${name}`
    let lease = leases.get(key)
    if (!lease) {
      lease = {
        ...{ tokens: 0, asked: -Infinity, until: -Infinity },
        ...{ block: 1, left: perMinute, asking: false, waiting: [] },
      }
      leases.set(key, lease)
    }
    return lease
  }
  /** Takes a block for those that wait: what they need, and while many come what the next second will need. */
  const ask = async (lease: Lease, name: string, perMinute: number): Promise<void> => {
    lease.asking = true
    while (lease.waiting.length > 0) {
      const now = performance.now()
      const grown = now - lease.asked < BLOCK_MS ? lease.block * 2 : lease.block / 2
      // when little is left, the other servers need it too
      const most = Math.min((perMinute * LEASED_SHARE) / replicas, lease.left / (2 * replicas))
      lease.block = Math.max(1, Math.floor(Math.min(grown, most)))
      lease.asked = now
      const wanted = Math.max(lease.waiting.length, lease.block)
      try {
        const { granted, left, wait } = await consume(name, perMinute, wanted)
        const served = lease.waiting.splice(0, granted)
        Object.assign(lease, { tokens: granted - served.length, left, until: now + wait })
        for (const { resolve } of served) resolve()
        if (granted === wanted) continue
        for (const { reject } of lease.waiting.splice(0)) reject(rateLimited(perMinute, wait))
      } catch (cause) {
        gone(cause)
        for (const { resolve, reject } of lease.waiting.splice(0)) {
          try {
            resolve(takeShare(name, perMinute))
          } catch (error) {
            reject(error)
          }
        }
      }
    }
    lease.asking = false
  }
  /** @returns how many of them the window had left, the rest of it, and the milliseconds until it ends */
  const consume = (
    name: string,
    perMinute: number,
    wanted: number,
  ): Promise<{ readonly granted: number; readonly left: number; readonly wait: number }> =>
    limiterOf(perMinute)
      .consume(name, wanted)
      .then(
        ({ msBeforeNext: wait, remainingPoints: left }) => ({ granted: wanted, left, wait }),
        (cause: unknown) => {
          const { msBeforeNext: wait, consumedPoints = 0 } = cause as {
            readonly msBeforeNext?: number
            readonly consumedPoints?: number
          }
          if (typeof wait !== 'number') throw cause
          // 0 if it was refused here, without asking
          const over = consumedPoints === 0 ? wanted : consumedPoints - perMinute
          return { granted: Math.max(0, wanted - over), left: 0, wait }
        },
      )
  const rates: RateLimiter = {
    take(name, perMinute) {
      const lease = leaseOf(name, perMinute)
      if (lease.tokens > 0 && performance.now() < lease.until) {
        lease.tokens--
        return undefined
      }
      if (!isReady()) return takeShare(name, perMinute)
      return new Promise((resolve, reject) => {
        lease.waiting.push({ resolve, reject })
        if (!lease.asking) void ask(lease, name, perMinute)
      })
    },
  }
  return {
    rates,
    async get(key) {
      if (!isReady()) return undefined
      try {
        const asked = client.get(`weir:${key}`)
        asked.catch(gone)
        return (await within(asked, Math.min(options.deadlineMs, HOT_READ_MS))) ?? undefined
      } catch {
        return undefined
      }
    },
    set(key, value, milliseconds) {
      if (!isReady()) return
      client.set(`weir:${key}`, value, 'PX', Math.ceil(milliseconds)).catch(gone)
    },
    async close() {
      isOpen = false
      await client.quit().catch(() => {})
      client.disconnect()
    },
  }
}

/** The address without its password, for messages. */
function shownUrl(url: string): string {
  try {
    const shown = new URL(url)
    if (shown.password) shown.password = '***'
    return shown.href
  } catch {
    return 'redis://'
  }
}
