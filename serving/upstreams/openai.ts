import { withField, withModel } from './body-text.ts'
import {
  AnsweredError,
  asksForUsage,
  type Dialect,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
  tokenCount,
} from './dialect.ts'
import type { ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

const PATHS: Record<Endpoint, string> = {
  chat: '/chat/completions',
  responses: '/responses',
  embeddings: '/embeddings',
}

/** Any server with OpenAI's API: OpenAI, Azure's v1, vLLM, Ollama, llama.cpp, LiteLLM and so on. */
export const openAiDialect: Dialect = {
  path: (endpoint) => PATHS[endpoint],
  headers: (key) => (key === undefined ? {} : { authorization: `Bearer ${key}` }),
  request({ endpoint, body, text }) {
    const own = text === undefined ? undefined : withModel(text, body.model)
    if (endpoint !== 'chat' || body.stream !== true || asksForUsage(body)) return own ?? body
    // otherwise a stream has no token counts, and its cost would be unknown
    const counted = { ...(body.stream_options as object), include_usage: true }
    if (own !== undefined && body.stream_options === undefined) {
      return withField(own, 'stream_options', counted)
    }
    return { ...body, stream_options: counted }
  },
  answer({ endpoint }, text) {
    const body = parsedObject(text, 'the answer')
    if (body.error) throw new AnsweredError(errorText(body.error))
    if (endpoint === 'chat' && !Array.isArray(body.choices)) {
      throw new MalformedAnswer('the answer has no list of choices')
    }
    return { body, usage: usageOf(body.usage), verbatim: true }
  },
  stream: (call) => (call.endpoint === 'chat' ? new ChatDecoder(call) : new ResponsesDecoder()),
}

/** Chat and embeddings count `prompt_tokens`, responses `input_tokens`. */
function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const counts = value as Record<string, unknown>
  const inputTokens = tokenCount(counts.prompt_tokens ?? counts.input_tokens)
  const details = counts.prompt_tokens_details ?? counts.input_tokens_details
  // DeepSeek uses the second name
  const cached = tokenCount(
    (details as { cached_tokens?: unknown } | null | undefined)?.cached_tokens ??
      counts.prompt_cache_hit_tokens,
  )
  return {
    inputTokens,
    outputTokens: tokenCount(counts.completion_tokens ?? counts.output_tokens),
    ...(cached > 0 ? { cachedInputTokens: Math.min(cached, inputTokens) } : {}),
  }
}

/** The error that the upstream reported. */
function errorText(error: unknown): string {
  const message = (error as { message?: unknown }).message
  return String(message ?? JSON.stringify(error)).slice(0, 300)
}

/** Passes on chunks of a chat completion unchanged, except for token counts that only the gateway asked for. */
export class ChatDecoder extends StreamDecoder {
  private readonly keepsUsage: boolean

  constructor({ body }: UpstreamCall) {
    super()
    this.keepsUsage = asksForUsage(body)
  }

  event({ data }: ServerEvent): string {
    if (data === '[DONE]') {
      this.finished = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    if (chunk.error) throw new AnsweredError(errorText(chunk.error))
    const { choices } = chunk
    if (!Array.isArray(choices)) throw new MalformedAnswer('an event has no list of choices')
    if (chunk.usage) this.usage = usageOf(chunk.usage)
    for (const choice of choices as { delta?: object; finish_reason?: unknown }[]) {
      if (choice.finish_reason) this.finished = true
      if (!this.begun && (choice.finish_reason || saysSomething(choice.delta))) this.begun = true
    }
    // the gateway, not the client, asked for the event that only counts tokens
    if (choices.length === 0 && chunk.usage && !this.keepsUsage) return ''
    return `data: ${data.includes('\n') ? JSON.stringify(chunk) : data}\n\n`
  }
}

/** Events of `/v1/responses` have names and are passed on unchanged. */
class ResponsesDecoder extends StreamDecoder {
  event({ event, data }: ServerEvent): string {
    if (data === '[DONE]') {
      this.finished = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    const type = String(chunk.type ?? event ?? '')
    if (type === 'error') throw new AnsweredError(errorText(chunk.error ?? chunk))
    if (type.endsWith('.delta')) this.begun = true
    if (/^response\.(completed|incomplete|failed)$/.test(type)) {
      this.begun = true
      this.finished = true
      this.usage = usageOf((chunk.response as { usage?: unknown } | undefined)?.usage)
    }
    const head = event === undefined ? '' : `event: ${event}\n`
    return `${head}data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
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
