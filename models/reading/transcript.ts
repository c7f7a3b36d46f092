import type { PromptInput } from './messages.ts'
import { contentText } from './messages.ts'

/** One turn of a conversation, its content as text; never empty. */
export interface Turn {
  readonly role: string
  readonly text: string
}

/** A tool's definition, as OpenAI (`{type, function}`), Anthropic or a log writes it. */
export type ToolDefinition = Readonly<Record<string, unknown>>

/** What the application declares of a request, by name: which feature, tenant, template or tier it is from. */
export type DeclaredContext = Readonly<Record<string, string | number | boolean>>

/** What a request or a row of a log holds: all turns in order, the tools that were offered, and declared context. */
export interface Conversation {
  readonly turns: readonly Turn[]
  readonly tools: readonly ToolDefinition[]
  readonly context?: DeclaredContext | undefined
}

/** Starts a turn (record separator), and ends its role (unit separator). */
const TURN = '\u001e'
const ROLE_END = '\u001f'
/** Stands before `R`, `U` or `Z` for the three characters themselves, where a text holds them. */
const ESCAPE = '\u001a'
/** The role under which declared context stands: no role of a turn can be written like this. */
const CONTEXT = `${ESCAPE}C`
const CONTEXT_START = TURN + CONTEXT + ROLE_END
const isSpecial = (text: string): boolean =>
  text.includes(TURN) || text.includes(ROLE_END) || text.includes(ESCAPE)

/**
 * A request or a logged prompt as one text that keeps everything of it: what is hashed, stored in datasets,
 * logged and scored. One user turn without tools is its plain text, so that a plain prompt and the same
 * prompt sent as chat are the same. Anything else is its turns, each preceded by a record separator, its role
 * and a unit separator; tool definitions are JSON under an empty role. Turns without text are left out.
 *
 * @param context the declared context that a router reads; with it the transcript is another prompt
 */
export function transcript(
  input: PromptInput,
  system?: string,
  tools: readonly ToolDefinition[] = [],
  context?: DeclaredContext,
): string {
  return withContext(conversationText(input, system, tools), context)
}

function conversationText(
  input: PromptInput,
  system: string | undefined,
  tools: readonly ToolDefinition[],
): string {
  if (typeof input === 'string' && !system && tools.length === 0) return plainTranscript(input)
  const turns = turnsOf(input, system)
  const [only] = turns
  if (turns.length === 1 && only!.role === 'user' && tools.length === 0) {
    return plainTranscript(only!.text)
  }
  let text = tools.length > 0 ? TURN + ROLE_END + escaped(JSON.stringify(tools)) : ''
  for (const turn of turns) text += TURN + escaped(turn.role) + ROLE_END + escaped(turn.text)
  return text
}

/** A transcript without context with one before it; unchanged if the context holds nothing. */
export function withContext(prompt: string, context: DeclaredContext | undefined): string {
  if (context === undefined) return prompt
  const names = Object.keys(context)
  if (names.length === 0) return prompt
  const sorted = names.every((name, i) => i === 0 || names[i - 1]! < name)
    ? context
    : Object.fromEntries(names.sort().map((name) => [name, context[name]]))
  const turns = isConversation(prompt) ? prompt : `${TURN}user${ROLE_END}${escaped(prompt)}`
  return CONTEXT_START + escaped(JSON.stringify(sorted)) + turns
}

/**
 * A stored prompt without its declared context: what identifies a prompt that a router has seen, whatever was
 * declared of it.
 */
export function withoutContext(prompt: string): string {
  if (!prompt.startsWith(CONTEXT_START)) return prompt
  const rest = prompt.slice(prompt.indexOf(TURN, 1))
  const mark = `${TURN}user${ROLE_END}`
  // one user turn is its plain text
  return rest.startsWith(mark) && rest.indexOf(TURN, 1) < 0
    ? plainTranscript(unescaped(rest.slice(mark.length)))
    : rest
}

/** The turns of a prompt that have text, the separate system prompt first. */
export function turnsOf(input: PromptInput, system?: string): Turn[] {
  const turns: Turn[] = system ? [{ role: 'system', text: system }] : []
  if (typeof input === 'string') {
    turns.push({ role: 'user', text: input })
    return turns
  }
  for (const { role, content } of input) {
    const text = contentText(content)
    if (text !== '') turns.push({ role, text })
  }
  return turns
}

/** A plain text that starts like a transcript is written as one, so that it cannot pass for one. */
const plainTranscript = (text: string): string =>
  isConversation(text) ? `${TURN}user${ROLE_END}${escaped(text)}` : text

/** Whether a stored prompt is more than one plain user turn: several turns, tools or declared context. */
export const isConversation = (prompt: string): boolean => prompt.charCodeAt(0) === 0x1e

/** The transcript that was read last: a decision reads its own several times. */
let last: { readonly prompt: string; readonly conversation: Conversation } | undefined

