import { definedOnly } from '../../core/defined.ts'
import { thinkingBlock, thinkingOf } from './chat.ts'
import { type EffortRule, effortRule, thinkingBudget } from './claude-models.ts'
import {
  type Adjusted,
  type CacheMark,
  type CallPart,
  type Conversation,
  type Fields,
  listOf,
  type MediaPart,
  type MediaSource,
  type OutputFormat,
  otherFields,
  type Part,
  type Reasoning,
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
  UntranslatableRequest,
  type Usage,
} from './form.ts'
import { inline } from './media.ts'
import { closedSchema, objectSchema } from './schema.ts'

/** Anthropic's Messages API: bodies into the conversation form and out of it, answers into it. */

/** Anthropic requires a limit, OpenAI does not. Tokens of thinking are added to it. */
export const DEFAULT_MAX_TOKENS = 4096

/** Stands in for a turn that says nothing, where the API requires one that says something. */
const EMPTY_TURN = '(empty message)'

/** The tool through which any JSON object is answered: the API has a JSON mode for a stated schema alone. */
export const JSON_TOOL = 'answer_in_json'

const BODY_FIELDS = new Set([
  'model',
  'messages',
  'system',
  'max_tokens',
  'tools',
  'tool_choice',
  'stop_sequences',
  'temperature',
  'top_p',
  'top_k',
  'thinking',
  'output_config',
  'stream',
  'metadata',
])

/** @throws UntranslatableRequest naming the field that is not understood */
export function fromMessages(body: Fields): Conversation {
  const { effort, format, ...outputRest } = object(body.output_config) ?? {}
  const { user_id: user, ...metadata } = object(body.metadata) ?? {}
  const choice = object(body.tool_choice)
  const thinking = object(body.thinking)
  const system = blockParts(body.system)
  const turns = (body.messages as readonly Fields[]).map((message, i) =>
    turnOf(message, `messages.${i}`),
  )
  const given = object(format)
  return {
    from: 'messages',
    model: String(body.model),
    turns: system.length > 0 ? [{ role: 'system', parts: system }, ...turns] : turns,
    tools: Array.isArray(body.tools) ? listOf(body.tools, 'tools').map(toolOf) : undefined,
    toolChoice: choice && choiceOf(choice),
    parallelCalls: choice?.disable_parallel_tool_use === true ? false : undefined,
    output: given?.type === 'json_schema' ? { type: 'schema', schema: given.schema } : undefined,
    reasoning: effort || thinking ? { effort: text(effort), thinking } : undefined,
    maxTokens: number(body.max_tokens),
    temperature: number(body.temperature),
    topP: number(body.top_p),
    topK: number(body.top_k),
    stop: Array.isArray(body.stop_sequences) ? (body.stop_sequences as string[]) : undefined,
    stream: typeof body.stream === 'boolean' ? body.stream : undefined,
    user: text(user),
    rest: {
      ...otherFields(body, BODY_FIELDS),
      ...(Object.keys(outputRest).length > 0 ? { output_config: outputRest } : {}),
      ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    },
  }
}

const number = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

const ROLES = ['user', 'assistant', 'system'] as const

function turnOf(message: Fields, where: string): Turn {
  const role = roleOf(message.role, ROLES, where)
  return { role, parts: blockParts(message.content) }
}

function blockParts(content: unknown): Part[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  return Array.isArray(content) ? listOf(content, 'messages').map(partOf) : []
}

const TEXT_FIELDS = new Set(['type', 'text', 'cache_control'])
const MEDIA_FIELDS = new Set(['type', 'source', 'title', 'cache_control'])
const CALL_FIELDS = new Set(['type', 'id', 'name', 'input', 'cache_control'])
const RESULT_FIELDS = new Set(['type', 'tool_use_id', 'content', 'is_error', 'cache_control'])

