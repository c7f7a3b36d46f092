import {
  AnsweredError,
  asksForUsage,
  type Dialect,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
  tokenCount,
  UntranslatableRequest,
} from './dialect.ts'
import type { ServerEvent } from './sse.ts'
import type { ChatBody, ChatTurn, ContentPart, UpstreamCall, Usage } from './upstream.ts'

/** The supported version of the Messages API. */
const API_VERSION = '2023-06-01'

/**
 * Anthropic's Messages API behind OpenAI's chat completions: text, images, tools, streaming.
 *
 * @param now milliseconds since 1970: Anthropic's answers have no time, OpenAI's do
 */
export const anthropicDialect = (now: () => number): Dialect => ({
  path: (endpoint) => (endpoint === 'chat' ? '/messages' : undefined),
  headers: (key) => ({
    'anthropic-version': API_VERSION,
    ...(key === undefined ? {} : { 'x-api-key': key }),
  }),
  request: ({ body }) => toAnthropic(body as ChatBody),
  answer(_, text) {
    const message = parsedObject(text, 'the answer')
    if (message.type === 'error') {
      const { message: reason } = (message.error ?? {}) as { message?: unknown }
      throw new AnsweredError(String(reason ?? 'error'))
    }
    if (!Array.isArray(message.content)) {
      throw new MalformedAnswer('the answer has no list of content')
    }
    const usage = anthropicUsage(message.usage)
    return { body: toCompletion(message, usage, seconds(now)), usage, verbatim: false }
  },
  stream: (call) => new AnthropicDecoder(call, seconds(now)),
})

const seconds = (now: () => number): number => Math.floor(now() / 1000)

/** Anthropic requires a limit, OpenAI does not. */
export const DEFAULT_MAX_TOKENS = 4096

interface Block {
  readonly type: string
  readonly [field: string]: unknown
}

interface Turn {
  readonly role: 'user' | 'assistant'
  readonly content: Block[]
}

/**
 * Converts OpenAI's chat body to Anthropic's Messages API. Fields without an equivalent (`seed`,
 * `logit_bias`, penalties, `store`) are left out; those that would change the answer's shape are refused.
 *
 * @throws UntranslatableRequest
 */
function toAnthropic(body: ChatBody): Record<string, unknown> {
  refuseUntranslatable(body)
  const { system, turns } = conversation(body.messages)
  const translated: Record<string, unknown> = {
    model: body.model,
    max_tokens: body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_MAX_TOKENS,
    messages: turns,
  }
  if (system !== '') translated.system = system
  for (const field of ['temperature', 'top_p', 'top_k', 'stream', 'thinking']) {
    if (body[field] !== undefined && body[field] !== null) translated[field] = body[field]
  }
  if (typeof body.stop === 'string') translated.stop_sequences = [body.stop]
  else if (Array.isArray(body.stop)) translated.stop_sequences = body.stop
  if (typeof body.user === 'string') translated.metadata = { user_id: body.user }
  const { tools } = body
  if (Array.isArray(tools) && tools.length > 0) {
    translated.tools = tools.map(toTool)
    const choice = toToolChoice(body)
    if (choice) translated.tool_choice = choice
  }
  return translated
}

function refuseUntranslatable(body: ChatBody): void {
  const refuse = (what: string): never => {
    throw new UntranslatableRequest(`Anthropic's API has no ${what}`)
  }
  if (typeof body.n === 'number' && body.n > 1) refuse('n above 1')
  if (body.logprobs === true) refuse('logprobs')
  const format = (body.response_format as { type?: unknown } | null | undefined)?.type
  if (format !== undefined && format !== 'text') refuse(`response_format ${String(format)}`)
  if (body.audio !== undefined && body.audio !== null) refuse('audio')
}

