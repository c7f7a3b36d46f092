import type { Price } from '../../models/prices.ts'
import type { Endpoint, PassedBody } from '../upstreams/upstream.ts'
import { type Nanodollars, nanosOf } from './units.ts'

/** What bounds an answer of a model. */
export interface ModelTerms {
  readonly price: Price
  /** tokens of prompt and answer together */
  readonly context: number
  /** most tokens of an answer */
  readonly outputTokens: number | undefined
}

/** What is asked of a model, as far as its cost depends on it. */
export interface Question {
  readonly endpoint: Endpoint
  readonly body: PassedBody
  /** the JSON of `body` as it came, where it is at hand */
  readonly text?: string | undefined
  /** put before the messages */
  readonly system?: string | undefined
  /** laid over the body */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

/** Tokens that a chat's template adds, beyond the bytes of JSON around each message. */
const TEMPLATE_TOKENS = 64
/** What providers put before tools: Anthropic's own words about them are up to 530 tokens. */
const TOOL_TOKENS = 1024

/**
 * The most that one question can cost. A token stands for at least one byte of text, and the JSON around a
 * message has more bytes than its template has tokens, so the body's bytes bound its tokens. What its bytes
 * do not bound (an image's address, a stored conversation) is bounded by the model's context, which holds
 * prompt and answer together.
 */
export function upperBound(
  { endpoint, body, text, system, parameters }: Question,
  { price, context, outputTokens }: ModelTerms,
): Nanodollars {
  const asked = parameters ? { ...body, ...parameters } : body
  const input = Math.max(price.input, price.cached_input ?? 0, price.cache_write ?? 0)
  const said =
    (text === undefined ? bytesOf(body) : Buffer.byteLength(text)) +
    bytesOf(parameters) +
    bytesOf(system)
  const tools = asked.tools === undefined && asked.functions === undefined ? 0 : TOOL_TOKENS
  const textTokens = said + TEMPLATE_TOKENS + tools
  // a list of texts is embedded each for itself: the context bounds none of them together
  if (endpoint === 'embeddings') return nanosOf((textTokens * input) / 1e6)
  const inMost = beyondText(asked) ? context : Math.min(context, textTokens)
  const outMost = Math.min(context, outputTokens ?? context, askedTokens(asked) ?? context)
  const answers = Math.max(1, count(asked.n), count(asked.best_of))
  const cost = (read: number, written: number): number =>
    (read * input + answers * written * price.output) / 1e6
  // both cannot fill the context: the dearer way of sharing it
  return nanosOf(
    Math.max(
      cost(Math.min(inMost, context - outMost), outMost),
      cost(inMost, Math.min(outMost, context - inMost)),
    ),
  )
}

const LIMITS = ['max_tokens', 'max_completion_tokens', 'max_output_tokens'] as const

/** The largest of the limits that are given: an upstream may know only one of them. */
function askedTokens(body: PassedBody): number | undefined {
  const limits = LIMITS.map((field) => count(body[field])).filter((limit) => limit > 0)
  return limits.length > 0 ? Math.max(...limits) : undefined
}

const count = (value: unknown): number =>
  typeof value === 'number' && value > 0 ? Math.ceil(value) : 0

/** Content whose tokens are not in the body's bytes. */
function beyondText(body: PassedBody): boolean {
  if (body.previous_response_id || body.conversation || body.prompt) return true
  const turns = body.messages ?? body.input
  if (!Array.isArray(turns)) return false
  return turns.some((turn: unknown) => {
    const { content, type, audio } = (turn ?? {}) as Record<string, unknown>
    // an item or a spoken answer that the provider keeps
    if (type === 'item_reference' || audio) return true
    return (
      Array.isArray(content) &&
      content.some(
        (part: unknown) => !/text|refusal/.test(String((part as { type?: unknown })?.type)),
      )
    )
  })
}

/** A body is asked about once for each target and attempt. */
const sizes = new WeakMap<object, number>()

function bytesOf(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value === 'string') return Buffer.byteLength(value)
  const known = sizes.get(value as object)
  if (known !== undefined) return known
  const size = Buffer.byteLength(JSON.stringify(value))
  sizes.set(value as object, size)
  return size
}