function partOf(block: Fields): Part {
  const cache = object(block.cache_control)
  switch (block.type) {
    case 'text':
      return {
        type: 'text',
        text: String(block.text ?? ''),
        cache,
        rest: otherFields(block, TEXT_FIELDS),
      }
    case 'image':
    case 'document': {
      const source = sourceOf(object(block.source) ?? {})
      if (!source) break
      return {
        type: 'media',
        kind: block.type === 'image' ? 'image' : 'file',
        source,
        name: text(block.title),
        cache,
        rest: otherFields(block, MEDIA_FIELDS),
      }
    }
    case 'thinking':
    case 'redacted_thinking':
      return thinkingOf(block)!
    case 'tool_use':
      return {
        type: 'call',
        id: String(block.id),
        name: String(block.name),
        arguments: JSON.stringify(block.input ?? {}),
        cache,
        rest: otherFields(block, CALL_FIELDS),
      }
    case 'tool_result':
      return {
        type: 'result',
        callId: String(block.tool_use_id),
        parts: blockParts(block.content),
        failed: block.is_error === true ? true : undefined,
        cache,
        rest: otherFields(block, RESULT_FIELDS),
      }
  }
  return { type: 'opaque', from: 'messages', value: block }
}

function sourceOf(source: Fields): MediaSource | undefined {
  switch (source.type) {
    case 'base64':
      return inline(String(source.media_type), String(source.data))
    case 'url':
      return { at: 'url', url: String(source.url) }
    case 'file':
      return { at: 'stored', id: String(source.file_id) }
    case 'text':
      return inline('text/plain', Buffer.from(String(source.data)).toString('base64'))
    default:
      return undefined
  }
}

const TOOL_FIELDS = new Set([
  'type',
  'name',
  'description',
  'input_schema',
  'strict',
  'cache_control',
])

function toolOf(tool: Fields): Tool {
  if (tool.type !== undefined && tool.type !== 'custom') {
    return { name: String(tool.name), opaque: { from: 'messages', value: tool } }
  }
  return {
    name: String(tool.name),
    description: text(tool.description),
    schema: tool.input_schema,
    strict: typeof tool.strict === 'boolean' ? tool.strict : undefined,
    cache: object(tool.cache_control),
    rest: otherFields(tool, TOOL_FIELDS),
  }
}

function choiceOf(choice: Fields): ToolChoice {
  switch (choice.type) {
    case 'any':
      return { mode: 'required' }
    case 'none':
      return { mode: 'none' }
    case 'tool':
      return { mode: 'tool', name: String(choice.name) }
    default:
      return { mode: 'auto' }
  }
}

/**
 * What is done with fields of a chat body that have no place in the form. Without an entry a field is passed
 * on as it is, and the API refuses by name what it does not know.
 */
const CHAT_REST: Readonly<Record<string, 'hint' | 'refused' | 'neutral'>> = {
  // wishes that the answer may fail to follow, or that concern OpenAI's own storage and queues
  seed: 'hint',
  store: 'hint',
  metadata: 'hint',
  prediction: 'hint',
  verbosity: 'hint',
  service_tier: 'hint',
  prompt_cache_key: 'hint',
  prompt_cache_retention: 'hint',
  prompt_cache_options: 'hint',
  moderation: 'hint',
  top_logprobs: 'hint',
  // they change what the answer is
  n: 'refused',
  logprobs: 'refused',
  logit_bias: 'refused',
  frequency_penalty: 'refused',
  presence_penalty: 'refused',
  modalities: 'refused',
  audio: 'refused',
  functions: 'refused',
  function_call: 'refused',
  web_search_options: 'refused',
  // they say how the stream is written, which the chat side does
  stream_options: 'neutral',
  safety_identifier: 'neutral',
}