/** Joins system messages into one text, and merges neighbouring messages of one role, as the API requires. */
function conversation(messages: readonly ChatTurn[]): { system: string; turns: Turn[] } {
  const system: string[] = []
  const turns: Turn[] = []
  for (const message of messages) {
    if (message.role === 'system' || message.role === 'developer') {
      system.push(plainText(message.content))
      continue
    }
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const content = message.role === 'tool' ? [toolResult(message)] : blocks(message)
    if (content.length === 0) continue
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...content)
    else turns.push({ role, content })
  }
  return { system: system.filter(Boolean).join('\n\n'), turns }
}

function blocks(message: ChatTurn): Block[] {
  const { content } = message
  const said =
    typeof content === 'string'
      ? content === ''
        ? []
        : [{ type: 'text', text: content }]
      : (content ?? []).map(toBlock)
  const calls = (message.tool_calls ?? []) as {
    id: string
    function: { name: string; arguments: string }
  }[]
  return [
    ...said,
    ...calls.map(({ id, function: { name, arguments: text } }) => ({
      type: 'tool_use',
      id,
      name,
      input: toolInput(text),
    })),
  ]
}

function toBlock(part: ContentPart): Block {
  if (part.type === 'text') return { type: 'text', text: part.text ?? '' }
  if (part.type !== 'image_url') {
    throw new UntranslatableRequest(`Anthropic's API has no content of type ${part.type}`)
  }
  const { url } = part.image_url as { url: string }
  const [, mediaType, data] = /^data:([\w./+-]+);base64,(.*)$/s.exec(url) ?? []
  const source =
    data === undefined ? { type: 'url', url } : { type: 'base64', media_type: mediaType, data }
  return { type: 'image', source }
}

function toolResult(message: ChatTurn): Block {
  return {
    type: 'tool_result',
    tool_use_id: message.tool_call_id,
    content: plainText(message.content),
  }
}

function toolInput(text: string): unknown {
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw new UntranslatableRequest(
      'a tool call in the conversation has arguments that are no JSON',
    )
  }
}

function plainText(content: ChatTurn['content']): string {
  if (typeof content === 'string') return content
  return (content ?? []).map((part) => part.text ?? '').join('')
}

function toTool(tool: unknown): Record<string, unknown> {
  const { type, function: definition } = tool as {
    type?: unknown
    function?: { name: string; description?: string; parameters?: unknown }
  }
  if (type !== 'function' || !definition) {
    throw new UntranslatableRequest(`only tools of type function can be translated, got ${type}`)
  }
  const { name, description, parameters } = definition
  return {
    name,
    ...(description === undefined ? {} : { description }),
    input_schema: parameters ?? { type: 'object', properties: {} },
  }
}

function toToolChoice(body: ChatBody): Record<string, unknown> | undefined {
  const choice = body.tool_choice
  const one = body.parallel_tool_calls === false ? { disable_parallel_tool_use: true } : {}
  if (choice === 'none') return { type: 'none' }
  if (choice === 'required') return { type: 'any', ...one }
  const named = (choice as { function?: { name: string } } | undefined)?.function
  if (named) return { type: 'tool', name: named.name, ...one }
  return body.parallel_tool_calls === false ? { type: 'auto', ...one } : undefined
}

interface ContentBlock {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
}

/** Converts an Anthropic message to a chat completion; `created` in seconds since 1970. */
function toCompletion(
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

/** Tokens read from and written to the cache are billed as input, at other prices. */
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

/** Converts the events of Anthropic's stream to OpenAI's chunks. */
export class AnthropicDecoder extends StreamDecoder {
  private readonly wantsUsage: boolean
  private readonly created: number
  private id = ''
  private model: string
  /** by content block, for those that are tool calls: the index among the tool calls */
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
        // pings, ends of blocks, and future event types
        return ''
    }
  }

  private opened({ message }: StreamEvent): string {
    this.id = message?.id ?? ''
    this.model = message?.model ?? this.model
    const usage = anthropicUsage(message?.usage)
    // the answer's tokens in this event only cover its start
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
    // a stop without any text is an answer as well
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
