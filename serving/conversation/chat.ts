import { definedOnly } from '../../core/defined.ts'
import {
  type Adjusted,
  type CacheMark,
  type CallPart,
  type Conversation,
  type Fields,
  type MediaPart,
  type OutputFormat,
  otherFields,
  type Part,
  type Reasoning,
  type Refused,
  type Reply,
  type ReplyEvent,
  type ResultPart,
  roleOf,
  type StopReason,
  type ThinkingPart,
  type Tool,
  type ToolChoice,
  type Turn,
  textOf,
  throwRefused,
  UntranslatableRequest,
  type Usage,
} from './form.ts'
import { inline, sourceOfUrl, urlOfSource } from './media.ts'
import { keptInChat } from './rest-rules.ts'

/** OpenAI's chat completions: bodies into the conversation form and out of it, answers out of it. */

const BODY_FIELDS = new Set([
  'model',
  'messages',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'reasoning_effort',
  'reasoning',
  'thinking',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'stream',
  'user',
])
const TURN_FIELDS = new Set([
  'role',
  'content',
  'name',
  'tool_calls',
  'tool_call_id',
  'refusal',
  'reasoning_content',
  'reasoning',
  'reasoning_details',
  'thinking_blocks',
  'provider_blocks',
  'cache_control',
])
const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const

/** @throws UntranslatableRequest naming the field that is not understood */
export function fromChat(body: Fields): Conversation {
  const choice = toolChoice(body.tool_choice)
  return {
    from: 'chat',
    model: String(body.model),
    turns: list(body.messages).map((message, i) => turnOf(message, `messages.${i}`)),
    tools: Array.isArray(body.tools) ? body.tools.map(toolOf) : undefined,
    toolChoice: choice,
    parallelCalls: bool(body.parallel_tool_calls),
    output: outputOf(body.response_format),
    reasoning: reasoningOf(body),
    maxTokens: number(body.max_completion_tokens) ?? number(body.max_tokens),
    temperature: number(body.temperature),
    topP: number(body.top_p),
    topK: number(body.top_k),
    stop: stopsOf(body.stop),
    stream: bool(body.stream),
    user: text(body.user),
    rest: withoutNulls(otherFields(body, BODY_FIELDS)),
  }
}

const list = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? (value as Fields[]) : []
const number = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined
const bool = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

function withoutNulls(fields: Fields | undefined): Fields {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== null))
}

function turnOf(message: Fields, where: string): Turn {
  const role = roleOf(message.role, ROLES, where)
  const common = {
    name: text(message.name),
    rest: otherFields(message, TURN_FIELDS),
  }
  const cache = object(message.cache_control)
  if (role === 'tool') {
    const result: ResultPart = {
      type: 'result',
      callId: String(message.tool_call_id),
      parts: contentParts(message.content, undefined, `${where}.content`),
      cache,
    }
    return { role, parts: [result], ...common }
  }
  const said = contentParts(message.content, cache, `${where}.content`)
  if (role !== 'assistant') return { role, parts: said, ...common }
  const refusal = text(message.refusal)
  return {
    role,
    parts: [
      ...thinkingParts(message),
      ...list(message.provider_blocks).map((value) => opaque(value)),
      ...said,
      ...(refusal === undefined ? [] : [{ type: 'text', text: refusal, refusal: true } as const]),
      ...list(message.tool_calls).map((call, i) => callOf(call, `${where}.tool_calls.${i}`)),
    ],
    ...common,
  }
}

const opaque = (value: Fields): Part => ({ type: 'opaque', from: 'messages', value })

/**
 * Thinking with signatures is in `thinking_blocks` (as Weir and LiteLLM write it) or `reasoning_details` (as
 * OpenRouter does); `reasoning_content` and `reasoning` are its text alone.
 */