/** Values that ask for what happens anyway. */
function isDefault(field: string, value: unknown): boolean {
  switch (field) {
    case 'n':
      return value === 1
    case 'modalities':
      return Array.isArray(value) && value.every((each) => each === 'text')
    case 'service_tier':
      return value === 'auto' || value === 'default'
    case 'function_call':
      return value === 'auto' || value === 'none'
    case 'functions':
      return Array.isArray(value) && value.length === 0
    case 'top_logprobs':
      return true
    default:
      return (
        value === false ||
        value === 0 ||
        value === '' ||
        (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
      )
  }
}

/**
 * The Messages body of a conversation.
 *
 * @param adjusted gets each thing that was left out or changed
 * @throws UntranslatableRequest for what would change the answer and cannot be said
 */
export function toMessages(
  conversation: Conversation,
  adjusted: Adjusted,
): Record<string, unknown> {
  const { from, rest, model, output } = conversation
  const { system, turns } = turnsOf(conversation, adjusted)
  const body: Record<string, unknown> = { model, max_tokens: 0, messages: turns }
  if (system !== undefined) body.system = system
  if (from === 'messages') Object.assign(body, rest)
  else Object.assign(body, chatRest(rest, adjusted))
  const stops = conversation.stop?.filter((stop) => stop.trim() !== '') ?? []
  if (stops.length < (conversation.stop?.length ?? 0)) adjusted('blank stop left out')
  if (stops.length > 0) body.stop_sequences = stops
  if (conversation.stream !== undefined) body.stream = conversation.stream
  const user = conversation.user ?? text(rest.safety_identifier)
  if (user !== undefined) body.metadata = { ...object(body.metadata), user_id: user }
  addTools(body, conversation, adjusted)
  if (output?.type === 'schema') {
    const schema = from === 'messages' ? output.schema : closedSchema(output.schema)
    body.output_config = { ...object(body.output_config), format: { type: 'json_schema', schema } }
  }
  addReasoning(body, conversation, adjusted)
  addSampling(body, conversation, adjusted)
  return body
}

function chatRest(rest: Fields, adjusted: Adjusted): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(rest)) {
    const rule = CHAT_REST[field]
    if (rule === undefined) kept[field] = value
    else if (rule === 'neutral' || isDefault(field, value)) continue
    else if (rule === 'hint') adjusted(`${field} left out`)
    else throw new UntranslatableRequest(`Anthropic's API has no ${field}`, field)
  }
  return kept
}

interface Block {
  readonly type: string
  readonly [field: string]: unknown
}

interface MessagesTurn {
  role: 'user' | 'assistant'
  content: Block[]
}

/** System texts apart, neighbouring turns of one role merged, and no turn that says nothing. */
function turnsOf(
  { turns, from }: Conversation,
  adjusted: Adjusted,
): { system: string | Block[] | undefined; turns: MessagesTurn[] } {
  const asked = turns.some(({ role }) => role !== 'system' && role !== 'developer')
  const system: Part[] = []
  const out: MessagesTurn[] = []
  for (const turn of turns) {
    const { role, parts } = turn
    if (turn.rest?.function_call || turn.rest?.audio) {
      const field = turn.rest.audio ? 'audio' : 'function_call'
      throw new UntranslatableRequest(`Anthropic's API has no ${field} in messages`, 'messages')
    }
    if (asked && (role === 'system' || role === 'developer')) {
      system.push(...parts)
      continue
    }
    // a conversation of instructions alone: they are what is asked
    const side = role === 'assistant' ? 'assistant' : 'user'
    const content = blocksOf(parts, from, adjusted)
    const last = out.at(-1)
    if (last?.role === side) last.content.push(...content)
    else out.push({ role: side, content })
  }
  return { system: systemOf(system), turns: sayingSomething(out) }
}

function systemOf(parts: readonly Part[]): string | Block[] | undefined {
  const said = parts.filter((part) => part.type !== 'text' || part.text.trim() !== '')
  if (said.length === 0) return undefined
  for (const part of said) {
    if (part.type === 'text') continue
    throw new UntranslatableRequest(
      `Anthropic's API has no ${part.type === 'media' ? part.kind : part.type} in system messages`,
      'messages',
    )
  }
  const plain = said.every((part) => part.type === 'text' && !part.cache && !part.rest)
  return plain ? textOf(said, '\n\n') : said.map((part) => textBlock(part as never))
}

