import { LRUCache } from 'lru-cache'
import { type PrimaryChannel, type TopicHandler, within } from './primary-channel.ts'

/**
 * What several servers share for a while, by key: the models of sessions, cached decisions. It may forget, and it
 * is never waited for longer than a fraction of a second: what is read from it is remembered locally too.
 */
export interface HotStore {
  /** Undefined if nothing is there, or the store does not answer. */
  get(key: string): Promise<string | undefined>
  /** Does not wait. */
  set(key: string, value: string, milliseconds: number): void
}

export const HOT_TOPIC = 'hot'

/** Longest wait for the store's word, in milliseconds: without it a request is still answered. */
export const HOT_READ_MS = 250

/** A question without a value reads. */
interface HotQuestion {
  readonly key: string
  readonly value?: string
  readonly milliseconds?: number
}

/** Characters of keys and values that the primary keeps, for all workers together. */
const MOST_CHARACTERS = 32 * 2 ** 20

/** The primary's side of what its workers share; the least recently used is forgotten first. */
export class PrimaryHotStore {
  readonly #kept = new LRUCache<string, string>({
    maxSize: MOST_CHARACTERS,
    maxEntrySize: MOST_CHARACTERS / 64,
    sizeCalculation: (value, key) => value.length + key.length,
    ttlAutopurge: false,
  })

  answer: TopicHandler = (asked) => {
    const { key, value, milliseconds } = asked as HotQuestion
    if (value === undefined) return this.#kept.get(key)
    this.#kept.set(key, value, { ttl: Math.max(1, Math.ceil(milliseconds ?? 1)) })
    return undefined
  }
}

/** A worker's side: what its primary keeps. */
export const workersStore = (primary: PrimaryChannel): HotStore => ({
  get: (key) =>
    within(primary.ask(HOT_TOPIC, { key } satisfies HotQuestion), HOT_READ_MS).then(
      (value) => value as string | undefined,
      () => undefined,
    ),
  set: (key, value, milliseconds) =>
    primary.tell(HOT_TOPIC, { key, value, milliseconds } satisfies HotQuestion),
})
