import { placeOf } from '../../core/hash.ts'
import type { FeedbackRecord } from '../decision-record.ts'

/** Ratings of one key that count in any case, before it is limited relative to others. */
export const FREE_RATINGS = 50
/** The largest share of all that counts, beyond those, that one key may have. */
export const KEY_SHARE = 0.5

/** A key of which not all counts. */
export interface LimitedKey {
  readonly key: string
  /** what it rated, and how much of that counts */
  readonly rated: number
  readonly counted: number
}

/** Who rated something; `key` is undefined if nobody is known, or if the key's weight is not limited. */
export interface RatedBy {
  readonly id: string
  readonly key: string | undefined
}

/**
 * Leaves out a part of what one key rated, so that at most `share` of the rest is its own, though never
 * fewer than `FREE_RATINGS`. What is left out is drawn by the hash of the id, so it depends on nothing that
 * was rated. Nothing is left out where fewer than two keys rated: then there is nobody to compare with.
 *
 * @param share above 0; 1 leaves nothing out. If there are fewer than 1 / share keys, they count equally.
 */
export function withinKeyShare<Row>(
  rows: readonly Row[],
  ratedBy: (row: Row) => RatedBy,
  {
    share = KEY_SHARE,
    keys = 0,
  }: { readonly share?: number | undefined; readonly keys?: number } = {},
): { kept: Row[]; limited: LimitedKey[] } {
  const rated = new Map<string, Set<string>>()
  const others = new Set<string>()
  for (const row of rows) {
    const { id, key } = ratedBy(row)
    if (key === undefined) others.add(id)
    else rated.set(key, (rated.get(key) ?? new Set()).add(id))
  }
  const counts = Array.from(rated.values(), ({ size }) => size)
  const most =
    Math.max(keys, rated.size) < 2
      ? Number.POSITIVE_INFINITY
      : mostOfOne(counts, others.size, share)
  const limited: LimitedKey[] = []
  const dropped = new Set<string>()
  for (const [key, ids] of rated) {
    if (ids.size <= most) continue
    limited.push({ key, rated: ids.size, counted: most })
    const drawn = [...ids].map((id) => ({ id, place: placeOf('key share', id) }))
    drawn.sort((a, b) => a.place - b.place)
    for (const { id } of drawn.slice(most)) dropped.add(id)
  }
  if (limited.length === 0) return { kept: [...rows], limited }
  const kept = rows.filter((row) => {
    const { id, key } = ratedBy(row)
    return key === undefined || !dropped.has(id)
  })
  return { kept, limited }
}

/** Feedback without what one key gave beyond its share, counted in decisions. */
export const feedbackWithinKeyShare = (feedback: readonly FeedbackRecord[]): FeedbackRecord[] =>
  withinKeyShare(
    feedback,
    ({ decision_id: id, key, role }) => ({
      id,
      key: role === 'any' ? undefined : key,
    }),
    { keys: new Set(feedback.flatMap(({ key }) => key ?? [])).size },
  ).kept

/** The largest number c with c <= share x (others + the sum over keys of min(count, c)). */
function mostOfOne(counts: readonly number[], others: number, share: number): number {
  const fair = others === 0 ? Math.max(share, 1 / counts.length) : share
  const fits = (c: number): boolean =>
    c <= fair * counts.reduce((sum, count) => sum + Math.min(count, c), others) + 1e-9
  let [low, high] = [0, Math.max(...counts)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return Math.max(FREE_RATINGS, low)
}

/**
 * Decides one rating after the other whether it counts: of the last ones that counted, a key has at most
 * half, or `FREE_RATINGS`. Ratings that do not count change nothing.
 */
export class KeyShares {
  private readonly counts = new Map<string, number>()
  /** keys of the last ratings that counted; the oldest is at `next` once it is full */
  private readonly window: string[] = []
  private readonly length: number
  private next = 0
  total = 0

  /** @param length ratings that are looked back on; all of them if infinite */
  constructor(length = Number.POSITIVE_INFINITY) {
    this.length = length
  }

  /** @param key undefined for a rating that counts in any case */
  count(key: string | undefined): boolean {
    const name = key ?? ''
    const own = this.counts.get(name) ?? 0
    if (key !== undefined && own >= FREE_RATINGS && own > this.total * KEY_SHARE) return false
    this.counts.set(name, own + 1)
    this.total++
    if (this.length === Number.POSITIVE_INFINITY) return true
    if (this.total > this.length) {
      const oldest = this.window[this.next]!
      this.counts.set(oldest, this.counts.get(oldest)! - 1)
      this.total--
    }
    this.window[this.next] = name
    this.next = (this.next + 1) % this.length
    return true
  }
}