/**
 * Turns without content are left out if the one before and the one after can then be one turn, else they get
 * words. The first turn is the user's, results of tools come first, and the last of the assistant's words do
 * not end in a blank: the API requires all of this.
 */
function sayingSomething(turns: readonly MessagesTurn[]): MessagesTurn[] {
  const out: MessagesTurn[] = []
  for (const [i, turn] of turns.entries()) {
    const { role, content } = turn
    if (content.length === 0) {
      const last = i === turns.length - 1
      if (role === 'assistant') continue
      if (!last && out.at(-1)?.role === 'user') continue
      content.push({ type: 'text', text: EMPTY_TURN })
    }
    const before = out.at(-1)
    if (before?.role === role) before.content.push(...content)
    else out.push({ role, content: [...content] })
  }
  if (out[0]?.role !== 'user') {
    out.unshift({ role: 'user', content: [{ type: 'text', text: EMPTY_TURN }] })
  }
  for (const turn of out) {
    const results = turn.content.filter(({ type }) => type === 'tool_result')
    if (results.length > 0) {
      const others = turn.content.filter(({ type }) => type !== 'tool_result')
      turn.content = [...results, ...others]
    }
  }
  const last = out.at(-1)!
  const end = last.content.at(-1)
  if (last.role === 'assistant' && end?.type === 'text') {
    last.content[last.content.length - 1] = { ...end, text: String(end.text).trimEnd() }
  }
  return out
}

function blocksOf(parts: readonly Part[], from: string, adjusted: Adjusted): Block[] {
  return parts.flatMap((part) => blockOf(part, from, adjusted) ?? [])
}

/** Undefined if the part says nothing that this API takes. */
function blockOf(part: Part, from: string, adjusted: Adjusted): Block | undefined {
  switch (part.type) {
    case 'text':
      return part.text.trim() === '' ? undefined : textBlock(part)
    case 'media':
      return mediaBlock(part)
    case 'thinking':
      if (part.signature !== undefined || part.redacted !== undefined) {
        return thinkingBlock(part) as Block
      }
      adjusted('reasoning without a signature left out')
      return undefined
    case 'call':
      return callBlock(part)
    case 'result':
      return resultBlock(part, from, adjusted)
    case 'opaque': {
      if (part.from === 'messages') {
        const { index: _, ...block } = part.value
        return block as unknown as Block
      }
      const what = String(part.value.type)
      throw new UntranslatableRequest(`Anthropic's API has no content of type ${what}`)
    }
  }
}

const marked = (cache: CacheMark | undefined): object =>
  cache === undefined ? {} : { cache_control: cache }

const textBlock = (part: Part & { readonly type: 'text' }): Block => ({
  type: 'text',
  text: part.text,
  ...marked(part.cache),
  ...(part.rest?.citations ? { citations: part.rest.citations } : {}),
})

const IMAGE_TYPES = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp'])

function mediaBlock({ kind, source, name, cache, rest }: MediaPart): Block {
  const more = { ...rest, ...marked(cache) }
  if (source.at === 'stored') {
    return {
      type: kind === 'image' ? 'image' : 'document',
      source: { type: 'file', file_id: source.id },
      ...(name === undefined || kind === 'image' ? {} : { title: name }),
      ...more,
    }
  }
  const mediaType = source.at === 'inline' ? source.mediaType : undefined
  const image = kind === 'image' || mediaType?.startsWith('image/')
  if (image) {
    if (mediaType !== undefined && !IMAGE_TYPES.has(mediaType)) {
      throw new UntranslatableRequest(
        `Anthropic's API reads images of type ${[...IMAGE_TYPES].join(', ')}, not ${mediaType}`,
        'messages',
      )
    }
    return { type: 'image', source: mediaSource(source), ...more }
  }
  const title = name === undefined ? {} : { title: name }
  if (source.at === 'url' || mediaType === 'application/pdf') {
    return { type: 'document', source: mediaSource(source), ...title, ...more }
  }
  if (kind === 'file' && mediaType && /^text\/|json$|xml$|yaml$|javascript$/.test(mediaType)) {
    const data = Buffer.from(source.data, 'base64').toString('utf8')
    return {
      type: 'document',
      source: { type: 'text', media_type: 'text/plain', data },
      ...title,
      ...more,
    }
  }
  throw new UntranslatableRequest(
    `Anthropic's API reads no ${kind === 'audio' ? 'audio' : `files of type ${mediaType}`}`,
    'messages',
  )
}