function thinkingParts(message: Fields): ThinkingPart[] {
  const blocks = list(message.thinking_blocks).flatMap((block) => thinkingOf(block) ?? [])
  if (blocks.length > 0) return blocks
  const details = list(message.reasoning_details).flatMap((detail): ThinkingPart[] => {
    const data = text(detail.data)
    if (detail.type === 'reasoning.encrypted' && data !== undefined) {
      return [{ type: 'thinking', text: '', redacted: data }]
    }
    if (detail.type !== 'reasoning.text') return []
    return [{ type: 'thinking', text: text(detail.text) ?? '', signature: text(detail.signature) }]
  })
  if (details.length > 0) return details
  const said = text(message.reasoning_content) ?? text(message.reasoning)
  return said ? [{ type: 'thinking', text: said }] : []
}

/** A `thinking` or `redacted_thinking` block of Anthropic's, which chat messages may carry too. */
export function thinkingOf(block: Fields): ThinkingPart | undefined {
  if (block.type === 'redacted_thinking') {
    return { type: 'thinking', text: '', redacted: String(block.data) }
  }
  if (block.type !== 'thinking') return undefined
  return {
    type: 'thinking',
    text: text(block.thinking) ?? '',
    // Weir writes an empty one where the thinking came from a model that does not sign
    signature: text(block.signature) || undefined,
  }
}

/** The block that a thinking part is; without a signature no provider takes it back. */
export const thinkingBlock = ({ text, signature, redacted }: ThinkingPart): Fields =>
  redacted === undefined
    ? definedOnly({ type: 'thinking', thinking: text, signature })
    : { type: 'redacted_thinking', data: redacted }

/** @param cache of the whole message: it counts for its last part */
function contentParts(content: unknown, cache: CacheMark | undefined, where: string): Part[] {
  if (content === undefined || content === null) return []
  if (typeof content === 'string') return [{ type: 'text', text: content, cache }]
  const parts = list(content).map((part, i) => partOf(part, `${where}.${i}`))
  const last = parts.at(-1)
  if (cache && last && (last.type === 'text' || last.type === 'media') && !last.cache) {
    parts[parts.length - 1] = { ...last, cache }
  }
  return parts
}

const TEXT_FIELDS = new Set(['type', 'text', 'cache_control'])
const MEDIA_FIELDS = new Set(['type', 'image_url', 'input_audio', 'file', 'cache_control'])

function partOf(part: Fields, where: string): Part {
  const cache = object(part.cache_control)
  switch (part.type) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return {
        type: 'text',
        text: text(part.text) ?? '',
        cache,
        rest: otherFields(part, TEXT_FIELDS),
      }
    case 'refusal':
      return { type: 'text', text: text(part.refusal) ?? '', refusal: true }
    case 'thinking':
    case 'redacted_thinking':
      return thinkingOf(part)!
    case 'image_url':
    case 'input_image': {
      const given = object(part.image_url) ?? { url: part.image_url }
      const field = `${where}.image_url.url`
      const url = text(given.url)
      if (url === undefined) {
        throw new UntranslatableRequest(`${field}: expected text, got ${typeof given.url}`, field)
      }
      return {
        type: 'media',
        kind: 'image',
        source: sourceOfUrl(url, field),
        detail: text(given.detail) ?? text(part.detail),
        cache,
        rest: otherFields(part, MEDIA_FIELDS),
      }
    }
    case 'input_audio': {
      const { data, format } = object(part.input_audio) ?? {}
      const source = inline(`audio/${String(format)}`, String(data))
      return { type: 'media', kind: 'audio', source, cache, rest: otherFields(part, MEDIA_FIELDS) }
    }
    case 'file':
      return fileOf(part, cache, where)
    default:
      throw new UntranslatableRequest(
        `${where}.type: content of type ${String(part.type)} cannot be translated`,
        `${where}.type`,
      )
  }
}

