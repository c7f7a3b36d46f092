import { anthropicUsage, finishReason, openAiUsage } from './anthropic-answer.ts'
import {
  AnsweredError,
  asksForUsage,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
} from './dialect.ts'
import type { ServerEvent } from './sse.ts'
import type { UpstreamCall } from './upstream.ts'

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
