import {
  AnsweredError,
  asksForUsage,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
  tokenCount,
} from './dialect.ts'
import type { ServerEvent } from './sse.ts'
import type { UpstreamCall, Usage } from './upstream.ts'

interface ContentBlock {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
}

/** A message of Anthropic's as a chat completion; `created` in seconds since 1970. */
export function toCompletion(
  message: Record<string, unknown>,
  usage: Usage | undefined,
  created: number,
): Record<string, unknown> {
  const content = message.content as ContentBlock[]
  const text = content.map((block) => (block.type === 'text' ? (block.text ?? '') : '')).join('')
  const calls = content
    .filter(({ type }) => type === 'tool_use')
    .map(({ id, name, input }) => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(input ?? {}) },
    }))
  return {
    id: message.id,
    object: 'chat.completion',
    created,
    model: message.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' && calls.length > 0 ? null : text,
          refusal: null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        logprobs: null,
        finish_reason: finishReason(message.stop_reason),
      },
    ],
    ...(usage ? { usage: openAiUsage(usage) } : {}),
  }
}

/** Tokens read from and written to the cache are input that was billed, if at other prices. */
export function anthropicUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const counts = value as Record<string, unknown>
  const read = tokenCount(counts.cache_read_input_tokens)
  const written = tokenCount(counts.cache_creation_input_tokens)
  return {
    inputTokens: tokenCount(counts.input_tokens) + read + written,
    outputTokens: tokenCount(counts.output_tokens),
    ...(read > 0 ? { cachedInputTokens: read } : {}),
    ...(written > 0 ? { cacheWriteTokens: written } : {}),
  }
}

function openAiUsage({ inputTokens, outputTokens }: Usage): Record<string, number> {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  }
}

function finishReason(stop: unknown): string {
  if (stop === 'max_tokens' || stop === 'model_context_window_exceeded') return 'length'
  if (stop === 'tool_use') return 'tool_calls'
  return stop === 'refusal' ? 'content_filter' : 'stop'
}

interface StreamEvent {
  readonly type?: string
  readonly index?: number
  readonly message?: { id?: string; model?: string; usage?: unknown }
  readonly content_block?: { type: string; id?: string; name?: string }
  readonly delta?: {
    type?: string
    text?: string
    partial_json?: string
    stop_reason?: string | null
  }
  readonly usage?: { output_tokens?: number }
  readonly error?: { message?: string }
}

/** Events of Anthropic's stream as chunks of OpenAI's. */
export class AnthropicDecoder extends StreamDecoder {
  private readonly wantsUsage: boolean
  private readonly created: number
  private id = ''
  private model: string
  /** the place among tool calls of each content block that is one */
  private readonly tools = new Map<number, number>()

  /** @param created seconds since 1970 */
  constructor({ body }: UpstreamCall, created: number) {
    super()
    this.wantsUsage = asksForUsage(body)
    this.model = body.model
    this.created = created
  }

  event({ data }: ServerEvent): string {
    const event = parsedObject(data, 'an event') as StreamEvent
    switch (event.type) {
      case 'message_start':
        return this.opened(event)
      case 'content_block_start':
        return this.started(event)
      case 'content_block_delta':
        return this.grown(event)
      case 'message_delta':
        return this.stopped(event)
      case 'message_stop':
        this.finished = true
        return this.wantsUsage && this.usage
          ? this.chunk([], { usage: openAiUsage(this.usage) })
          : ''
      case 'error':
        throw new AnsweredError(event.error?.message ?? 'error')
      case undefined:
        throw new MalformedAnswer('an event has no type')
      default:
        // pings, ends of blocks, and what is yet to be invented
        return ''
    }
  }

  private opened({ message }: StreamEvent): string {
    this.id = message?.id ?? ''
    this.model = message?.model ?? this.model
    const usage = anthropicUsage(message?.usage)
    // its answer's tokens are those of its first word
    this.usage = usage && { ...usage, partial: true }
    return this.delta({ role: 'assistant', content: '' })
  }

  private started({ index = 0, content_block: block }: StreamEvent): string {
    if (block?.type !== 'tool_use') return ''
    this.begun = true
    const place = this.tools.size
    this.tools.set(index, place)
    const call = { name: block.name, arguments: '' }
    return this.delta({
      tool_calls: [{ index: place, id: block.id, type: 'function', function: call }],
    })
  }

  private grown({ index = 0, delta: part }: StreamEvent): string {
    if (part?.type === 'text_delta') {
      if (part.text) this.begun = true
      return this.delta({ content: part.text ?? '' })
    }
    if (part?.type !== 'input_json_delta') return ''
    const call = { arguments: part.partial_json ?? '' }
    return this.delta({ tool_calls: [{ index: this.tools.get(index) ?? 0, function: call }] })
  }

  private stopped({ usage, delta }: StreamEvent): string {
    // a stop without a word is an answer as well
    this.begun = true
    const outputTokens = usage?.output_tokens
    if (this.usage && outputTokens !== undefined) {
      const { partial: _, ...counted } = this.usage
      this.usage = { ...counted, outputTokens }
    }
    return this.delta({}, finishReason(delta?.stop_reason))
  }

  private delta(fields: object, reason: string | null = null): string {
    return this.chunk([{ index: 0, delta: fields, logprobs: null, finish_reason: reason }])
  }

  private chunk(choices: unknown[], more: object = {}): string {
    const { id, model, created } = this
    return `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more })}\n\n`
  }
}