function fileOf(part: Fields, cache: CacheMark | undefined, where: string): MediaPart {
  const file = object(part.file) ?? {}
  const data = text(file.file_data)
  const id = text(file.file_id)
  if (data === undefined && id === undefined) {
    const fault = `${where}.file: expected file_data or file_id, got neither`
    throw new UntranslatableRequest(fault, `${where}.file`)
  }
  const name = text(file.filename)
  const common = { type: 'media', kind: 'file', name, cache } as const
  const rest = otherFields(part, MEDIA_FIELDS)
  if (data === undefined) return { ...common, source: { at: 'stored', id: id! }, rest }
  // some clients send base64 without the data URI around it
  const source = /^(data:|https?:)/i.test(data.trim())
    ? sourceOfUrl(data, `${where}.file.file_data`)
    : inline(
        TYPE_OF_ENDING[name?.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'application/pdf',
        data,
      )
  return { ...common, source, rest }
}

const TYPE_OF_ENDING: Readonly<Record<string, string>> = {
  pdf: 'application/pdf',
  txt: 'text/plain',
  md: 'text/plain',
  csv: 'text/plain',
  json: 'text/plain',
  html: 'text/plain',
}

const CALL_FIELDS = new Set(['id', 'type', 'function', 'index', 'cache_control'])

function callOf(call: Fields, where: string): CallPart {
  const free = object(call.custom)
  if (free) {
    return {
      type: 'call',
      id: String(call.id),
      name: String(free.name),
      arguments: text(free.input) ?? '',
      custom: true,
    }
  }
  const made = object(call.function)
  if (!made) {
    const fault = `${where}: a tool call of type ${String(call.type)} cannot be translated`
    throw new UntranslatableRequest(fault, where)
  }
  const given = made.arguments
  return {
    type: 'call',
    id: String(call.id),
    name: String(made.name),
    // some clients send the object itself
    arguments: typeof given === 'string' ? given : given ? JSON.stringify(given) : '',
    cache: object(call.cache_control),
    rest: otherFields(call, CALL_FIELDS),
  }
}

const FUNCTION_FIELDS = new Set(['name', 'description', 'parameters', 'strict', 'cache_control'])

function toolOf(tool: unknown): Tool {
  const given = object(tool) ?? {}
  const definition = object(given.function)
  if (definition) {
    return {
      name: String(definition.name),
      description: text(definition.description),
      schema: definition.parameters ?? undefined,
      strict: bool(definition.strict),
      cache: object(given.cache_control) ?? object(definition.cache_control),
      rest: otherFields(definition, FUNCTION_FIELDS),
    }
  }
  // Anthropic's own tools have a date in their type: clients that know them pass them on as they are
  const from = /_\d{8}$/.test(String(given.type)) ? 'messages' : 'chat'
  const custom = object(given.custom)?.name
  return { name: String(given.name ?? custom ?? given.type), opaque: { from, value: given } }
}

function toolChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { mode: choice }
  const given = object(choice)
  if (!given) return undefined
  const allowed = object(given.allowed_tools)
  if (allowed) {
    const names = list(allowed.tools).map((tool) =>
      String(object(tool.function)?.name ?? tool.name),
    )
    return { mode: allowed.mode === 'required' ? 'required' : 'auto', allowed: names }
  }
  const named = object(given.function) ?? object(given.custom)
  if (named) return { mode: 'tool', name: String(named.name) }
  throw new UntranslatableRequest('tool_choice: expected a mode or a function', 'tool_choice')
}

function outputOf(format: unknown): OutputFormat | undefined {
  const given = object(format)
  if (!given) return undefined
  switch (given.type) {
    case 'text':
      return { type: 'text' }
    case 'json_object':
      // some servers take a schema here
      return given.schema ? { type: 'schema', schema: given.schema } : { type: 'json' }
    case 'json_schema': {
      const { schema, name, description, strict } = object(given.json_schema) ?? {}
      if (schema === undefined || schema === null) {
        const field = 'response_format.json_schema.schema'
        throw new UntranslatableRequest(`${field}: expected a JSON Schema, got nothing`, field)
      }
      return {
        type: 'schema',
        schema,
        name: text(name),
        description: text(description),
        strict: bool(strict),
      }
    }
    default: {
      const fault = `response_format.type: ${String(given.type)} cannot be translated`
      throw new UntranslatableRequest(fault, 'response_format')
    }
  }
}

