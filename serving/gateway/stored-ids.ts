import { WeirError } from '../../core/errors.ts'
import { type DecisionIds, sameText } from '../router/decision-ids.ts'

/**
 * Ids of answers that an upstream keeps, for requests that refer to them (`previous_response_id`): the id names
 * who keeps the answer, so that no process has to remember it. It carries a MAC over that and the key that got it.
 */

/** Begins the id of a routed answer that an upstream keeps. */
const PREFIX = 'resp_w1.'

export interface StoredAnswer {
  /** of `gateway.models` */
  readonly model: string
  readonly upstream: string
  /** as the upstream has it */
  readonly id: string
  /** the session's key: a request that goes on from the answer belongs to it */
  readonly session?: string | undefined
}

export class StoredIds {
  readonly #ids: Pick<DecisionIds, 'mac'> | undefined

  /** @param ids undefined on a server without keys: there is nobody whose answers another one could ask for */
  constructor(ids: Pick<DecisionIds, 'mac'> | undefined) {
    this.#ids = ids
  }

  /** The id that the client gets. @param key name of its API key */
  idOf({ model, upstream, id, session }: StoredAnswer, key: string): string {
    const names = session === undefined ? [model, upstream] : [model, upstream, session]
    const kept = Buffer.from(JSON.stringify(names)).toString('base64url')
    return `${PREFIX}${kept}.${this.#mac(kept, id, key)}.${id}`
  }

  /**
   * What an id that a client sent says; undefined if it is none of ours.
   *
   * @throws response_unknown if this key was not given it
   */
  open(given: string, key: string): StoredAnswer | undefined {
    if (!given.startsWith(PREFIX)) return undefined
    const [kept = '', mac = '', ...rest] = given.slice(PREFIX.length).split('.')
    const id = rest.join('.')
    const names = sameText(mac, this.#mac(kept, id, key)) ? namesIn(kept) : []
    const [model, upstream, session] = names
    if (typeof model === 'string' && typeof upstream === 'string') {
      return { model, upstream, id, session: typeof session === 'string' ? session : undefined }
    }
    const shown = given.slice(0, 200)
    throw new WeirError('response_unknown', { id: shown }, { param: 'previous_response_id' })
  }

  /** Changes an answer of `/v1/responses` that comes in parts: whole events, or all of it. */
  rewriter(kept: Omit<StoredAnswer, 'id'>, key: string): (text: string) => string {
    let from: string | undefined
    let to = ''
    return (text) => {
      if (from === undefined) {
        const found = /"id"\s*:\s*"(resp_[^"\\]{1,500})"/.exec(text)?.[1]
        if (found === undefined) return text
        from = `"${found}"`
        to = JSON.stringify(this.idOf({ ...kept, id: found }, key))
      }
      return text.includes(from) ? text.replaceAll(from, to) : text
    }
  }

  #mac(kept: string, id: string, key: string): string {
    return this.#ids?.mac('response', [kept, id, key]) ?? ''
  }
}

function namesIn(kept: string): readonly unknown[] {
  try {
    const names: unknown = JSON.parse(Buffer.from(kept, 'base64url').toString('utf8'))
    return Array.isArray(names) ? names : []
  } catch {
    return []
  }
}
