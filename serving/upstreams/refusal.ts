import { type AnswerHead, type FailureKind, type SpokenError, UpstreamError } from './failure.ts'
import { retryAfterMs } from './retry-after.ts'

/**
 * What a refusal means: whose fault it is, how long to leave the upstream alone, and what the client is told.
 */

/** Longest message that is passed on, in UTF-16 units. */
const MESSAGE_LIMIT = 4000

/** The failure for a status other than 2xx, or for an answer that reports an error although its status is 200. */
export function refusalOf(
  upstream: string,
  head: AnswerHead,
  body: string,
  now: number,
): UpstreamError {
  const page = isHtml(body)
  const spoken = spokenError(body)
  const status = head.status > 299 ? head.status : statusOf(spoken)
  const { kind, pauses } = classified(status, spoken, page)
  const wait = retryAfterMs(head.headers, { message: spoken?.message ?? '', body }, now)
  const rejected = kind === 'rejected'
  // a page's words say little about whose fault it is, but they are all that the client can be told
  const words = spoken ?? (page ? pageWords(body) : undefined)
  const withWords = rejected || (head.status < 300 && kind !== 'misconfigured')
  return new UpstreamError(kind, {
    upstream,
    // the text may quote our key, so it is only passed on if the refusal is about the client's request
    reason: withWords ? (words?.message.slice(0, 300) ?? `HTTP ${status}`) : `HTTP ${status}`,
    // a refusal of the request that an upstream dresses as its own failure
    status: rejected && status >= 500 ? 400 : status,
    retryAfterMs: wait,
    pauses,
    spoken: rejected ? words && withCode(words) : undefined,
    headers: passedHeaders(head.headers),
  })
}

/** Headers of an upstream that the client gets: its id of the request, for its support, and its rate limits. */
const PASSED =
  /^(x-request-id|request-id|apim-request-id|openai-processing-ms|openai-model|(x-|anthropic-)?ratelimit-.+)$/

export function passedHeaders(headers: AnswerHead['headers']): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'string' && PASSED.test(name)) passed[name] = value
  }
  return passed
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

/**
 * The error in a body, in any of the usual shapes: `{error: {...}}` (OpenAI, Anthropic), `[{error}]` (Google),
 * `{object: "error", message}` (vLLM, Mistral), `{detail}` (FastAPI), `{error: "text"}`, `{message}`,
 * `{errors: [...]}`, a plain text. Undefined if there are no words in it.
 */
export function spokenError(body: string): SpokenError | undefined {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    const text = body.trim()
    return text === '' || isHtml(text) ? undefined : { message: text.slice(0, MESSAGE_LIMIT) }
  }
  return spokenValue(value)
}

function spokenValue(value: unknown): SpokenError | undefined {
  if (Array.isArray(value)) {
    if (value.length === 1) return spokenValue(value[0])
    const messages = value.map((one) => spokenValue(one)?.message).filter(Boolean)
    return messages.length > 0 ? limited({ message: messages.join('; ') }) : undefined
  }
  if (typeof value === 'string') return value === '' ? undefined : limited({ message: value })
  const fields = fieldsOf(value)
  if (!fields) return undefined
  const { error, errors, message, detail, msg } = fields
  const inner = fieldsOf(error)
  if (inner) return limited({ ...inner, message: wordsOf(inner) ?? JSON.stringify(inner) })
  if (Array.isArray(error)) return spokenValue(error)
  const words = wordsOf(fields)
  if (words !== undefined) {
    const { type, error_code: other, code = other } = fields
    const { param = paramOf(detail) ?? paramOf(message) } = fields
    return limited({ message: words, ...given({ type, code, param }) })
  }
  const text = typeof error === 'string' && error !== '' ? error : msg
  if (typeof text === 'string') return limited({ message: text })
  return Array.isArray(errors) ? spokenValue(errors) : undefined
}

const limited = <T extends SpokenError>(spoken: T): T => ({
  ...spoken,
  message: spoken.message.slice(0, MESSAGE_LIMIT),
})

