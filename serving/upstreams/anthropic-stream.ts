import { anthropicUsage, finishReason, openAiUsage } from './anthropic-answer.ts'
import { AnsweredError, MalformedAnswer, parsedObject, type StreamDecoder } from './dialect.ts'
import type { UpstreamCall, Usage } from './upstream.ts'

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

/** Events of Anthropic's stream as chunks of OpenAI's; `created` in seconds since 1970. */
export function anthropicDecoder({ body }: UpstreamCall, created: number): StreamDecoder {
  const wantsUsage =
    (body.stream_options as { include_usage?: unknown } | undefined)?.include_usage === true
  let id = ''
  let model = body.model
  let begun = false
  let finished = false
  let usage: Usage | undefined
  /** the place among tool calls of each content block that is one */
  const tools = new Map<number, number>()

  const chunk = (choices: unknown[], more: object = {}): string =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more })}\n\n`
  const delta = (fields: object, reason: string | null = null): string =>
    chunk([{ index: 0, delta: fields, logprobs: null, finish_reason: reason }])

  const started = ({ index = 0, content_block: block }: StreamEvent): string => {
    if (block?.type !== 'tool_use') return ''
    begun = true
    tools.set(index, tools.size)
    const call = { name: block.name, arguments: '' }
    return delta({
      tool_calls: [{ index: tools.get(index), id: block.id, type: 'function', function: call }],
    })
  }
  const grown = ({ index = 0, delta: part }: StreamEvent): string => {
    if (part?.type === 'text_delta') {
      if (part.text) begun = true
      return delta({ content: part.text ?? '' })
    }
    if (part?.type !== 'input_json_delta') return ''
    const call = { arguments: part.partial_json ?? '' }
    return delta({ tool_calls: [{ index: tools.get(index) ?? 0, function: call }] })
  }

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
    event({ data }) {
      const event = parsedObject(data, 'an event') as StreamEvent
      switch (event.type) {
        case 'message_start':
          id = event.message?.id ?? ''
          model = event.message?.model ?? model
          usage = anthropicUsage(event.message?.usage)
          // its answer's tokens are those of its first word
          if (usage) usage = { ...usage, partial: true }
          return delta({ role: 'assistant', content: '' })
        case 'content_block_start':
          return started(event)
        case 'content_block_delta':
          return grown(event)
        case 'message_delta': {
          // a stop without a word is an answer as well
          begun = true
          const outputTokens = event.usage?.output_tokens
          if (usage && outputTokens !== undefined) {
            const { partial: _, ...counted } = usage
            usage = { ...counted, outputTokens }
          }
          return delta({}, finishReason(event.delta?.stop_reason))
        }
        case 'message_stop':
          finished = true
          return wantsUsage && usage ? chunk([], { usage: openAiUsage(usage) }) : ''
        case 'error':
          throw new AnsweredError(event.error?.message ?? 'error')
        case undefined:
          throw new MalformedAnswer('an event has no type')
        default:
          // pings, ends of blocks, and what is yet to be invented
          return ''
      }
    },
  }
}
