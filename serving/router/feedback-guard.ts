import { LruMap } from '../../core/bounded-map.ts'
import { WeirError } from '../../core/errors.ts'
import { promptHash } from '../../core/hash.ts'
import { feedbackKey } from '../../records/feedback/store.ts'
import type { DecisionIds } from './decision-ids.ts'
import type { KeyHolder } from './keys.ts'

/** Sources and models for which one key may rate a decision. */
export const SOURCES_LIMIT = 16
const DECISIONS = 50_000

/** Limits the feedback of a key: only on decisions the key may rate, from a limited number of sources. */
export class FeedbackGuard {
  readonly #ids: DecisionIds
  /** by decision: hashes of the sources so far */
  readonly #heard = new LruMap<string, Set<string>>(DECISIONS)

  constructor(ids: DecisionIds) {
    this.#ids = ids
  }

  /** @throws decision_unknown, decision_of_another_key, sources_exceeded */
  async check(
    { decision_id: id, ...rating }: { decision_id: string; model?: string; source?: string },
    caller: KeyHolder,
  ): Promise<void> {
    const owner = await this.#ids.ownerOf(id, caller.name)
    if (owner === 'nobody') {
      throw new WeirError('decision_unknown', { id }, { param: 'decision_id' })
    }
    if (owner === 'other' && caller.feedback !== 'any') {
      throw new WeirError('decision_of_another_key', { id }, { param: 'decision_id' })
    }
    const source = promptHash(feedbackKey(rating)).slice(0, 16)
    const heard = this.#heard.get(id) ?? new Set<string>()
    if (heard.has(source)) return
    if (heard.size >= SOURCES_LIMIT) {
      throw new WeirError('sources_exceeded', { limit: SOURCES_LIMIT }, { param: 'source' })
    }
    heard.add(source)
    this.#heard.set(id, heard)
  }
}
