import { type BodyText, bodySize } from '../../core/json/large.ts'
import type { Price } from '../../models/prices.ts'
import type { PassedBody, ServedEndpoint } from '../upstreams/upstream.ts'
import { type Nanodollars, nanosOf } from './units.ts'

/** Limits on an answer of a model. */
export interface ModelTerms {
  readonly price: Price
  /** tokens of prompt and answer together */
  readonly context: number
  /** most tokens of an answer */
  readonly outputTokens: number | undefined
}

/** The parts of a request to a model that affect its cost. */
export interface Question {
  readonly endpoint: ServedEndpoint
  readonly body: PassedBody
  /** the JSON of `body` as received, if available */
  readonly text?: BodyText | undefined
  /** added before the messages */
  readonly system?: string | undefined
  /** merged over the body */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

/** Tokens that a chat's template adds, beyond the bytes of JSON around each message. */
const TEMPLATE_TOKENS = 64
/** Tokens that providers add before tools: Anthropic's text about them has up to 530. */
const TOOL_TOKENS = 1024

/**
 * The highest possible cost of one question. A token stands for at least one byte of text, and the JSON
 * around a message has more bytes than its template has tokens, so the body's bytes bound its tokens. Input
 * that is not in the body (an image's address, a stored conversation) is bounded by the model's context,
 * which holds prompt and answer together.
 */
export function upperBound(
  { endpoint, body, text, system, parameters }: Question,
  { price, context, outputTokens }: ModelTerms,
): Nanodollars {
  const asked = parameters ? { ...body, ...parameters } : body
  const said =
    (text === undefined ? bytesOf(body) : bodySize(text)) + bytesOf(parameters) + bytesOf(system)
  const tools = asked.tools === undefined && asked.functions === undefined ? 0 : TOOL_TOKENS
  const textTokens = said + TEMPLATE_TOKENS + tools
  const inMost =
    endpoint === 'embeddings'
      ? textTokens
      : beyondText(endpoint, asked)
        ? context
        : Math.min(context, textTokens)
  // a longer prompt may cost more by the token
  const tiers = (price.tiers ?? []).filter(({ above }) => inMost > above)
  const rates = [price, ...tiers]
  const input = Math.max(
    ...rates.flatMap((rate) => [rate.input, rate.cached_input ?? 0, rate.cache_write ?? 0]),
  )
  const output = Math.max(...rates.map((rate) => rate.output))
  // the texts of a list are embedded separately: the context does not bound their sum
  if (endpoint === 'embeddings') return nanosOf((textTokens * input) / 1e6)
  const outMost = Math.min(context, outputTokens ?? context, askedTokens(asked) ?? context)
  const answers = Math.max(1, count(asked.n), count(asked.best_of))
  const prompts = promptsOf(endpoint, asked)
  const cost = (read: number, written: number): number =>
    (prompts * (read * input + answers * written * output)) / 1e6
  // both cannot fill the context: take the more expensive way of sharing it
  return nanosOf(
    Math.max(
      cost(Math.min(inMost, context - outMost), outMost),
      cost(inMost, Math.min(outMost, context - inMost)),
    ),
  )
}

const LIMITS = ['max_tokens', 'max_completion_tokens', 'max_output_tokens'] as const

/** The largest of the given limits: an upstream may support only one of them. */
function askedTokens(body: PassedBody): number | undefined {
  const limits = LIMITS.map((field) => count(body[field])).filter((limit) => limit > 0)
  return limits.length > 0 ? Math.max(...limits) : undefined
}

const count = (value: unknown): number =>
  typeof value === 'number' && value > 0 ? Math.ceil(value) : 0

/** A list of prompts (texts, or lists of tokens) is answered one by one. */
function promptsOf(endpoint: ServedEndpoint, { prompt }: PassedBody): number {
  if (endpoint !== 'completions' || !Array.isArray(prompt)) return 1
  return typeof prompt[0] === 'number' ? 1 : Math.max(1, prompt.length)
}

/** Endpoints whose bodies are texts; others take files, or refer to them. */
const OF_TEXT = new Set<ServedEndpoint>([
  'chat',
  'responses',
  'messages',
  'completions',
  'moderations',
])

/** Content whose tokens are not in the body's bytes. */
function beyondText(endpoint: ServedEndpoint, body: PassedBody): boolean {
  if (endpoint === 'completions') return false
  if (!OF_TEXT.has(endpoint)) return true
  if (body.previous_response_id || body.conversation || body.prompt) return true
  const turns = body.messages ?? body.input
  if (!Array.isArray(turns)) return false
  return turns.some((turn: unknown) => {
    const { content, type, audio } = (turn ?? {}) as Record<string, unknown>
    // an item or an audio answer that the provider stores
    if (type === 'item_reference' || audio) return true
    return (
      Array.isArray(content) &&
      content.some(
        (part: unknown) => !/text|refusal/.test(String((part as { type?: unknown })?.type)),
      )
    )
  })
}

/** Caches per body, which is read once for each target and attempt. */
const sizes = new WeakMap<object, number>()

const LONG_TEXT = 64 * 1024

function bytesOf(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value === 'string') return Buffer.byteLength(value)
  const known = sizes.get(value as object)
  if (known !== undefined) return known
  // escapes of a long text are no tokens, and writing them takes long
  let long = 0
  const rest = JSON.stringify(value, (_, its) => {
    if (typeof its !== 'string' || its.length < LONG_TEXT) return its
    long += Buffer.byteLength(its)
    return ''
  })
  const size = long + Buffer.byteLength(rest)
  sizes.set(value as object, size)
  return size
}
