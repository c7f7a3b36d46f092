import { AskedThread } from '../../core/asked-thread.ts'
import { hasLongText, jsonPieces } from '../../core/json/large.ts'
import { compilePattern } from '../../core/pattern.ts'
import { redact } from '../../records/redaction.ts'
import type { GatewayRequest } from '../gateway/contracts.ts'
import type { Traits } from '../gateway/traits.ts'
import type { PolicyFile } from './file.ts'
import { normalizedText, requestTexts } from './request-texts.ts'

export type PrivacyRules = NonNullable<PolicyFile['privacy']>

/** Whether requests may go to private models only. */
export interface Privacy {
  isSensitive(request: GatewayRequest, traits: Traits): boolean
  /** Reads a long request in a thread for `isSensitive`; undefined if it is short, or nothing is to be read. */
  examine(request: GatewayRequest): Promise<void> | undefined
}

/** Characters of a request from which it is read in a thread: reading takes some 80 ns for each. */
const LONG = 200_000

const thread = new AskedThread('./privacy-worker', import.meta.url)

export function compilePrivacy({ privacy }: PolicyFile): Privacy {
  if (!privacy) return { isSensitive: () => false, examine: () => undefined }
  const { tags: wanted = [] } = privacy
  const found = compileContents(privacy)
  const known = new WeakMap<object, boolean>()
  return {
    isSensitive(request, { tags }) {
      if (wanted.some((tag) => tags.includes(tag))) return true
      const body = sentBody(request)
      return known.get(body) ?? found?.(body) ?? false
    },
    examine(request) {
      const body = sentBody(request)
      if (!found || known.has(body) || !hasLongText(body, LONG)) return undefined
      return examined(privacy, body).then((sensitive) => void known.set(body, sensitive))
    },
  }
}

async function examined(rules: PrivacyRules, body: Fields): Promise<boolean> {
  const pieces = await jsonPieces(body)
  const parts = typeof pieces === 'string' ? [Buffer.from(pieces)] : pieces
  const moved = parts
    .filter(({ length, buffer }) => length === buffer.byteLength)
    .map(({ buffer }) => buffer as ArrayBuffer)
  return (await thread.ask({ rules, parts } satisfies Examination, moved)) as boolean
}

/** What the thread is asked: the rules, and the JSON of a body. */
export interface Examination {
  readonly rules: PrivacyRules
  readonly parts: readonly Uint8Array[]
}

type Fields = Readonly<Record<string, unknown>>

const sentBody = ({ client, passed, body }: GatewayRequest): Fields =>
  client?.body ?? passed ?? body

/** Whether a body holds what the rules find; undefined if they look at no contents. */
export function compileContents({
  detect = false,
  unreadable: rule = 'pass',
  patterns: sources = [],
}: PrivacyRules): ((body: Fields) => boolean) | undefined {
  if (sources.length === 0 && !detect && rule === 'pass') return undefined
  const patterns = sources.map((source) => compilePattern(withoutCase(source)))
  const found = (text: string): boolean => {
    const lower = patterns.length > 0 ? text.toLowerCase() : ''
    return patterns.some((pattern) => pattern.test(lower)) || (detect && redact(text) !== text)
  }
  return (body) => {
    const { texts, joined, unreadable } = requestTexts(body)
    if (unreadable && rule === 'private') return true
    const text = [...texts, ...joined].join('\n')
    if (found(text)) return true
    const normal = normalizedText(text)
    return normal !== text && found(normal)
  }
}

/**
 * Compiles the pattern to match lower-case text regardless of its case. If capitals may mean something other
 * than letters (classes, escapes, flags), RE2's flag is used, which takes ten times as long.
 */
function withoutCase(source: string): string {
  return /\\[A-Z\d]|\\[pQx]|\[|\(\?|[^\p{ASCII}]/u.test(source)
    ? `(?i)${source}`
    : source.toLowerCase()
}
