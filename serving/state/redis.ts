import type { Redis } from 'ioredis'
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
  const rates: RateLimiter = {
    take(name, perMinute) {
      if (!isReady()) return takeShare(name, perMinute)
      return limiterOf(perMinute)
        .consume(name)
        .then(
          () => undefined,
          (cause: unknown) => {
            const { msBeforeNext } = cause as { msBeforeNext?: number }
            if (typeof msBeforeNext === 'number') throw rateLimited(perMinute, msBeforeNext)
            gone(cause)
            return takeShare(name, perMinute)
          },
        )
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
