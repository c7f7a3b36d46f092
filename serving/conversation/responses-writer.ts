import { thinkingBlock } from './chat.ts'
import type { Fields, Part, Reply, ReplyEvent, StopReason, ThinkingPart, Usage } from './form.ts'
import { namespacedTools, sealedThinking } from './responses.ts'

/** Writes answers of OpenAI's Responses API: whole ones, and as the events of a stream. */

/** What an answer repeats of its request. */
interface Head {
  /** the client's body */
  readonly asked: Fields
  /** seconds since 1970 */
  readonly created: number
}

const responseId = (id: string): string => (id.startsWith('resp_') ? id : `resp_${id}`)

const counts = (usage: Usage): object => {
  const { inputTokens, outputTokens, cachedInputTokens = 0, reasoningTokens = 0 } = usage
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedInputTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  }
}

/** The fields of a response around its output. Nothing is stored: `store` is false. */
function responseHead(id: string, model: string, { asked, created }: Head): Fields {
  return {
    id: responseId(id),
    object: 'response',
    created_at: created,
    background: false,
    error: null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: asked.metadata ?? {},
    model,
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: asked.reasoning ?? { effort: null, summary: null },
    service_tier: 'default',
    store: false,
    temperature: asked.temperature ?? 1,
    text: asked.text ?? { format: { type: 'text' } },
    tool_choice: asked.tool_choice ?? 'auto',
    tools: asked.tools ?? [],
    top_p: asked.top_p ?? 1,
    truncation: asked.truncation ?? 'disabled',
    user: asked.user ?? null,
  }
}

/** How a response ended. A refusal in words is a complete answer. */
function ending(stop: StopReason, refusal: boolean): Fields {
  const reason = stop === 'length' ? 'max_output_tokens' : 'content_filter'
  const whole = stop === 'end' || stop === 'calls' || (stop === 'refused' && refusal)
  return {
    status: whole ? 'completed' : 'incomplete',
    incomplete_details: whole ? null : { reason },
  }
}

const outputText = (text: string): Fields => ({
  type: 'output_text',
  text,
  annotations: [],
  logprobs: [],
})
const refusalPart = (refusal: string): Fields => ({ type: 'refusal', refusal })

const messageItem = (id: string, content: readonly Fields[], status: string): Fields => ({
  id,
  type: 'message',
  role: 'assistant',
  status,
  content,
})

function reasoningItem(id: string, { text, signature, redacted }: ThinkingPart): Fields {
  const part = { type: 'thinking', text, signature, redacted } as const
  const sealed = signature !== undefined || redacted !== undefined
  return {
    id,
    type: 'reasoning',
    summary: text === '' ? [] : [{ type: 'summary_text', text }],
    ...(sealed ? { encrypted_content: sealedThinking(thinkingBlock(part)) } : {}),
  }
}

interface Made {
  readonly id: string
  readonly name: string
  readonly arguments: string
  readonly custom?: true | undefined
}

type Names = ReturnType<typeof namespacedTools>

function callItem(
  itemId: string,
  { id, name, arguments: said, custom }: Made,
  status: string,
  names: Names,
): Fields {
  const called = names.get(name) ?? { name }
  return custom
    ? { id: itemId, type: 'custom_tool_call', status, call_id: id, ...called, input: said }
    : { id: itemId, type: 'function_call', status, call_id: id, ...called, arguments: said }
}

/** Ids of items: those of one response differ, those of two responses as well. */
const itemId = (kind: 'msg' | 'rs' | 'fc' | 'ctc', id: string, nth: number): string =>
  `${kind}_${id.replace(/^(resp|chatcmpl|msg)[_-]/, '')}_${nth}`

