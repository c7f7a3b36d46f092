/**
 * Ids of answers that an upstream keeps, for requests that refer to them (`previous_response_id`): the id names
 * who keeps the answer, so that no process has to remember it.
 */

/** Begins the id of a routed answer that an upstream keeps. */
const PREFIX = 'resp_w1.'

export interface StoredAnswer {
  /** of `gateway.models` */
  readonly model: string
  readonly upstream: string
  /** as the upstream has it */
  readonly id: string
}

/** The id that the client gets. */
export const storedId = ({ model, upstream, id }: StoredAnswer): string =>
  `${PREFIX}${Buffer.from(JSON.stringify([model, upstream])).toString('base64url')}.${id}`

/** What an id that a client sent says; undefined if it is not one of `storedId`. */
export function openStoredId(given: string): StoredAnswer | undefined {
  if (!given.startsWith(PREFIX)) return undefined
  const end = given.indexOf('.', PREFIX.length)
  if (end < 0) return undefined
  try {
    const text = Buffer.from(given.slice(PREFIX.length, end), 'base64url').toString('utf8')
    const [model, upstream] = JSON.parse(text) as readonly unknown[]
    if (typeof model !== 'string' || typeof upstream !== 'string') return undefined
    return { model, upstream, id: given.slice(end + 1) }
  } catch {
    return undefined
  }
}

/** Replaces the id of an answer that comes in parts, from the first one that has it. */
export class StoredIds {
  private readonly kept: Omit<StoredAnswer, 'id'>
  private from: string | undefined
  private to = ''

  constructor(kept: Omit<StoredAnswer, 'id'>) {
    this.kept = kept
  }

  /** @param text a whole answer of `/v1/responses`, or whole events of its stream */
  write(text: string): string {
    if (this.from === undefined) {
      const found = /"id"\s*:\s*"(resp_[^"\\]{1,500})"/.exec(text)?.[1]
      if (found === undefined) return text
      this.from = `"${found}"`
      this.to = JSON.stringify(storedId({ ...this.kept, id: found }))
    }
    return text.includes(this.from) ? text.replaceAll(this.from, this.to) : text
  }
}