const mediaSource = (source: Exclude<MediaSource, { at: 'stored' }>): Fields =>
  source.at === 'url'
    ? { type: 'url', url: source.url }
    : { type: 'base64', media_type: source.mediaType, data: source.data }

const callBlock = ({ id, name, arguments: given, custom, cache }: CallPart): Block => ({
  type: 'tool_use',
  id: callId(id),
  name,
  input: custom ? { input: given } : inputOf(given, name),
  ...marked(cache),
})

/** Ids of other providers have characters that this API refuses. */
const callId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, '_')

function inputOf(given: string, name: string): unknown {
  if (given.trim() === '') return {}
  let input: unknown
  try {
    input = JSON.parse(given)
  } catch {
    throw new UntranslatableRequest(
      `a call of ${name} in the conversation has arguments that are no JSON`,
      'messages',
    )
  }
  if (input === null) return {}
  if (object(input)) return input
  throw new UntranslatableRequest(
    `a call of ${name} in the conversation has arguments that are no JSON object`,
    'messages',
  )
}

function resultBlock(part: ResultPart, from: string, adjusted: Adjusted): Block {
  const { callId: id, parts, failed, cache, rest } = part
  const content = blocksOf(parts, from, adjusted)
  const only = parts.length === 1 ? parts[0] : undefined
  const plain = only?.type === 'text' && !only.cache && content.length === 1
  return {
    type: 'tool_result',
    tool_use_id: callId(id),
    ...(content.length === 0 ? {} : { content: plain ? only.text : content }),
    ...(failed ? { is_error: true } : {}),
    ...marked(cache),
    ...rest,
  }
}

function addTools(
  body: Record<string, unknown>,
  { tools = [], toolChoice: choice, parallelCalls, output, reasoning, from }: Conversation,
  adjusted: Adjusted,
): void {
  if (output?.type === 'json') {
    const thinks = reasoning?.thinking?.type === 'enabled'
    if (tools.length > 0 || thinks) {
      const beside = tools.length > 0 ? 'tools' : 'thinking'
      const fault = `Anthropic's API has no response_format json_object beside ${beside}`
      throw new UntranslatableRequest(fault, 'response_format')
    }
    const description = 'Gives the answer to the user, as one JSON object.'
    const schema = { type: 'object', properties: {}, additionalProperties: true }
    body.tools = [{ name: JSON_TOOL, description, input_schema: schema }]
    body.tool_choice = { type: 'tool', name: JSON_TOOL, disable_parallel_tool_use: true }
    return
  }
  if (tools.length === 0) return
  const allowed = choice && 'allowed' in choice ? choice.allowed : undefined
  const open = allowed ? tools.filter(({ name }) => allowed.includes(name)) : tools
  if (open.length < tools.length) adjusted('tools outside tool_choice.allowed_tools left out')
  body.tools = open.map((tool) => toolBlock(tool, from))
  const one = parallelCalls === false ? { disable_parallel_tool_use: true } : {}
  switch (choice?.mode) {
    case 'none':
      body.tool_choice = { type: 'none' }
      return
    case 'required':
      body.tool_choice = { type: 'any', ...one }
      return
    case 'tool':
      body.tool_choice = { type: 'tool', name: choice.name, ...one }
      return
    default:
      if (parallelCalls === false || (choice && from === 'messages')) {
        body.tool_choice = { type: 'auto', ...one }
      }
  }
}