function reasoningOf(body: Fields): Reasoning | undefined {
  const thinking = object(body.thinking)
  const wide = object(body.reasoning)
  const effort =
    text(body.reasoning_effort) ??
    text(wide?.effort) ??
    (wide?.enabled === false ? 'none' : undefined)
  const budget = number(wide?.max_tokens)
  const own = thinking ?? (budget && { type: 'enabled', budget_tokens: budget })
  if (effort === undefined && !own) return undefined
  return { effort, thinking: own || undefined }
}

function stopsOf(stop: unknown): readonly string[] | undefined {
  if (typeof stop === 'string') return [stop]
  return Array.isArray(stop) ? stop.map(String) : undefined
}

/**
 * The chat body of a conversation. What came by another API and has no place here is refused by name; fields
 * in `rest` are kept, left out and reported, or refused, by the rules of that API (`rest-rules.ts`).
 *
 * @param refused takes what has no place here; it is then left out, so that the rest can still be read
 * @throws UntranslatableRequest
 */
export function toChat(
  conversation: Conversation,
  adjusted: Adjusted,
  refused: Refused = throwRefused,
): Record<string, unknown> {
  const { from, tools, output, reasoning, rest } = conversation
  const choice = conversation.toolChoice
  const functions = tools?.flatMap((tool) => functionOf(tool, refused))
  return definedOnly({
    ...(from === 'chat' ? rest : keptInChat(from, rest, adjusted, refused)),
    model: conversation.model,
    messages: conversation.turns.flatMap((turn) => messagesOf(turn, refused)),
    tools: functions && functions.length === 0 && tools!.length > 0 ? undefined : functions,
    tool_choice: choice && chatChoice(choice),
    parallel_tool_calls: conversation.parallelCalls,
    response_format: output && formatOf(output),
    reasoning_effort: reasoning?.effort,
    thinking: reasoning?.thinking,
    max_completion_tokens: conversation.maxTokens,
    temperature: conversation.temperature,
    top_p: conversation.topP,
    top_k: conversation.topK,
    stop: conversation.stop,
    stream: conversation.stream,
    user: conversation.user,
  })
}

/** One turn; results of tools become messages of their own, before what else the turn says. */
function messagesOf(
  { role, parts, name, rest }: Turn,
  refused: Refused,
): Record<string, unknown>[] {
  const results = parts.filter((part) => part.type === 'result')
  const messages: Record<string, unknown>[] = results.map((result) =>
    definedOnly({
      role: 'tool',
      tool_call_id: result.callId,
      content: contentOf(result.parts, refused),
      cache_control: result.cache,
      ...(role === 'tool' ? { name, ...rest } : {}),
    }),
  )
  const others = parts.filter((part) => part.type !== 'result')
  if (results.length > 0 && others.length === 0) return messages
  messages.push(
    definedOnly({
      role,
      ...(role === 'assistant'
        ? assistantFields(others, refused)
        : { content: contentOf(others, refused) }),
      name,
      ...rest,
    }),
  )
  return messages
}

/** Text alone as a string, else the list of parts. */
function contentOf(parts: readonly Part[], refused: Refused): string | Record<string, unknown>[] {
  const plain = parts.every((part) => part.type === 'text' && !part.cache && !part.rest)
  if (plain && parts.length < 2) return textOf(parts)
  return parts.flatMap((part) => {
    const written = chatPart(part, refused)
    return written ? [written] : []
  })
}

function chatPart(part: Part, refused: Refused): Record<string, unknown> | undefined {
  switch (part.type) {
    case 'text':
      return part.refusal
        ? { type: 'refusal', refusal: part.text }
        : definedOnly({ type: 'text', text: part.text, cache_control: part.cache, ...part.rest })
    case 'media':
      return definedOnly({ ...mediaFields(part), cache_control: part.cache, ...part.rest })
    case 'thinking':
      return { ...thinkingBlock(part) }
    default: {
      const type = part.type === 'opaque' ? String(part.value.type) : part.type
      const fault = `content of type ${type} has no place in a chat message`
      refused(new UntranslatableRequest(fault, fieldOf(part)))
      return undefined
    }
  }
}