const given = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** The sentence of an error: a text, or the sentences of a list of faults, as FastAPI gives them. */
function wordsOf(fields: Fields): string | undefined {
  for (const value of [
    fields.message,
    fields.detail,
    fields.msg,
    fields.error_description,
    fields.error_message,
    fields.error_msg,
    fields.errorMessage,
    fields.errmsg,
    fields.title,
  ]) {
    const words = wordsIn(value)
    if (words !== undefined) return words
  }
  return undefined
}

function wordsIn(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value
  if (Array.isArray(value)) {
    const words = value.map((fault) => {
      const at = paramOf([fault])
      const said = wordsIn(fault)
      return said === undefined || at === undefined ? said : `${at}: ${said}`
    })
    const known = words.filter((one) => one !== undefined)
    return known.length > 0 ? known.join('; ') : undefined
  }
  const fields = fieldsOf(value)
  // a fault of a list may have a place and a type without words
  return fields && (wordsOf(fields) ?? wordsIn(fields.error) ?? wordsIn(fields.loc && fields.type))
}

/** The field at fault in a list of faults: `loc` without the place it is in (`body`). */
function paramOf(detail: unknown): string | undefined {
  const faults = fieldsOf(detail)?.detail ?? detail
  const loc = Array.isArray(faults) ? fieldsOf(faults[0])?.loc : undefined
  if (!Array.isArray(loc)) return undefined
  const path = loc.filter((step, i) => i > 0 || step !== 'body').join('.')
  return path === '' ? undefined : path
}

/** Also behind an XML declaration or a comment. */
const isHtml = (text: string): boolean =>
  /^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?<(!doctype\s+html|html|head|body|title|center|h[1-6]|p)\b/i.test(
    text,
  )

