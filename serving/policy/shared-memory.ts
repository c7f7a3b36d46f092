import { LruMap } from '../../core/bounded-map.ts'
import type { GatewayRequest } from '../gateway/contracts.ts'
import type { HotStore } from '../state/hot-store.ts'

export interface SharedMemoryOptions<T> {
  /** begins its keys in the store that servers share */
  readonly prefix: string
  /** values that this process remembers */
  readonly entries: number
  readonly lifetimeMs: number
  /** without one, each server remembers its own */
  readonly shared: HotStore | undefined
  /** whether another server may have a later value than this one: the store is then asked even so */
  readonly changes: boolean
  /** whether what the store holds is a value: another version of Weir may have written it */
  readonly isValue: (value: unknown) => value is T
}

interface Known<T> {
  readonly value: T
  /** milliseconds since 1970 */
  readonly until: number
}

/** What a step remembers between requests, in this process and for other servers. Times are those of requests. */
export class SharedMemory<T extends string | object> {
  readonly #options: SharedMemoryOptions<T>
  readonly #known: LruMap<string, Known<T>>
  /** what the store said, because a request is decided more than once */
  readonly #asked = new WeakMap<GatewayRequest, { key: string; answer: Promise<T | undefined> }>()

  constructor(options: SharedMemoryOptions<T>) {
    this.#options = options
    this.#known = new LruMap(options.entries)
  }

  /** Undefined if nothing is remembered; a promise if the store is asked. */
  get(request: GatewayRequest, key: string): T | undefined | Promise<T | undefined> {
    const { shared, prefix, changes } = this.#options
    const known = this.#known.get(key)
    const own = known && known.until > request.time ? known.value : undefined
    if (!shared || (own !== undefined && !changes)) return own
    const before = this.#asked.get(request)
    if (before?.key === key) return before.answer
    const answer = shared.get(prefix + key).then((text) => this.#read(text) ?? own)
    this.#asked.set(request, { key, answer })
    return answer
  }

  set(request: GatewayRequest, key: string, value: T): void {
    const { shared, prefix, lifetimeMs } = this.#options
    this.#known.set(key, { value, until: request.time + lifetimeMs })
    shared?.set(prefix + key, JSON.stringify(value), lifetimeMs)
  }

  #read(text: string | undefined): T | undefined {
    if (text === undefined) return undefined
    try {
      const value: unknown = JSON.parse(text)
      return this.#options.isValue(value) ? value : undefined
    } catch {
      return undefined
    }
  }
}