/** The field of the client's body that an opaque part came in. */
const fieldOf = (part: Part): string =>
  part.type === 'opaque' && part.from === 'responses' ? 'input' : 'messages'

function mediaFields({ kind, source, name, detail }: MediaPart): Record<string, unknown> {
  if (kind === 'image') {
    if (source.at === 'stored') return { type: 'file', file: { file_id: source.id } }
    return { type: 'image_url', image_url: definedOnly({ url: urlOfSource(source), detail }) }
  }
  if (kind === 'audio' && source.at === 'inline') {
    const format = source.mediaType.replace(/^audio\//, '').replace(/^mpeg$/, 'mp3')
    return { type: 'input_audio', input_audio: { data: source.data, format } }
  }
  const file =
    source.at === 'stored'
      ? { file_id: source.id, filename: name }
      : { file_data: urlOfSource(source), filename: name }
  return { type: 'file', file: definedOnly(file) }
}

/** The fields of an assistant message, of a request or of an answer. */
function assistantFields(
  parts: readonly Part[],
  refused: Refused = throwRefused,
): Record<string, unknown> {
  const calls = parts.filter((part) => part.type === 'call')
  const thinking = parts.filter((part) => part.type === 'thinking')
  const blocks = parts.flatMap((part) => {
    if (part.type !== 'opaque') return []
    if (part.from === 'messages') return [part.value]
    chatPart(part, refused)
    return []
  })
  const refusals = parts.filter((part) => part.type === 'text' && part.refusal)
  const said = parts.filter(
    (part) => part.type === 'media' || (part.type === 'text' && !part.refusal),
  )
  const thought = thinking.map(({ text }) => text).join('')
  const kept = thinking.filter(
    ({ signature, redacted }) => signature !== undefined || redacted !== undefined,
  )
  return definedOnly({
    content: said.length === 0 ? null : contentOf(said, refused),
    refusal: refusals.length > 0 ? textOf(refusals) : undefined,
    reasoning_content: thought === '' ? undefined : thought,
    thinking_blocks: kept.length > 0 ? kept.map(thinkingBlock) : undefined,
    provider_blocks: blocks.length > 0 ? blocks : undefined,
    tool_calls: calls.length > 0 ? calls.map(toolCall) : undefined,
  })
}

const toolCall = ({ id, name, arguments: text, custom, cache, rest }: CallPart): object => {
  if (custom) return { id, type: 'custom', custom: { name, input: text } }
  return definedOnly({
    id,
    type: 'function',
    function: { name, arguments: text },
    cache_control: cache,
    ...rest,
  })
}

function functionOf(
  { name, description, schema, strict, cache, opaque, rest }: Tool,
  refused: Refused,
): object | [] {
  if (opaque) {
    if (opaque.from === 'chat') return opaque.value
    const fault = `tools: ${name} of type ${String(opaque.value.type)} has no place in a chat body`
    refused(new UntranslatableRequest(fault, 'tools'))
    return []
  }
  const definition = definedOnly({ name, description, parameters: schema, strict, ...rest })
  return definedOnly({ type: 'function', function: definition, cache_control: cache })
}

function chatChoice(choice: ToolChoice): unknown {
  if (choice.mode === 'tool') return { type: 'function', function: { name: choice.name } }
  if (!choice.allowed) return choice.mode
  const tools = choice.allowed.map((name) => ({ type: 'function', function: { name } }))
  return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools } }
}

function formatOf(output: OutputFormat): object {
  if (output.type === 'text') return { type: 'text' }
  if (output.type === 'json') return { type: 'json_object' }
  const { schema, name = 'answer', description, strict } = output
  return { type: 'json_schema', json_schema: definedOnly({ name, description, schema, strict }) }
}

const FINISH: Readonly<Record<StopReason, string>> = {
  end: 'stop',
  length: 'length',
  calls: 'tool_calls',
  refused: 'content_filter',
}