function toolBlock({ name, description, schema, strict, cache, opaque, rest }: Tool, from: string) {
  if (opaque) {
    if (opaque.from === 'messages') return opaque.value
    throw new UntranslatableRequest(
      `tools: only tools of type function can be translated, got ${String(opaque.value.type)}`,
      'tools',
    )
  }
  return {
    name,
    ...(description ? { description } : {}),
    input_schema: from === 'messages' ? schema : objectSchema(schema),
    ...(strict ? { strict } : {}),
    ...marked(cache),
    ...rest,
  }
}

/** Whether the tool calls that are answered now were made without thinking that can be sent back. */
function callsUnthought(turns: readonly MessagesTurn[]): boolean {
  const last = turns.findLast(({ role }) => role === 'assistant')
  if (!last?.content.some(({ type }) => type === 'tool_use')) return false
  return !/thinking$/.test(last.content[0]!.type)
}

function addReasoning(
  body: Record<string, unknown>,
  conversation: Conversation,
  adjusted: Adjusted,
): void {
  const { maxTokens, reasoning, from, model } = conversation
  const limit = maxTokens ?? DEFAULT_MAX_TOKENS
  body.max_tokens = limit
  const thinking = thinkingFor(body, reasoning, effortRule(model), maxTokens, from, adjusted)
  if (!thinking) return
  if (thinking.type === 'enabled' && callsUnthought(body.messages as MessagesTurn[])) {
    adjusted('thinking left out: the last tool calls came without theirs')
    return
  }
  body.thinking = thinking
  const budget = number(thinking.budget_tokens)
  if (maxTokens === undefined && budget !== undefined) body.max_tokens = limit + budget
}

function thinkingFor(
  body: Record<string, unknown>,
  reasoning: Reasoning | undefined,
  rule: EffortRule,
  maxTokens: number | undefined,
  from: string,
  adjusted: Adjusted,
): Fields | undefined {
  const { effort, thinking } = reasoning ?? {}
  if (effort !== undefined && (from === 'messages' || thinking)) {
    if (effort !== 'none') body.output_config = { ...object(body.output_config), effort }
    return thinking
  }
  if (thinking || effort === undefined || effort === 'none') return thinking
  if (rule === 'none') {
    const fault = `${String(body.model)} has no reasoning_effort`
    throw new UntranslatableRequest(fault, 'reasoning_effort')
  }
  if (rule === 'adaptive') {
    const level = effort === 'minimal' ? 'low' : effort
    body.output_config = { ...object(body.output_config), effort: level }
    return { type: 'adaptive' }
  }
  const choice = object(body.tool_choice)?.type
  if (choice === 'any' || choice === 'tool') {
    adjusted('reasoning_effort left out: a tool call is required')
    return undefined
  }
  const budget = thinkingBudget(effort, maxTokens)
  if (budget === undefined) {
    adjusted('reasoning_effort left out: max_tokens has no room for it')
    return undefined
  }
  return { type: 'enabled', budget_tokens: budget }
}

function addSampling(
  body: Record<string, unknown>,
  { temperature, topP, topK, from }: Conversation,
  adjusted: Adjusted,
): void {
  const set = (field: string, value: number | undefined): void => {
    if (value !== undefined) body[field] = value
  }
  if (from === 'messages') {
    set('temperature', temperature)
    set('top_p', topP)
    set('top_k', topK)
    return
  }
  const type = object(body.thinking)?.type
  const thinks = type === 'enabled' || type === 'adaptive'
  if (thinks) {
    // the API allows none of them beside thinking, but for values near the default
    if (temperature !== undefined && temperature !== 1) adjusted('temperature left out')
    if (topK !== undefined) adjusted('top_k left out')
    if (topP !== undefined && topP >= 0.95 && topP <= 1) body.top_p = topP
    else if (topP !== undefined) adjusted('top_p left out')
    return
  }
  if (temperature !== undefined && temperature > 1) adjusted('temperature lowered to 1')
  set('temperature', temperature === undefined ? undefined : Math.min(1, temperature))
  set('top_p', topP)
  set('top_k', topK)
}

