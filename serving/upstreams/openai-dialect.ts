import {
  AnsweredError,
  type Dialect,
  MalformedAnswer,
  parsedObject,
  type StreamDecoder,
  tokenCount,
} from './dialect.ts'
import type { ServerEvent } from './sse.ts'
import type { Endpoint, UpstreamCall, Usage } from './upstream.ts'

const PATHS: Record<Endpoint, string> = {
  chat: '/chat/completions',
  responses: '/responses',
  embeddings: '/embeddings',
}

/** Any server that speaks OpenAI's API: OpenAI, Azure's v1, vLLM, Ollama, llama.cpp, LiteLLM and so on. */
export const openAiDialect: Dialect = {
  path: (endpoint) => PATHS[endpoint],
  headers: (key) => (key === undefined ? {} : { authorization: `Bearer ${key}` }),
  request({ endpoint, body }) {
    if (endpoint !== 'chat' || body.stream !== true || asksForUsage(body)) return body
    // without it a stream tells no tokens, and nobody would know what it cost
    return { ...body, stream_options: { ...(body.stream_options as object), include_usage: true } }
  },
  answer({ endpoint }, text) {
    const body = parsedObject(text, 'the answer')
    if (body.error) throw new AnsweredError(errorText(body.error))
    if (endpoint === 'chat' && !Array.isArray(body.choices)) {
      throw new MalformedAnswer('the answer has no list of choices')
    }
    return { body, usage: usageOf(body.usage), verbatim: true }
  },
  stream: (call) => (call.endpoint === 'chat' ? chatDecoder(call) : responsesDecoder()),
}

function chatDecoder({ body }: UpstreamCall): StreamDecoder {
  const keepsUsage = asksForUsage(body)
  let begun = false
  let finished = false
  let usage: Usage | undefined
  return {
    get begun() {
      return begun
    },
    get finished() {
      return finished
    },
    get usage() {
      return usage
    },
    event({ data }: ServerEvent) {
      if (data === '[DONE]') {
        finished = true
        return ''
      }
      const chunk = parsedObject(data, 'an event')
      if (chunk.error) throw new AnsweredError(errorText(chunk.error))
      const { choices } = chunk
      if (!Array.isArray(choices)) throw new MalformedAnswer('an event has no list of choices')
      if (chunk.usage) usage = usageOf(chunk.usage)
      for (const choice of choices as { delta?: object; finish_reason?: unknown }[]) {
        if (choice.finish_reason) finished = true
        if (!begun && (choice.finish_reason || saysSomething(choice.delta))) begun = true
      }
      // the event that only counts tokens was our wish, not the client's
      if (choices.length === 0 && chunk.usage && !keepsUsage) return ''
      return `data: ${data.includes('\n') ? JSON.stringify(chunk) : data}\n\n`
    },
  }
}

/** Events of `/v1/responses` have names and are passed on as they are. */
function responsesDecoder(): StreamDecoder {
  let begun = false
  let finished = false
  let usage: Usage | undefined
  return {
    get begun() {
      return begun
    },
    get finished() {
      return finished
    },
    get usage() {
      return usage
    },
    event({ event, data }: ServerEvent) {
      if (data === '[DONE]') {
        finished = true
        return ''
      }
      const chunk = parsedObject(data, 'an event')
      const type = String(chunk.type ?? event ?? '')
      if (type === 'error') throw new AnsweredError(errorText(chunk.error ?? chunk))
      if (type.endsWith('.delta')) begun = true
      if (/^response\.(completed|incomplete|failed)$/.test(type)) {
        begun = true
        finished = true
        usage = usageOf((chunk.response as { usage?: unknown } | undefined)?.usage)
      }
      const head = event === undefined ? '' : `event: ${event}\n`
      return `${head}data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
    },
  }
}

function asksForUsage(body: Readonly<Record<string, unknown>>): boolean {
  return (body.stream_options as { include_usage?: unknown } | undefined)?.include_usage === true
}

/** Anything but the role, which servers send ahead of the first token. */
function saysSomething(delta: object | undefined): boolean {
  for (const [field, value] of Object.entries(delta ?? {})) {
    if (field === 'role' || value === null || value === '') continue
    if (Array.isArray(value) && value.length === 0) continue
    return true
  }
  return false
}

/** Chat and embeddings count `prompt_tokens`, responses `input_tokens`. */
function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const counts = value as Record<string, unknown>
  const inputTokens = tokenCount(counts.prompt_tokens ?? counts.input_tokens)
  const details = counts.prompt_tokens_details ?? counts.input_tokens_details
  // DeepSeek's word for it is the second one
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

function errorText(error: unknown): string {
  const message = (error as { message?: unknown }).message
  return String(message ?? JSON.stringify(error)).slice(0, 300)
}
