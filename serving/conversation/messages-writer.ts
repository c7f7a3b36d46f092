import { thinkingBlock } from './chat.ts'
import type { Fields, Part, Reply, ReplyEvent, StopReason, ThinkingPart, Usage } from './form.ts'

/** Writes answers of Anthropic's Messages API: whole ones, and as the events of a stream. */

const STOP: Readonly<Record<StopReason, string>> = {
  end: 'end_turn',
  length: 'max_tokens',
  calls: 'tool_use',
  refused: 'refusal',
}

const stopReason = (stop: StopReason, sequence: string | undefined): string =>
  sequence !== undefined && stop === 'end' ? 'stop_sequence' : STOP[stop]

/** Anthropic's shape of token counts: cached tokens are apart. */
export function messagesCounts(usage: Usage | undefined): Record<string, number> {
  const {
    inputTokens = 0,
    outputTokens = 0,
    cachedInputTokens = 0,
    cacheWriteTokens = 0,
  } = usage ?? {}
  return {
    input_tokens: Math.max(0, inputTokens - cachedInputTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedInputTokens,
    output_tokens: outputTokens,
  }
}

const messageId = (id: string): string => (id.startsWith('msg_') ? id : `msg_${id}`)

/** A JSON object, whatever the model wrote: the API's `input` is a value, not text. */
function inputOf(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : { value }
  } catch {
    return { text }
  }
}

/** Thinking as Anthropic's clients know it: there is always a signature. */
const signed = (part: ThinkingPart): Fields => ({ signature: '', ...thinkingBlock(part) })

function contentBlock(part: Part, thinks: boolean): Fields[] {
  switch (part.type) {
    case 'text':
      return part.text === '' ? [] : [{ type: 'text', text: part.text, citations: null }]
    case 'thinking':
      return thinks ? [signed(part)] : []
    case 'call':
      return [{ type: 'tool_use', id: part.id, name: part.name, input: inputOf(part.arguments) }]
    case 'opaque':
      return part.from === 'messages' ? [part.value] : []
    default:
      return []
  }
}

/** A whole answer. @param thinks the client asked for thinking: otherwise its blocks are left out */
export function messageOf(reply: Reply, thinks: boolean): Record<string, unknown> {
  const { id, model, parts, stop, stopSequence, usage } = reply
  return {
    id: messageId(id),
    type: 'message',
    role: 'assistant',
    model,
    content: parts.flatMap((part) => contentBlock(part, thinks)),
    stop_reason: stopReason(stop, stopSequence),
    stop_sequence: stopSequence ?? null,
    usage: messagesCounts(usage),
  }
}

const event = (type: string, fields: object): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

/** What keeps a connection alive while there is nothing to say. */
export const PING = event('ping', {})

type Open = 'text' | 'thinking' | 'call'

interface Call {
  readonly index: number
  readonly id: string
  readonly name: string
  /** arguments so far */
  said: string
}

function isWhole(json: string): boolean {
  try {
    JSON.parse(json)
    return true
  } catch {
    return false
  }
}

/** Writes one streamed answer. */
export class MessagesWriter {
  private readonly thinks: boolean
  private open: Open | undefined
  private call: Call | undefined
  /** calls that began while another was being written: this API writes one block at a time */
  private readonly waiting: Call[] = []
  private next = 0
  private thought = ''
  private stop: StopReason = 'end'
  private stopSequence: string | undefined

  /** @param thinks the client asked for thinking: otherwise its blocks are left out */
  constructor(thinks: boolean) {
    this.thinks = thinks
  }

  /** Whole server-sent events for one step; '' for nothing. */
  write(step: ReplyEvent): string {
    switch (step.type) {
      case 'start': {
        const message = {
          id: messageId(step.id),
          type: 'message',
          role: 'assistant',
          model: step.model,
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: messagesCounts(undefined),
        }
        return event('message_start', { message })
      }
      case 'text':
        return (
          this.turnTo('text', () => ({ type: 'text', text: '' })) +
          this.delta({ type: 'text_delta', text: step.text })
        )
      case 'thinking':
        if (!this.thinks) return ''
        this.thought += step.text
        return (
          this.turnTo('thinking', () => ({ type: 'thinking', thinking: '', signature: '' })) +
          this.delta({ type: 'thinking_delta', thinking: step.text })
        )
      case 'thought':
        return this.thinks ? this.thoughtOver(step.part) : ''
      case 'call': {
        const call = { index: step.index, id: step.id, name: step.name, said: '' }
        if (this.call && !isWhole(this.call.said)) {
          this.waiting.push(call)
          return ''
        }
        return this.begin(call)
      }
      case 'arguments': {
        if (this.call?.index === step.index) return this.grow(step.text)
        const waiting = this.waiting.find(({ index }) => index === step.index)
        if (waiting) waiting.said += step.text
        return ''
      }
      case 'opaque':
        return step.part.from === 'messages' ? this.whole(step.part.value) : ''
      case 'stop':
        this.stop = step.stop
        this.stopSequence = step.stopSequence
        return this.close()
      case 'usage':
        return ''
    }
  }

  /** The end of the stream, once all is known. */
  end(usage: Usage | undefined): string {
    const { stop, stopSequence } = this
    const reason = stopReason(stop, stopSequence)
    const delta = { stop_reason: reason, stop_sequence: stopSequence ?? null }
    return (
      this.close() +
      event('message_delta', { delta, usage: messagesCounts(usage) }) +
      event('message_stop', {})
    )
  }

  /** The signature of thinking that was streamed, or a block that was not. */
  private thoughtOver(part: ThinkingPart): string {
    if (this.open === 'thinking') {
      if (this.thought !== part.text || part.signature === undefined) return this.close()
      const { signature } = part
      return this.delta({ type: 'signature_delta', signature }) + this.close()
    }
    return part.redacted === undefined ? '' : this.whole(signed(part))
  }

  private whole(block: Fields): string {
    return this.close() + this.start('text', block) + this.close()
  }

  private begin(call: Call): string {
    const { id, name, said } = call
    const head = this.closeBlock() + this.start('call', { type: 'tool_use', id, name, input: {} })
    this.call = { ...call, said: '' }
    return head + this.grow(said)
  }

  private grow(said: string): string {
    if (said === '') return ''
    this.call!.said += said
    return this.delta({ type: 'input_json_delta', partial_json: said })
  }

  private turnTo(kind: Open, block: () => object): string {
    return this.open === kind ? '' : this.close() + this.start(kind, block())
  }

  private start(kind: Open, block: object): string {
    this.open = kind
    return event('content_block_start', { index: this.next++, content_block: block })
  }

  private delta(delta: object): string {
    return event('content_block_delta', { index: this.next - 1, delta })
  }

  /** Ends the open block, and writes the calls that waited for it. */
  private close(): string {
    let out = this.closeBlock()
    for (const call of this.waiting.splice(0)) out += this.begin(call) + this.closeBlock()
    return out
  }

  private closeBlock(): string {
    if (this.open === undefined) return ''
    this.open = undefined
    this.call = undefined
    this.thought = ''
    return event('content_block_stop', { index: this.next - 1 })
  }
}