/** Whether the answer's call of `JSON_TOOL` is its text. */
export const answersByTool = (output: OutputFormat | undefined): boolean => output?.type === 'json'

const STOPS: Readonly<Record<string, StopReason>> = {
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'calls',
  refusal: 'refused',
}

const stopOf = (reason: unknown): StopReason => STOPS[String(reason)] ?? 'end'

/** A whole answer. @param jsonTool the call of `JSON_TOOL` is the answer's text */
export function replyOfMessage(message: Fields, jsonTool: boolean): Reply {
  const content = message.content as readonly Fields[]
  const parts = content.map((block): Part => {
    const part = partOf(block)
    return jsonTool && part.type === 'call' && part.name === JSON_TOOL
      ? { type: 'text', text: part.arguments }
      : part
  })
  const stop = stopOf(message.stop_reason)
  return {
    id: String(message.id ?? ''),
    model: String(message.model ?? ''),
    parts: mergedText(parts),
    stop: stop === 'calls' && !parts.some(({ type }) => type === 'call') ? 'end' : stop,
    stopSequence: text(message.stop_sequence),
    usage: messagesUsage(message.usage),
  }
}

/** Texts without citations or marks become one: chat clients expect a string. */
function mergedText(parts: readonly Part[]): Part[] {
  const plain = parts.filter((part) => part.type === 'text' && !part.rest)
  if (plain.length < 2 || parts.some((part) => part.type === 'text' && part.rest)) return [...parts]
  const first = parts.indexOf(plain[0]!)
  const merged: Part = { type: 'text', text: textOf(plain) }
  return parts.flatMap((part, i): Part[] => {
    if (i === first) return [merged]
    return part.type === 'text' ? [] : [part]
  })
}

/** Tokens read from and written to the cache are billed as input, at other prices. */
export function messagesUsage(value: unknown): Usage | undefined {
  const counts = object(value)
  if (!counts) return undefined
  const read = count(counts.cache_read_input_tokens)
  const written = count(counts.cache_creation_input_tokens)
  return {
    inputTokens: count(counts.input_tokens) + read + written,
    outputTokens: count(counts.output_tokens),
    ...(read > 0 ? { cachedInputTokens: read } : {}),
    ...(written > 0 ? { cacheWriteTokens: written } : {}),
  }
}

const count = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0

/** One block of a stream that is still coming. */
interface OpenBlock {
  readonly type: string
  readonly block: Fields
  /** of a call: its place among the calls */
  readonly index: number
  text: string
  signature: string | undefined
}

/** Reads the events of a streamed message. */
export class MessageEvents {
  /** as counted so far: the last count of each field, as they only grow */
  usage: Usage | undefined
  private counts: Record<string, number> = {}
  private ended = false
  private calls = 0
  private readonly open = new Map<number, OpenBlock>()
  private readonly jsonTool: boolean

  constructor(jsonTool: boolean) {
    this.jsonTool = jsonTool
  }

  /** Counts the tokens of an event, and reads nothing else of it. */
  count(event: Fields): void {
    if (event.type === 'message_start') this.counted(object(event.message)?.usage)
    if (event.type !== 'message_delta') return
    this.ended = true
    this.counted(event.usage)
  }

  /** @param event of any type but `error`. Unknown types say nothing */
  read(event: Fields): ReplyEvent[] {
    const index = number(event.index) ?? 0
    switch (event.type) {
      case 'message_start': {
        const message = object(event.message) ?? {}
        this.count(event)
        return [{ type: 'start', id: String(message.id ?? ''), model: String(message.model ?? '') }]
      }
      case 'content_block_start':
        return this.started(index, object(event.content_block) ?? { type: 'text' })
      case 'content_block_delta':
        return this.grown(index, object(event.delta) ?? {})
      case 'content_block_stop':
        return this.stopped(index)
      case 'message_delta': {
        this.count(event)
        const { stop_reason: reason, stop_sequence: sequence } = object(event.delta) ?? {}
        const stop = stopOf(reason)
        const left = [...this.open.keys()].flatMap((each) => this.stopped(each))
        return [
          ...left,
          {
            type: 'stop',
            stop: stop === 'calls' && this.calls === 0 ? 'end' : stop,
            stopSequence: text(sequence),
          },
        ]
      }
      case 'message_stop':
        return this.usage ? [{ type: 'usage', usage: this.usage }] : []
      default:
        return []
    }
  }

