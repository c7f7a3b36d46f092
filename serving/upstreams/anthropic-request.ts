import { AnthropicDecoder, anthropicUsage, toCompletion } from './anthropic-answer.ts'
import {
  AnsweredError,
  type Dialect,
  MalformedAnswer,
  parsedObject,
  UntranslatableRequest,
} from './dialect.ts'
import type { ChatBody, ChatTurn, ContentPart } from './upstream.ts'

/** The version of the Messages API that is spoken here. */
const API_VERSION = '2023-06-01'

/**
 * Anthropic's Messages API behind OpenAI's chat completions: text, images, tools, streaming.
 *
 * @param now milliseconds since 1970: Anthropic's answers carry no time, OpenAI's do
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

/** Anthropic asks for a limit where OpenAI does not. */
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
 * OpenAI's chat body as one of Anthropic's Messages API. What it has no word for (`seed`, `logit_bias`,
 * penalties, `store`) is left out; what would change the answer's shape is refused.
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

/** System messages in one text; the others with neighbours of one role put together, as the API wants them. */
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
