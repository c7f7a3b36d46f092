import { thinkingOf } from './chat.ts'
import type { CallPart, Fields, Part, Reply, ReplyEvent, StopReason, Usage } from './form.ts'

/** Reads answers of OpenAI's chat completions into the conversation form: whole ones, and chunk by chunk. */

const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined
const list = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? (value as Fields[]) : []
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

/** Some servers answer in parts, the format of user messages. */
function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  return list(content)
    .map((part) => (typeof part.text === 'string' ? part.text : ''))
    .join('')
}

function stopOf(reason: unknown, calls: boolean): StopReason {
  switch (reason) {
    case 'length':
    case 'max_tokens':
      return 'length'
    case 'content_filter':
      return 'refused'
    default:
      // some servers say `stop` after tool calls
      return calls ? 'calls' : 'end'
  }
}

/** Thinking of an answer: with signatures (`thinking_blocks`), or its text alone. */
function thinkingParts(message: Fields): Part[] {
  const blocks = list(message.thinking_blocks).flatMap((block) => thinkingOf(block) ?? [])
  if (blocks.length > 0) return blocks
  const said = text(message.reasoning_content) ?? text(message.reasoning)
  return said === undefined ? [] : [{ type: 'thinking', text: said }]
}

function callOf(call: Fields, nth: number): CallPart {
  const id = text(call.id) ?? `call_${nth}`
  const free = object(call.custom)
  if (free) {
    const { name, input } = free
    return { type: 'call', id, name: String(name), arguments: String(input ?? ''), custom: true }
  }
  const { name, arguments: given } = object(call.function) ?? {}
  const said = typeof given === 'string' ? given : given ? JSON.stringify(given) : ''
  return { type: 'call', id, name: String(name ?? ''), arguments: said }
}

/** The first choice of a whole chat completion. @param usage as it was counted */
export function replyOfChat(body: Fields, usage: Usage | undefined): Reply {
  const choice = list(body.choices)[0] ?? {}
  const message = object(choice.message) ?? {}
  const said = contentText(message.content)
  const refusal = text(message.refusal)
  const calls = list(message.tool_calls).map(callOf)
  const parts: Part[] = [
    ...thinkingParts(message),
    ...list(message.provider_blocks).map(
      (value): Part => ({ type: 'opaque', from: 'messages', value }),
    ),
    ...(said === '' ? [] : [{ type: 'text', text: said } as const]),
    ...(refusal === undefined ? [] : [{ type: 'text', text: refusal, refusal: true } as const]),
    ...calls,
  ]
  return {
    id: String(body.id ?? ''),
    model: String(body.model ?? ''),
    parts,
    stop: stopOf(choice.finish_reason, calls.length > 0),
    stopSequence: text(choice.stop_reason),
    usage,
  }
}

interface OpenCall {
  readonly index: number
  readonly id: string
}

/** Reads the chunks of a streamed chat completion. */
export class ChatReader {
  private started = false
  private stopped = false
  /** calls begun so far, by the server's index */
  private readonly open = new Map<number, OpenCall>()
  private calls = 0

  /** @param chunk the parsed data of one event */
  read(chunk: Fields): ReplyEvent[] {
    const out: ReplyEvent[] = []
    if (!this.started) {
      this.started = true
      out.push({ type: 'start', id: String(chunk.id ?? ''), model: String(chunk.model ?? '') })
    }
    const choice = (chunk.choices as readonly Fields[] | undefined)?.[0]
    if (!choice || (choice.index !== undefined && choice.index !== 0)) return out
    const { delta, finish_reason: reason } = choice
    if (delta) this.grow(delta as Fields, out)
    if (reason !== undefined && reason !== null && !this.stopped) {
      this.stopped = true
      const stop = stopOf(reason, this.calls > 0)
      out.push({ type: 'stop', stop, stopSequence: text(choice.stop_reason) })
    }
    return out
  }

  private grow(delta: Fields, out: ReplyEvent[]): void {
    const { content } = delta
    const thinking = text(delta.reasoning_content) ?? text(delta.reasoning)
    if (thinking !== undefined) out.push({ type: 'thinking', text: thinking })
    if (delta.thinking_blocks !== undefined) {
      for (const block of list(delta.thinking_blocks)) {
        const part = thinkingOf(block)
        if (part) out.push({ type: 'thought', part })
      }
    }
    if (delta.provider_blocks !== undefined) {
      for (const { index: _, ...value } of list(delta.provider_blocks)) {
        out.push({ type: 'opaque', part: { type: 'opaque', from: 'messages', value } })
      }
    }
    const said = typeof content === 'string' ? content : content ? contentText(content) : ''
    if (said !== '') out.push({ type: 'text', text: said })
    const refusal = text(delta.refusal)
    if (refusal !== undefined) out.push({ type: 'text', text: refusal, refusal: true })
    if (delta.tool_calls !== undefined) {
      for (const call of list(delta.tool_calls)) this.growCall(call, out)
    }
  }

  private growCall(call: Fields, out: ReplyEvent[]): void {
    const at = typeof call.index === 'number' ? call.index : 0
    const made = object(call.function) ?? object(call.custom) ?? {}
    const custom = call.custom === undefined ? undefined : (true as const)
    const id = text(call.id)
    let open = this.open.get(at)
    // some servers give every call of an answer the same index
    if (!open || (id !== undefined && id !== open.id && text(made.name) !== undefined)) {
      const index = this.calls++
      open = { index, id: id ?? `call_${index}` }
      this.open.set(at, open)
      out.push({ type: 'call', index, id: open.id, name: String(made.name ?? ''), custom })
    }
    const given = made.arguments ?? made.input
    const said = typeof given === 'string' ? given : given ? JSON.stringify(given) : ''
    if (said !== '') out.push({ type: 'arguments', index: open.index, text: said })
  }
}
