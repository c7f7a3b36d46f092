import type { RequestHints } from '../gateway/contracts.ts'

type Metadata = Readonly<Record<string, unknown>>

/** Longest header that is read, in characters, and most values in it. */
const LONGEST = 8192
const MOST = 50

/**
 * Metadata with the declared context of the header `x-weir-context`, `feature=search, tier=gold` with values
 * percent-encoded as in W3C Baggage. The header wins over the body, because proxies set it. What cannot be read
 * counts as not given.
 */
export function withContextHeader<T extends Metadata | undefined>(
  metadata: T,
  header: string | readonly string[] | undefined,
): T | Metadata {
  if (header === undefined) return metadata
  const text = typeof header === 'string' ? header : header.join(',')
  if (text.length > LONGEST) return metadata
  const values: Record<string, string> = {}
  for (const part of text.split(',').slice(0, MOST)) {
    const [pair = ''] = part.split(';')
    const at = pair.indexOf('=')
    const key = pair.slice(0, at).trim()
    const value = decoded(pair.slice(at + 1).trim())
    if (at > 0 && key !== '' && value) values[key] = value
  }
  return { ...metadata, ...values }
}

const NO_HINTS: RequestHints = {}

/** A request's hints, with the declared context of its header in their metadata. */
export function declaredHints(
  weir: RequestHints | undefined,
  header: string | readonly string[] | undefined,
): RequestHints {
  const hints = weir ?? NO_HINTS
  if (header === undefined) return hints
  return { ...hints, metadata: withContextHeader(hints.metadata ?? {}, header) }
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value)
  } catch {
    return undefined
  }
}
