import type { Random } from '../../random.ts'

export interface RetryPolicy {
  /** tries in all, the first included */
  readonly attempts: number
  /** the first wait, in milliseconds; each further one is twice as long */
  readonly baseMs: number
  /** the longest wait, also where the server asks for more */
  readonly maxMs: number
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 6, baseMs: 500, maxMs: 60_000 }

/** Answers that another try may better: time-outs, conflicts, rate limits and the server's own faults. */
export const isRetryable = (status: number): boolean =>
  status === 408 || status === 409 || status === 429 || status >= 500

/** Full jitter (Brooker 2015): uniform up to the doubled wait; at least what the server asked for. */
export function waitBefore(
  attempt: number,
  policy: RetryPolicy,
  askedMs: number | undefined,
  random: Random,
): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** attempt)
  const jittered = ceiling * (0.5 + 0.5 * random.next())
  return Math.min(policy.maxMs, Math.max(jittered, askedMs ?? 0))
}

/** What `Retry-After` (seconds or a date) or `retry-after-ms` asks for, in milliseconds. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN)
  if (milliseconds >= 0) return milliseconds
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = Number(value)
  if (seconds >= 0) return seconds * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