/** What a reader of a page sees: its text without tags, scripts and styles. Undefined if there is none. */
function pageWords(page: string): SpokenError | undefined {
  const text = page
    .replace(/<!--[\s\S]*?(?:-->|$)/g, ' ')
    .replace(/<(script|style)\b[\s\S]*?(?:<\/\1\b[^>]*>|$)/gi, ' ')
    .replace(/<[^<>]*>/g, ' ')
    .replace(
      /&(#\d{1,7}|#x[\da-f]{1,6}|[a-z]{2,6});/gi,
      (whole, name: string) => entity(name) ?? whole,
    )
    .replace(/\s+/g, ' ')
    .trim()
  return text === '' ? undefined : { message: titleOnce(text.slice(0, MESSAGE_LIMIT)) }
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
}

function entity(name: string): string | undefined {
  if (!name.startsWith('#')) return ENTITIES[name.toLowerCase()]
  const hex = /^#x/i.test(name)
  const point = Number.parseInt(name.slice(hex ? 2 : 1), hex ? 16 : 10)
  return point > 0x10ffff ? undefined : String.fromCodePoint(point)
}

/** Without the title where the page repeats it as its heading. */
function titleOnce(text: string): string {
  const words = text.split(' ')
  for (let n = Math.floor(words.length / 2); n > 0; n--) {
    const twice = words.slice(0, n).every((word, i) => word === words[n + i])
    if (twice) return words.slice(n).join(' ')
  }
  return text
}

/** The status that an error inside an answer of status 200 stands for. */
function statusOf(spoken: SpokenError | undefined): number {
  for (const value of [spoken?.code, spoken?.status, spoken?.status_code]) {
    const status = Number(value ?? Number.NaN)
    if (status >= 400 && status < 600) return status
  }
  const name = `${spoken?.type ?? ''} ${spoken?.code ?? ''}`
  if (/rate_?limit/i.test(name)) return 429
  if (/overloaded/i.test(name)) return 529
  if (/authentication/i.test(name)) return 401
  if (/permission/i.test(name)) return 403
  return /invalid_?request/i.test(name) ? 400 : 500
}

export interface Classified {
  readonly kind: FailureKind
  /** whom to leave alone for a while: our key, or only this model of it */
  readonly pauses: 'key' | 'model' | undefined
}

function classified(status: number, spoken: SpokenError | undefined, html: boolean): Classified {
  const is = (kind: FailureKind, pauses?: 'key' | 'model'): Classified => ({ kind, pauses })
  if (isAboutRequest(spoken)) return is('rejected')
  if (isAboutAccount(status, spoken)) {
    // a page instead of an error comes from something in between, and may be about this request alone
    return is('misconfigured', status === 403 && (html || !spoken) ? undefined : 'key')
  }
  if (status === 429) return is('rate_limited')
  if (status >= 500 || status === 408 || status === 409 || status === 425) return is('server_error')
  // redirects are not followed: they could lead anywhere
  if (status < 400) return is('misconfigured')
  if (status === 404) {
    // something that the request names and the provider does not have: a file, an earlier response
    const { code, param } = spoken ?? {}
    const named = typeof param === 'string' && param !== '' && param !== 'model'
    const missing =
      typeof code === 'string' && /_not_found$/.test(code) && !/model|deploy/.test(code)
    return named || missing ? is('rejected') : is('misconfigured', 'model')
  }
  return is('rejected')
}

/** Codes and words by which providers refuse what a request says, whatever the status. */
const ABOUT_REQUEST =
  /context_length_exceeded|content_filter|content_policy|responsible_?ai|moderation|prompt_too_long|string_above_max_length|invalid_prompt/i
const FLAGGED = /\b(moderation|flagged|content policy|content filter)\b/i

function isAboutRequest(spoken: SpokenError | undefined): boolean {
  if (!spoken) return false
  const { code, type, message } = spoken
  return ABOUT_REQUEST.test(`${code ?? ''} ${type ?? ''}`) || FLAGGED.test(message)
}

/** Codes and words about our account: no credit, a key that is blocked. */
const ACCOUNT_CODE =
  /insufficient_quota|insufficient_balance|insufficient_credit|billing|quota_exceeded|account_(deactivated|suspended)|invalid_api_key|credit/i
const ACCOUNT_WORDS =
  /exceeded your current quota|check your plan and billing|credit balance|(insufficient|no|out of|not enough|more) (account )?(balance|credits?|funds|quota)|balance is (too low|used up|insufficient)|account (is )?(suspended|deactivated|not active)|(incorrect|invalid|expired|missing|unknown|no) (api|access|secret) (key|token)|(api|access|secret) (key|token) (is |was |has )?(been )?(not valid|not found|invalid|incorrect|expired|revoked|missing|disabled|required)/i

function isAboutAccount(status: number, spoken: SpokenError | undefined): boolean {
  if (status === 401 || status === 402 || status === 403) return true
  if (!spoken || status < 400) return false
  const { code, type, message } = spoken
  return ACCOUNT_CODE.test(`${code ?? ''} ${type ?? ''}`) || ACCOUNT_WORDS.test(message)
}

/** How providers say that a conversation is too long for the model, where they have no code for it. */
const TOO_LONG =
  /maximum context length|context (length|window|size|limit)|exceeds? the (model'?s )?(maximum |max )?(context|token)|(prompt|input|conversation) is too long|too many (input |total |prompt )?tokens|maximum number of tokens|exceed_context_size|longer than the model|reduce the length|prompt.{0,40}exceeds?.{0,40}tokens|max_model_len|max_(new_)?tokens.{0,12} must be <|max_seq_len|(input|prompt).{0,30}tokens.{0,60}(exceeds?|must be|more than|greater than)/i

/** Whether a refusal is about a conversation that is too long for the model. */
export const isTooLong = ({ code, type, message }: SpokenError): boolean =>
  /context_length_exceeded|exceed_context_size|prompt_too_long|string_above_max/.test(
    `${code ?? ''} ${type ?? ''}`,
  ) || TOO_LONG.test(message)

/** Clients shorten a conversation on OpenAI's code for it, so other providers' words get it too. */
const withCode = (spoken: SpokenError): SpokenError =>
  typeof spoken.code !== 'string' && isTooLong(spoken)
    ? { ...spoken, code: 'context_length_exceeded' }
    : spoken