/** A whole answer. */
export function responseOf(reply: Reply, head: Head): Record<string, unknown> {
  const { id, model, stop, usage } = reply
  const output: Fields[] = []
  const names = namespacedTools(head.asked.tools)
  let said: Fields[] = []
  const flush = (): void => {
    if (said.length > 0) {
      output.push(messageItem(itemId('msg', id, output.length), said, 'completed'))
    }
    said = []
  }
  for (const part of reply.parts) {
    if (part.type === 'text') {
      if (part.text !== '') said.push(part.refusal ? refusalPart(part.text) : outputText(part.text))
      continue
    }
    flush()
    const item = otherItem(part, id, output.length, names)
    if (item) output.push(item)
  }
  flush()
  const refused = reply.parts.some((part) => part.type === 'text' && part.refusal)
  return {
    ...responseHead(id, model, head),
    ...ending(stop, refused),
    output,
    usage: usage ? counts(usage) : null,
  }
}

function otherItem(part: Part, id: string, nth: number, names: Names): Fields | undefined {
  if (part.type === 'thinking') return reasoningItem(itemId('rs', id, nth), part)
  if (part.type !== 'call') return undefined
  return callItem(itemId(part.custom ? 'ctc' : 'fc', id, nth), part, 'completed', names)
}

/** An item of a stream that is still coming. */
interface OpenItem {
  readonly kind: 'message' | 'reasoning' | 'call'
  readonly index: number
  readonly id: string
  /** of a message: whether the part is a refusal */
  refusal: boolean
  parts: Fields[]
  said: string
  readonly call?: Omit<Made, 'arguments'>
}

/** Writes one streamed answer. */
export class ResponsesWriter {
  private readonly head: Head
  private readonly names: Names
  private number = 0
  private id = ''
  private model = ''
  private readonly output: Fields[] = []
  /** how many items have begun */
  private items = 0
  private open: OpenItem | undefined
  private readonly calls = new Map<number, OpenItem>()
  private stop: StopReason = 'end'
  private refused = false

  constructor(head: Head) {
    this.head = head
    this.names = namespacedTools(head.asked.tools)
  }

  /** Whole server-sent events for one step; '' for nothing. */
  write(step: ReplyEvent): string {
    switch (step.type) {
      case 'start': {
        this.id = step.id
        this.model = step.model
        const response = this.response({ status: 'in_progress', incomplete_details: null })
        return (
          this.event('response.created', { response }) +
          this.event('response.in_progress', { response })
        )
      }
      case 'text':
        return this.text(step.text, step.refusal === true)
      case 'thinking': {
        const begun = this.turnTo('reasoning')
        const { index, id } = this.open!
        this.open!.said += step.text
        const at = { item_id: id, output_index: index, summary_index: 0 }
        return (
          begun + this.event('response.reasoning_summary_text.delta', { ...at, delta: step.text })
        )
      }
      case 'thought':
        return this.thought(step.part)
      case 'call':
        return this.close() + this.startCall(step)
      case 'arguments': {
        const item = this.calls.get(step.index)
        if (!item) return ''
        item.said += step.text
        const at = { item_id: item.id, output_index: item.index, delta: step.text }
        return this.event(
          item.call?.custom
            ? 'response.custom_tool_call_input.delta'
            : 'response.function_call_arguments.delta',
          at,
        )
      }
      case 'stop':
        this.stop = step.stop
        return ''
      default:
        return ''
    }
  }

  /** The end of the stream, once all is known. */
  end(usage: Usage | undefined): string {
    let out = this.close()
    for (const item of this.calls.values()) out += this.callDone(item)
    const how = ending(this.stop, this.refused)
    const response = { ...this.response(how), usage: usage ? counts(usage) : null }
    const type = how.status === 'completed' ? 'response.completed' : 'response.incomplete'
    return out + this.event(type, { response })
  }

  private response(how: Fields): Fields {
    const { id, model, head } = this
    return { ...responseHead(id, model, head), ...how, output: [...this.output], usage: null }
  }

  private event(type: string, fields: object): string {
    const data = { type, sequence_number: this.number++, ...fields }
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
  }

  private text(said: string, refusal: boolean): string {
    let out = this.turnTo('message')
    const item = this.open!
    if (item.said !== '' && item.refusal !== refusal) out += this.partDone(item)
    if (item.said === '') {
      item.refusal = refusal
      this.refused ||= refusal
      const part = refusal ? refusalPart('') : outputText('')
      out += this.event('response.content_part.added', { ...this.at(item), part })
    }
    item.said += said
    return (
      out +
      (refusal
        ? this.event('response.refusal.delta', { ...this.at(item), delta: said })
        : this.event('response.output_text.delta', { ...this.at(item), delta: said, logprobs: [] }))
    )
  }

