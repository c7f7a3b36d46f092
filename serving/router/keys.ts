import { createHash, timingSafeEqual } from 'node:crypto'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { Routing } from './config.ts'
import type { Caller } from './decider.ts'

/** An authenticated client and its permissions. */
export interface KeyHolder extends Caller {
  readonly name: string
  /** the models it may name although it is limited to some routers */
  readonly models?: ReadonlySet<string>
  readonly ratePerMinute?: number
  /** `any`: may give feedback on decisions of other keys */
  readonly feedback?: 'own' | 'any'
}

/** The caller if the server requires no keys. */
export const ANYONE: KeyHolder = { name: 'anyone' }

/** Whether a key may name a model: one limited to some routers cannot bypass them, but for models it lists. */
export const mayName = ({ routers, models }: KeyHolder, model: string): boolean =>
  !routers || models?.has(model) === true

/** The keys of a server, as hashes. */
export interface KeyRing {
  /**
   * @param apiKey the header `x-api-key`, as Anthropic's clients send it; used without `authorization`
   * @throws key_missing, key_unknown
   */
  holder(authorization: string | undefined, apiKey?: string | readonly string[]): KeyHolder
}

export function createKeyRing(keys: NonNullable<Routing['keys']>): KeyRing {
  const entries = keys.map((key) => ({
    digest: Buffer.from(key.sha256, 'hex'),
    holder: definedOnly({
      name: key.name,
      ...(key.routers ? { routers: new Set(key.routers) } : {}),
      ...(key.models ? { models: new Set(key.models) } : {}),
      context: key.context,
      feedback: key.feedback,
      ratePerMinute: key.rate_per_minute,
    }),
  }))
  return {
    holder(authorization, apiKey) {
      // clients that send x-api-key may send an empty authorization beside it
      const given = authorization || (typeof apiKey === 'string' ? `Bearer ${apiKey}` : '')
      const key = /^Bearer +(\S{1,500}) *$/i.exec(given)?.[1]
      if (key === undefined) throw new WeirError('key_missing')
      const digest = createHash('sha256').update(key).digest()
      // every entry is compared, so that the time does not reveal which one matched
      let found: KeyHolder | undefined
      for (const entry of entries) if (timingSafeEqual(digest, entry.digest)) found = entry.holder
      if (!found) throw new WeirError('key_unknown')
      return found
    },
  }
}

/** A key's entry in the configuration. */
export const keyHash = (key: string): string => createHash('sha256').update(key).digest('hex')