  private counted(usage: unknown): void {
    const given = object(usage)
    if (!given) return
    for (const [field, value] of Object.entries(given)) {
      // a zero after a count says that the event does not count it
      if (typeof value === 'number' && (value > 0 || !(field in this.counts))) {
        this.counts[field] = value
      }
    }
    const counted = messagesUsage(this.counts)
    // the answer's tokens in the first event only cover its start
    this.usage = counted && (this.ended ? counted : { ...counted, partial: true })
  }

  private started(at: number, block: Fields): ReplyEvent[] {
    const type = String(block.type)
    if (type === 'tool_use' && this.jsonTool && block.name === JSON_TOOL) {
      this.open.set(at, { type: 'json', block, index: 0, text: '', signature: undefined })
      return []
    }
    const index = type === 'tool_use' ? this.calls++ : 0
    this.open.set(at, { type, block, index, text: '', signature: undefined })
    switch (type) {
      case 'tool_use':
        return [{ type: 'call', index, id: String(block.id), name: String(block.name) }]
      case 'text':
        return block.text ? [{ type: 'text', text: String(block.text) }] : []
      case 'thinking': {
        const given = text(block.thinking) ?? ''
        const open = this.open.get(at)!
        open.signature = text(block.signature) || undefined
        return given === '' ? [] : this.thinking(open, given)
      }
      default:
        return []
    }
  }

  private thinking(open: OpenBlock, said: string): ReplyEvent[] {
    open.text += said
    return [{ type: 'thinking', text: said }]
  }

  private grown(at: number, delta: Fields): ReplyEvent[] {
    const open = this.open.get(at)
    switch (delta.type) {
      case 'text_delta': {
        const said = text(delta.text) ?? ''
        return [{ type: 'text', text: said }]
      }
      case 'thinking_delta':
        return open ? this.thinking(open, text(delta.thinking) ?? '') : []
      case 'signature_delta':
        if (open) open.signature = (open.signature ?? '') + (text(delta.signature) ?? '')
        return []
      case 'input_json_delta': {
        const said = text(delta.partial_json) ?? ''
        if (!open || said === '') return []
        open.text += said
        if (open.type === 'json') return [{ type: 'text', text: said }]
        return open.type === 'tool_use'
          ? [{ type: 'arguments', index: open.index, text: said }]
          : []
      }
      default:
        return []
    }
  }

  private stopped(at: number): ReplyEvent[] {
    const open = this.open.get(at)
    this.open.delete(at)
    if (!open) return []
    const { type, block, index, text: said, signature } = open
    switch (type) {
      case 'tool_use':
        // a call without arguments has no deltas, and some servers send all of them at the start
        return said === ''
          ? [{ type: 'arguments', index, text: JSON.stringify(block.input ?? {}) }]
          : []
      case 'json':
        return said === '' ? [{ type: 'text', text: JSON.stringify(block.input ?? {}) }] : []
      case 'thinking':
        return [{ type: 'thought', part: definedOnly({ type, text: said, signature }) }]
      case 'redacted_thinking': {
        const part: ThinkingPart = { type: 'thinking', text: '', redacted: String(block.data) }
        return [{ type: 'thought', part }]
      }
      case 'text':
        return []
      default: {
        const value = said === '' ? block : { ...block, input: jsonOr(said) }
        return [{ type: 'opaque', part: { type: 'opaque', from: 'messages', value } }]
      }
    }
  }
}

function jsonOr(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}