  private at({ id, index, parts }: OpenItem): object {
    return { item_id: id, output_index: index, content_index: parts.length }
  }

  private partDone(item: OpenItem): string {
    const { said, refusal } = item
    const part = refusal ? refusalPart(said) : outputText(said)
    const at = this.at(item)
    const out =
      (refusal
        ? this.event('response.refusal.done', { ...at, refusal: said })
        : this.event('response.output_text.done', { ...at, text: said, logprobs: [] })) +
      this.event('response.content_part.done', { ...at, part })
    item.parts.push(part)
    item.said = ''
    return out
  }

  private thought(part: ThinkingPart): string {
    if (this.open?.kind === 'reasoning' && this.open.said === part.text) return this.close(part)
    // its text was streamed with other thinking: only the signed blocks follow
    const before = this.close()
    const index = this.items++
    const item = reasoningItem(itemId('rs', this.id, index), part)
    this.output[index] = item
    return (
      before +
      this.event('response.output_item.added', { output_index: index, item }) +
      this.event('response.output_item.done', { output_index: index, item })
    )
  }

  private turnTo(kind: 'message' | 'reasoning'): string {
    if (this.open?.kind === kind) return ''
    const before = this.close()
    const index = this.items++
    const id = itemId(kind === 'message' ? 'msg' : 'rs', this.id, index)
    this.open = { kind, index, id, refusal: false, parts: [], said: '' }
    const item =
      kind === 'message'
        ? messageItem(id, [], 'in_progress')
        : { id, type: 'reasoning', summary: [] }
    const out = before + this.event('response.output_item.added', { output_index: index, item })
    if (kind === 'message') return out
    const part = { type: 'summary_text', text: '' }
    const at = { item_id: id, output_index: index, summary_index: 0 }
    return out + this.event('response.reasoning_summary_part.added', { ...at, part })
  }

  private startCall(step: Extract<ReplyEvent, { type: 'call' }>): string {
    const { id, name, custom } = step
    const index = this.items++
    const item: OpenItem = {
      kind: 'call',
      index,
      id: itemId(custom ? 'ctc' : 'fc', this.id, index),
      refusal: false,
      parts: [],
      said: '',
      call: { id, name, custom },
    }
    this.calls.set(step.index, item)
    const begun = callItem(item.id, { id, name, custom, arguments: '' }, 'in_progress', this.names)
    return this.event('response.output_item.added', { output_index: index, item: begun })
  }

  private callDone({ id, index, said, call }: OpenItem): string {
    const at = { item_id: id, output_index: index }
    const made = { ...call!, arguments: said }
    const item = callItem(id, made, 'completed', this.names)
    this.output[index] = item
    const done = call!.custom
      ? this.event('response.custom_tool_call_input.done', { ...at, input: said })
      : this.event('response.function_call_arguments.done', {
          ...at,
          name: this.names.get(call!.name)?.name ?? call!.name,
          arguments: said,
        })
    return done + this.event('response.output_item.done', { output_index: index, item })
  }

  /** Ends the open message or reasoning. @param thought what the reasoning was, with its signature */
  private close(thought?: ThinkingPart): string {
    const item = this.open
    this.open = undefined
    if (!item) return ''
    const { id, index, said } = item
    let out = ''
    let whole: Fields
    if (item.kind === 'message') {
      if (said !== '') out += this.partDone(item)
      whole = messageItem(id, item.parts, 'completed')
    } else {
      const at = { item_id: id, output_index: index, summary_index: 0 }
      const part = { type: 'summary_text', text: said }
      out +=
        this.event('response.reasoning_summary_text.done', { ...at, text: said }) +
        this.event('response.reasoning_summary_part.done', { ...at, part })
      whole = reasoningItem(id, thought ?? { type: 'thinking', text: said })
    }
    this.output[index] = whole
    return out + this.event('response.output_item.done', { output_index: index, item: whole })
  }
}
