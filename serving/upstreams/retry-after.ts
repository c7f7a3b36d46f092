type Headers = Readonly<Record<string, string | string[] | undefined>>

/**
 * Milliseconds that an upstream asks us to wait: `retry-after-ms`, `Retry-After` (seconds or an HTTP date, RFC
 * 9110, 10.2.3), else the reset of what is used up of its rate limits (`x-ratelimit-reset-requests: 6m0s`,
 * `anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:00Z`, `x-ratelimit-reset: 1767225600`), else what its
 * words say ("try again in 2.5s"), else a field of its body (Google's `retryDelay: "34s"`, `retry_after: 12`).
 * Undefined if it says nothing.
 *
 * @param now milliseconds since 1970
 */
export function retryAfterMs(
  headers: Headers,
  { message, body = '' }: { readonly message: string; readonly body?: string },
  now: number,
): number | undefined {
  const fine = headerOf(headers, 'retry-after-ms')
  if (fine !== undefined && Number(fine) >= 0) return Number(fine)
  const asked = headerOf(headers, 'retry-after')
  const wait = asked === undefined ? undefined : momentMs(asked, now)
  return wait ?? resetMs(headers, now) ?? wordsMs(message) ?? fieldMs(body)
}

function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  const text = Array.isArray(value) ? value[0] : value
  return text === undefined || text.trim() === '' ? undefined : text.trim()
}

/**
 * The reset of the limit that is used up; of several, the latest. If none is said to be used up, the soonest:
 * which one was meant is not known.
 */
function resetMs(headers: Headers, now: number): number | undefined {
  const exhausted: number[] = []
  const others: number[] = []
  for (const name in headers) {
    if (!name.includes('ratelimit') || !name.includes('reset')) continue
    const text = headerOf(headers, name)
    const wait = text === undefined ? undefined : momentMs(text, now)
    if (wait === undefined) continue
    const left = headerOf(headers, name.replace('reset', 'remaining'))
    if (left === '0') exhausted.push(wait)
    else others.push(wait)
  }
  if (exhausted.length > 0) return Math.max(...exhausted)
  return others.length > 0 ? Math.min(...others) : undefined
}

/** Seconds above which a number is a time since 1970 rather than a wait. */
const EPOCH = 1e9

/** Milliseconds until a moment: seconds, seconds or milliseconds since 1970, a duration, or a date. */
export function momentMs(text: string, now: number): number | undefined {
  const number = Number(text)
  if (number >= 0) {
    if (number < EPOCH) return number * 1000
    return Math.max(0, (number < EPOCH * 1000 ? number * 1000 : number) - now)
  }
  const duration = durationMs(text)
  if (duration !== undefined) return duration
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Durations as Go writes them: `1h2m3.5s`, `6m0s`, `20ms`. */
function durationMs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(text)) return undefined
  let sum = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    sum += Number(amount) * UNITS[unit!]!
  }
  return sum
}

const DELAY_FIELD =
  /"(?:retryDelay|retry_delay|retry_after|retryAfter|retry_after_(?:ms|seconds))"\s*:\s*"?(\d+(?:\.\d+)?)(ms|s)?/
/** Seconds, unless the field's name or value says otherwise. */
function fieldMs(body: string): number | undefined {
  const [field, amount, unit] = DELAY_FIELD.exec(body) ?? []
  if (field === undefined) return undefined
  return Number(amount) * (unit === 'ms' || field.includes('_ms"') ? 1 : 1000)
}

/** "Please try again in 6m0s", "retry after 12 seconds". */
function wordsMs(words: string): number | undefined {
  const [, amount, unit] =
    /(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|[smhd]))+|\d+(?:\.\d+)?)( ?(?:milli)?seconds?| ?minutes?)?/i.exec(
      words,
    ) ?? []
  if (amount === undefined) return undefined
  const known = durationMs(amount)
  if (known !== undefined) return known
  if (unit === undefined) return undefined
  const scale = /milli/i.test(unit) ? 1 : /minute/i.test(unit) ? 60_000 : 1000
  return Number(amount) * scale
}
