import { plainChat } from '../conversation/plain-chat.ts'
import { editJson } from './body-text.ts'
import {
  AnsweredError,
  asksForUsage,
  type Counts,
  type Dialect,
  MalformedAnswer,
  mergedCounts,
  type PassingAnswer,
  parsedObject,
  StreamDecoder,
  tokenCount,
} from './dialect.ts'
import { MemberScanner } from './passing.ts'
import { eventText, isDone, type ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

const PATHS: Partial<Record<Endpoint, string>> = {
  chat: '/chat/completions',
  responses: '/responses',
  embeddings: '/embeddings',
}

const unheard = (): void => {}

/** Any server with OpenAI's API: OpenAI, Azure's v1, vLLM, Ollama, llama.cpp, LiteLLM and so on. */
export const openAiDialect: Dialect = {
  forwards: 'all',
  native: 'responses',
  path: (endpoint) => PATHS[endpoint],
  headers: (key) => (key === undefined ? {} : { authorization: `Bearer ${key}` }),
  // without it a stream has no token counts, and its cost would be unknown
  adds: ({ endpoint, body }) => endpoint === 'chat' && body.stream === true && !asksForUsage(body),
  request(call, plain) {
    const { text } = call
    const body = call.translated ? plainChat(call.body, call.adjusted ?? unheard) : call.body
    const counted =
      !plain && openAiDialect.adds?.(call)
        ? { stream_options: { ...(body.stream_options as object | null), include_usage: true } }
        : undefined
    const edited =
      text &&
      editJson(text, {
        model: JSON.stringify(body.model),
        ...(counted && { stream_options: JSON.stringify(counted.stream_options) }),
      })
    return edited ?? { ...body, ...counted }
  },
  answer({ endpoint }, text) {
    const body = parsedObject(text, 'the answer')
    if (isError(body)) throw new AnsweredError(body)
    if (endpoint === 'chat' && !Array.isArray(body.choices)) {
      throw withoutChoices()
    }
    return { body, usage: openAiUsage(body.usage as Counts), verbatim: true }
  },
  stream: (call) => (call.endpoint === 'chat' ? new ChatDecoder(call) : new ResponsesDecoder()),
  passing: ({ endpoint }) => new PassingJson(endpoint),
}

/** What `answer` checks, of an answer that is not held. */
class PassingJson implements PassingAnswer {
  private readonly endpoint: Endpoint
  private readonly members = new MemberScanner(['error', 'object', 'type', 'choices', 'usage'])
  private known = 0

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  push(bytes: Buffer): void {
    this.members.push(bytes)
    const { size } = this.members.values
    if (size === this.known) return
    this.known = size
    const body = { ...this.read('error'), ...this.read('object') }
    if (isError(body)) throw new AnsweredError(body)
  }

  end(): Usage | undefined {
    this.members.end()
    const { values } = this.members
    const body = {
      ...this.read('error'),
      ...this.read('object'),
      ...this.read('type'),
      choices: values.get('choices'),
    }
    if (isError(body)) throw new AnsweredError(body)
    if (this.endpoint === 'chat' && !body.choices?.startsWith('[')) throw withoutChoices()
    return openAiUsage(this.read('usage').usage as Counts)
  }

  private read(name: string): Record<string, unknown> {
    const text = this.members.values.get(name)
    if (text === undefined) return {}
    try {
      return { [name]: JSON.parse(text) }
    } catch {
      // longer than what is kept
      return { [name]: text }
    }
  }
}

const withoutChoices = (): MalformedAnswer =>
  new MalformedAnswer('the answer has no list of choices')

/** A whole answer or an event that reports an error, in any of the usual shapes. */
function isError(body: Readonly<Record<string, unknown>>): boolean {
  if (body.error) return true
  return body.object === 'error' || (body.type === 'error' && body.choices === undefined)
}

/** Chat and embeddings count `prompt_tokens`, responses `input_tokens`. */
export function openAiUsage(counts: Counts | null | undefined): Usage | undefined {
  if (typeof counts !== 'object' || counts === null) return undefined
  const inputTokens = tokenCount(counts.prompt_tokens ?? counts.input_tokens)
  const details = (counts.prompt_tokens_details ?? counts.input_tokens_details ?? {}) as Counts
  // DeepSeek uses the second name
  const cached = tokenCount(details.cached_tokens ?? counts.prompt_cache_hit_tokens)
  // LiteLLM passes on Anthropic's name
  const written = tokenCount(details.cache_write_tokens ?? counts.cache_creation_input_tokens)
  const cachedInputTokens = Math.min(cached, inputTokens)
  const answer = (counts.completion_tokens_details ?? counts.output_tokens_details ?? {}) as Counts
  const reasoningTokens = tokenCount(answer.reasoning_tokens)
  const cacheWriteTokens = Math.min(written, inputTokens - cachedInputTokens)
  return {
    inputTokens,
    outputTokens: tokenCount(counts.completion_tokens ?? counts.output_tokens),
    ...(cachedInputTokens > 0 ? { cachedInputTokens } : {}),
    ...(cacheWriteTokens > 0 ? { cacheWriteTokens } : {}),
    ...(reasoningTokens > 0 ? { reasoningTokens } : {}),
  }
}

interface ChunkChoice {
  readonly index?: number
  readonly delta?: object
  readonly finish_reason?: unknown
}

/** Passes on chunks of a chat completion unchanged, except for token counts that only the gateway asked for. */
export class ChatDecoder extends StreamDecoder {
  private readonly keepsUsage: boolean
  private counts: Counts | undefined
  /** how many choices the request asked for */
  private readonly choices: number
  /** by index: whether the choice is finished */
  private readonly states = new Map<number, boolean>()

  constructor({ body, holdsUsage }: UpstreamCall) {
    super()
    this.keepsUsage = asksForUsage(body) && !holdsUsage
    this.choices = typeof body.n === 'number' && body.n > 1 ? body.n : 1
  }

  get usage(): Usage | undefined {
    return openAiUsage(this.counts)
  }

  event({ data, event }: ServerEvent): string {
    if (isDone(data)) {
      this.finished = true
      this.over = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    if (isError(chunk) || event === 'error') throw new AnsweredError(chunk)
    const { choices } = chunk
    this.counts = mergedCounts(this.counts, chunk.usage)
    if (!Array.isArray(choices) || choices.length === 0) {
      // the gateway, not the client, asked for the event that only counts tokens
      if (chunk.usage && !this.keepsUsage) {
        this.usageEvent = data
        return ''
      }
      return eventText(data)
    }
    for (const choice of choices as ChunkChoice[]) this.grow(choice)
    return eventText(data)
  }

  /** Finished means every choice: one may be complete while another is in the middle. */
  private grow({ index = 0, delta, finish_reason: reason }: ChunkChoice): void {
    const { states } = this
    const says = saysSomething(delta)
    const before = states.get(index)
    if (reason ? before === undefined : says && before) this.finishesEarly = true
    if (reason) states.set(index, true)
    else if (says || !states.has(index)) states.set(index, false)
    if (reason || says) this.begun = true
    this.finished = states.size >= this.choices && ![...states.values()].includes(false)
  }
}

/** Events before anything is said. */
const FIRST_RESPONSE_EVENT = /^response\.(created|queued|in_progress)$/
const LAST_RESPONSE_EVENT = /^response\.(completed|incomplete|failed|cancelled)$/

/** Events of `/v1/responses` have names and are passed on unchanged, from the first. */
class ResponsesDecoder extends StreamDecoder {
  private counts: Counts | undefined
  private spoke = false

  get usage(): Usage | undefined {
    return openAiUsage(this.counts)
  }

  override get said(): boolean {
    return this.spoke
  }

  event({ event, data }: ServerEvent): string {
    if (isDone(data)) {
      this.finished = true
      this.over = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    const type = String(chunk.type ?? event ?? '')
    if (type === 'error' || chunk.error) throw new AnsweredError(chunk)
    this.begun = true
    this.spoke ||= !FIRST_RESPONSE_EVENT.test(type)
    const { usage } = (chunk.response ?? {}) as { usage?: unknown }
    this.counts = mergedCounts(this.counts, usage)
    if (LAST_RESPONSE_EVENT.test(type)) {
      this.finished = true
      this.over = true
    }
    return eventText(data, event)
  }
}

/** Anything but the role, which servers send before the first token. */
function saysSomething(delta: object | undefined): boolean {
  for (const [field, value] of Object.entries(delta ?? {})) {
    if (field === 'role' || value === null || value === '') continue
    if (Array.isArray(value) && value.length === 0) continue
    return true
  }
  return false
}
