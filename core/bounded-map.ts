import { LRUCache } from 'lru-cache'

/** How much the entries of a map may take together. */
export interface SizeLimit<K, V> {
  /** bytes; a larger entry is not kept */
  readonly bytes: number
  /** estimated, of one entry */
  sizeOf(value: V, key: K): number
}

/** A map of at most `limit` entries; adding one more removes the least recently used entry. */
export class LruMap<K extends {}, V extends {}> {
  readonly #entries: LRUCache<K, V> | undefined

  /** @param limit entries; 0 keeps none. @param size if entries are of very different sizes */
  constructor(limit: number, size?: SizeLimit<K, V>) {
    const sizes = size && {
      maxSize: size.bytes,
      sizeCalculation: (value: V, key: K) => Math.max(1, Math.ceil(size.sizeOf(value, key))),
    }
    this.#entries = limit > 0 ? new LRUCache({ max: limit, ...sizes }) : undefined
  }

  get(key: K): V | undefined {
    return this.#entries?.get(key)
  }

  set(key: K, value: V): void {
    this.#entries?.set(key, value)
  }
}

/**
 * A map that keeps between half of `limit` and `limit` of its latest entries, for hot paths. Two generations
 * approximate the order of use: entries that are read move to the young one, and when it is full the whole
 * old one is dropped. It takes about two thirds of the time of `LruMap` when a lookup misses and the value is
 * then set.
 */
export class RecentMap<K, V> {
  #young = new Map<K, V>()
  #old = new Map<K, V>()
  readonly #half: number

  constructor(limit: number) {
    this.#half = Math.max(1, Math.floor(limit / 2))
  }

  get(key: K): V | undefined {
    const found = this.#young.get(key)
    if (found !== undefined) return found
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: K, value: V): void {
    this.#young.set(key, value)
    if (this.#young.size < this.#half) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