/** A whole answer as a chat completion. @param created seconds since 1970 */
export function chatCompletion(reply: Reply, created: number): Record<string, unknown> {
  const { id, model, parts, stop, stopSequence, usage } = reply
  const said = assistantFields(parts)
  const calls = said.tool_calls !== undefined
  const message = {
    role: 'assistant',
    refusal: null,
    ...said,
    content: said.content ?? (calls ? null : ''),
  }
  const choice = {
    index: 0,
    message,
    logprobs: null,
    finish_reason: FINISH[stop],
    // as vLLM names it
    ...(stopSequence === undefined ? {} : { stop_reason: stopSequence }),
  }
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [choice],
    ...(usage ? { usage: chatUsage(usage) } : {}),
  }
}

/** OpenAI's shape of token counts. */
export function chatUsage(usage: Usage): Record<string, unknown> {
  const { inputTokens, outputTokens, cachedInputTokens = 0, cacheWriteTokens } = usage
  const { reasoningTokens } = usage
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: definedOnly({
      cached_tokens: cachedInputTokens,
      cache_write_tokens: cacheWriteTokens,
    }),
    ...(reasoningTokens === undefined
      ? {}
      : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  }
}

/** Writes a streamed answer as the chunks of a chat completion. */
export class ChatChunks {
  private readonly created: number
  private readonly wantsUsage: boolean
  private id = ''
  private model: string
  private readonly thoughts: ThinkingPart[] = []
  private readonly blocks: Fields[] = []
  private written = { thoughts: 0, blocks: 0 }

  /** @param created seconds since 1970. @param wantsUsage whether the last chunk counts the tokens */
  constructor(model: string, created: number, wantsUsage: boolean) {
    this.model = model
    this.created = created
    this.wantsUsage = wantsUsage
  }

  /** Whole server-sent events for one step; '' for nothing. */
  write(event: ReplyEvent): string {
    switch (event.type) {
      case 'start':
        this.id = event.id
        this.model = event.model
        return this.delta({ role: 'assistant', content: '' })
      case 'text':
        return this.kept() + this.delta({ content: event.text })
      case 'thinking':
        return this.delta({ reasoning_content: event.text })
      case 'thought':
        this.thoughts.push(event.part)
        return ''
      case 'opaque':
        this.blocks.push(event.part.value)
        return ''
      case 'call': {
        const { index, id, name, custom, rest } = event
        const call = custom
          ? { index, id, type: 'custom', custom: { name, input: '' } }
          : { index, id, type: 'function', function: { name, arguments: '' }, ...rest }
        return this.kept() + this.delta({ tool_calls: [call] })
      }
      case 'arguments': {
        const { index, text, rest } = event
        return this.delta({ tool_calls: [{ index, function: { arguments: text }, ...rest }] })
      }
      case 'stop': {
        const { stop, stopSequence } = event
        const more = stopSequence === undefined ? {} : { stop_reason: stopSequence }
        return this.kept() + this.delta({}, FINISH[stop], more)
      }
      case 'usage':
        return this.wantsUsage ? this.chunk([], { usage: chatUsage(event.usage) }) : ''
    }
  }

  /**
   * What the next request must send back, once it is complete, in one delta: clients put a field together by
   * `index` or take the last one whole.
   */
  private kept(): string {
    const { thoughts, blocks, written } = this
    if (thoughts.length === written.thoughts && blocks.length === written.blocks) return ''
    const numbered = (list: readonly Fields[], from: number): Fields[] =>
      list.slice(from).map((block, i) => ({ index: from + i, ...block }))
    const out = this.delta(
      definedOnly({
        thinking_blocks:
          thoughts.length > written.thoughts
            ? numbered(thoughts.map(thinkingBlock), written.thoughts)
            : undefined,
        provider_blocks:
          blocks.length > written.blocks ? numbered(blocks, written.blocks) : undefined,
      }),
    )
    this.written = { thoughts: thoughts.length, blocks: blocks.length }
    return out
  }

  private delta(fields: object, reason: string | null = null, more: object = {}): string {
    const choice = { index: 0, delta: fields, logprobs: null, finish_reason: reason, ...more }
    return this.chunk([choice])
  }

  private chunk(choices: unknown[], more: object = {}): string {
    const { id, model, created } = this
    return `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more })}\n\n`
  }
}