/** The conversation that a stored prompt stands for: the reverse of `transcript`. */
export function readTranscript(prompt: string): Conversation {
  if (!isConversation(prompt)) return { turns: [{ role: 'user', text: prompt }], tools: [] }
  if (last?.prompt !== prompt) last = { prompt, conversation: parsed(prompt) }
  return last.conversation
}

function parsed(prompt: string): Conversation {
  const turns: Turn[] = []
  let tools: readonly ToolDefinition[] = []
  let context: DeclaredContext | undefined
  for (const part of prompt.slice(1).split(TURN)) {
    const at = part.indexOf(ROLE_END)
    if (at === CONTEXT.length && part.startsWith(CONTEXT)) {
      context = declared(unescaped(part.slice(at + 1)))
      continue
    }
    const role = at < 0 ? 'user' : unescaped(part.slice(0, at))
    const text = unescaped(part.slice(at + 1))
    if (role === '') tools = definitions(text)
    else turns.push({ role, text })
  }
  return { turns, tools, context }
}

/** A stored prompt as fields of a log's row; `transcript` makes the same of them again. */
export function promptFields(prompt: string): {
  readonly prompt: PromptInput
  readonly tools?: readonly ToolDefinition[]
  readonly context?: DeclaredContext
} {
  if (!isConversation(prompt)) return { prompt }
  const { turns, tools, context } = readTranscript(prompt)
  return {
    prompt: turns.map(({ role, text }) => ({ role, content: text })),
    ...(tools.length > 0 && { tools }),
    ...(context && { context }),
  }
}

/**
 * What was asked: the last user turn of a stored prompt; of a conversation without one, its last turn. Splits
 * and searches for copies look at this alone, so that copies of a question do not hide behind a system prompt
 * or earlier turns.
 */
export function askedText(prompt: string): string {
  if (!isConversation(prompt)) return prompt
  const mark = `${TURN}user${ROLE_END}`
  const user = prompt.lastIndexOf(mark)
  const from = user >= 0 ? user + mark.length : prompt.lastIndexOf(ROLE_END) + 1
  const end = prompt.indexOf(TURN, from)
  return unescaped(prompt.slice(from, end < 0 ? undefined : end))
}

/** The names in tool definitions; definitions without a name are skipped. */
export function toolNames(tools: readonly ToolDefinition[]): string[] {
  return tools.flatMap((tool) => {
    const { name } = (tool.function ?? tool) as { name?: unknown }
    return typeof name === 'string' ? [name] : []
  })
}

const escaped = (text: string): string =>
  isSpecial(text)
    ? text
        .replaceAll(ESCAPE, `${ESCAPE}Z`)
        .replaceAll(TURN, `${ESCAPE}R`)
        .replaceAll(ROLE_END, `${ESCAPE}U`)
    : text

const unescaped = (text: string): string =>
  text.includes(ESCAPE)
    ? text
        .replaceAll(`${ESCAPE}U`, ROLE_END)
        .replaceAll(`${ESCAPE}R`, TURN)
        .replaceAll(`${ESCAPE}Z`, ESCAPE)
    : text

/** Tool definitions of a transcript; none if the text was changed since it was written. */
function definitions(text: string): readonly ToolDefinition[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value)
      ? value.filter((tool) => tool !== null && typeof tool === 'object')
      : []
  } catch {
    return []
  }
}

/** The context of a transcript; none if the text was changed since it was written. */
function declared(text: string): DeclaredContext | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
    if (Object.values(value).every(isDeclarable)) return value as DeclaredContext
    return pickContext(value as Record<string, unknown>, Object.keys(value))
  } catch {
    return undefined
  }
}

/** Longest declared value, in UTF-16 units; a longer one is a text, not a name or a number. */
export const CONTEXT_VALUE_LIMIT = 200

/** Whether a value can be declared: short text that is not empty, a finite number, true or false. */
export const isDeclarable = (value: unknown): value is string | number | boolean =>
  typeof value === 'string'
    ? value !== '' && value.length <= CONTEXT_VALUE_LIMIT
    : typeof value === 'boolean' || Number.isFinite(value)

/** Those of the named values that can be declared; undefined if there are none. Others count as not given. */
export function pickContext(
  values: Readonly<Record<string, unknown>> | undefined,
  keys: readonly string[],
): DeclaredContext | undefined {
  if (values === undefined) return undefined
  let picked: Record<string, string | number | boolean> | undefined
  for (const key of keys) {
    const value = Object.hasOwn(values, key) ? values[key] : undefined
    if (!isDeclarable(value)) continue
    picked ??= {}
    // assigned, it would be the object's prototype
    if (key === '__proto__') Object.defineProperty(picked, key, { value, enumerable: true })
    else picked[key] = value
  }
  return picked
}
