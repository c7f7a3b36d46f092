import { definedOnly } from '../../core/defined.ts'
import { thinkingOf } from './chat.ts'
import {
  type CallPart,
  type Conversation,
  type Fields,
  listOf,
  type OutputFormat,
  otherFields,
  type Part,
  type ResultPart,
  roleOf,
  type ThinkingPart,
  type Tool,
  type ToolChoice,
  type Turn,
} from './form.ts'
import { inline, sourceOfUrl } from './media.ts'

/** OpenAI's Responses API: bodies into the conversation form. */

const BODY_FIELDS = new Set([
  'model',
  'input',
  'instructions',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'text',
  'reasoning',
  'max_output_tokens',
  'temperature',
  'top_p',
  'stream',
  'user',
  'include',
])

const number = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : undefined
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const bool = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : undefined
const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

/** @throws UntranslatableRequest naming the field that is not understood */
export function fromResponses(body: Fields): Conversation {
  const { format, verbosity } = object(body.text) ?? {}
  const { effort } = object(body.reasoning) ?? {}
  const turns = turnsOf(body.input)
  const instructions = text(body.instructions)
  const system: Turn[] = instructions
    ? [{ role: 'system', parts: [{ type: 'text', text: instructions }] }]
    : []
  const choice = choiceOf(body.tool_choice)
  const rest = Object.entries({
    ...otherFields(body, BODY_FIELDS),
    // of a tool that the provider runs
    tool_choice: choice === undefined ? body.tool_choice : undefined,
    verbosity,
    include: includedOf(body.include),
  }).filter(([, value]) => value !== null && value !== undefined)
  return {
    from: 'responses',
    model: String(body.model),
    turns: [...system, ...turns],
    tools: Array.isArray(body.tools) ? listOf(body.tools, 'tools').flatMap(toolsOf) : undefined,
    toolChoice: choice,
    parallelCalls: bool(body.parallel_tool_calls),
    output: outputOf(object(format)),
    reasoning: typeof effort === 'string' ? { effort } : undefined,
    maxTokens: number(body.max_output_tokens),
    temperature: number(body.temperature),
    topP: number(body.top_p),
    stream: bool(body.stream),
    user: text(body.user),
    rest: Object.fromEntries(rest),
  }
}

/** What is to be included, without what is always there. */
function includedOf(include: unknown): readonly unknown[] | undefined {
  const more = (Array.isArray(include) ? include : []).filter(
    (each) => each !== 'reasoning.encrypted_content',
  )
  return more.length > 0 ? more : undefined
}

function turnsOf(input: unknown): Turn[] {
  if (typeof input === 'string') return [{ role: 'user', parts: [{ type: 'text', text: input }] }]
  const turns: { role: Turn['role']; parts: Part[] }[] = []
  for (const [i, item] of listOf(input, 'input').entries()) {
    const { role, parts } = turnOf(item, `input.${i}`)
    const last = turns.at(-1)
    // what a model thought, said and called in one go is one turn
    if (role === 'assistant' && last?.role === 'assistant') last.parts.push(...parts)
    else turns.push({ role, parts: [...parts] })
  }
  return turns
}

const ROLES = ['user', 'assistant', 'system', 'developer'] as const

function turnOf(item: Fields, where: string): Turn {
  switch (item.type ?? 'message') {
    case 'message': {
      const role = roleOf(item.role, ROLES, where)
      return { role, parts: contentParts(item.content, `${where}.content`) }
    }
    case 'function_call':
    case 'custom_tool_call':
      return { role: 'assistant', parts: [callOf(item)] }
    case 'function_call_output':
    case 'custom_tool_call_output': {
      const result: ResultPart = {
        type: 'result',
        callId: String(item.call_id),
        parts: contentParts(item.output, `${where}.output`),
      }
      return { role: 'tool', parts: [result] }
    }
    case 'reasoning':
      return { role: 'assistant', parts: thinkingParts(item) }
    default: {
      const opaque: Part = { type: 'opaque', from: 'responses', value: item }
      return { role: 'assistant', parts: [opaque] }
    }
  }
}

/** What a tool of a namespace is called in APIs that have none. */
const nameIn = (namespace: unknown, name: unknown): string =>
  typeof namespace === 'string' && namespace !== '' ? `${namespace}__${name}` : String(name)

/** By the names that they have in other APIs: the tools of namespaces. */
export function namespacedTools(
  tools: unknown,
): ReadonlyMap<string, { readonly namespace: string; readonly name: string }> {
  const found = new Map<string, { readonly namespace: string; readonly name: string }>()
  for (const { type, name: namespace, tools: inside } of listOf(tools, 'tools')) {
    if (type !== 'namespace') continue
    for (const { name } of listOf(inside, 'tools')) {
      found.set(nameIn(namespace, name), { namespace: String(namespace), name: String(name) })
    }
  }
  return found
}

const callOf = ({
  type,
  call_id: id,
  namespace,
  name,
  arguments: given,
  input,
}: Fields): CallPart =>
  type === 'custom_tool_call'
    ? {
        type: 'call',
        id: String(id),
        name: nameIn(namespace, name),
        arguments: text(input) ?? '',
        custom: true,
      }
    : { type: 'call', id: String(id), name: nameIn(namespace, name), arguments: text(given) ?? '' }

/** Begins `encrypted_content` that holds blocks of thinking which another provider signed. */
const SIGNED = 'weir1.'

/** What `encrypted_content` of a reasoning item is for thinking with a signature; undefined without one. */
export function sealedThinking(block: Fields): string {
  return SIGNED + Buffer.from(JSON.stringify(block)).toString('base64url')
}

/**
 * Thinking of an earlier answer. What OpenAI encrypted is of no use to another provider: then its summary
 * alone is left, if it has one.
 */
function thinkingParts(item: Fields): ThinkingPart[] {
  const sealed = text(item.encrypted_content)
  if (sealed?.startsWith(SIGNED)) {
    try {
      const block = JSON.parse(
        Buffer.from(sealed.slice(SIGNED.length), 'base64url').toString('utf8'),
      ) as Fields
      const part = thinkingOf(block)
      return part ? [part] : []
    } catch {
      return []
    }
  }
  const said = [...listOf(item.summary, 'input'), ...listOf(item.content, 'input')]
    .map((part) => text(part.text) ?? '')
    .join('\n')
  return said === '' ? [] : [{ type: 'thinking', text: said }]
}

function contentParts(content: unknown, where: string): Part[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  return listOf(content, where).map((part, i) => partOf(part, `${where}.${i}`))
}

function partOf(part: Fields, where: string): Part {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
    case 'summary_text':
      return { type: 'text', text: text(part.text) ?? '' }
    case 'refusal':
      return { type: 'text', text: text(part.refusal) ?? '', refusal: true }
    case 'input_image': {
      const url = text(part.image_url)
      const id = text(part.file_id)
      const detail = text(part.detail)
      if (url !== undefined) {
        const source = sourceOfUrl(url, `${where}.image_url`)
        return { type: 'media', kind: 'image', source, detail }
      }
      if (id === undefined) break
      return { type: 'media', kind: 'image', source: { at: 'stored', id }, detail }
    }
    case 'input_file': {
      const name = text(part.filename)
      const data = text(part.file_data)
      const url = text(part.file_url)
      const id = text(part.file_id)
      const common = { type: 'media', kind: 'file', name } as const
      if (data !== undefined) {
        const source = /^data:/i.test(data)
          ? sourceOfUrl(data, `${where}.file_data`)
          : inline('application/pdf', data)
        return { ...common, source }
      }
      if (url !== undefined) return { ...common, source: sourceOfUrl(url, `${where}.file_url`) }
      if (id === undefined) break
      return { ...common, source: { at: 'stored', id } }
    }
    case 'input_audio': {
      const { data, format } = object(part.input_audio) ?? {}
      return { type: 'media', kind: 'audio', source: inline(`audio/${format}`, String(data)) }
    }
  }
  return { type: 'opaque', from: 'responses', value: part }
}

/** A tool, or those of a namespace. */
function toolsOf(tool: Fields): Tool[] {
  if (tool.type !== 'namespace') return [toolOf(tool)]
  return listOf(tool.tools, 'tools').map((inside) =>
    toolOf({ ...inside, name: nameIn(tool.name, inside.name) }),
  )
}

function toolOf(tool: Fields): Tool {
  const { type, name, description, parameters, strict } = tool
  if (type === 'function') {
    return {
      name: String(name),
      description: text(description),
      schema: parameters ?? undefined,
      strict: bool(strict),
    }
  }
  if (type === 'custom') {
    const { format } = tool
    const custom = definedOnly({ name, description, format: chatFormat(object(format)) })
    return { name: String(name), opaque: { from: 'chat', value: { type: 'custom', custom } } }
  }
  return { name: String(name ?? type), opaque: { from: 'responses', value: tool } }
}

/** The form that a custom tool's text has; chat bodies have a grammar's fields one level deeper. */
function chatFormat(format: Fields | undefined): unknown {
  if (format?.type !== 'grammar') return format
  const { type, ...grammar } = format
  return { type, grammar }
}

function choiceOf(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { mode: choice }
  const given = object(choice)
  if (!given) return undefined
  if (given.type === 'function' || given.type === 'custom') {
    return { mode: 'tool', name: nameIn(given.namespace, given.name) }
  }
  if (given.type === 'allowed_tools') {
    const names = listOf(given.tools, 'tool_choice').map(({ name, type }) => String(name ?? type))
    return { mode: given.mode === 'required' ? 'required' : 'auto', allowed: names }
  }
  return undefined
}

function outputOf(format: Fields | undefined): OutputFormat | undefined {
  switch (format?.type) {
    case 'text':
      return { type: 'text' }
    case 'json_object':
      return { type: 'json' }
    case 'json_schema': {
      const { schema, name, description, strict } = format
      return {
        type: 'schema',
        schema,
        name: text(name),
        description: text(description),
        strict: bool(strict),
      }
    }
    default:
      return undefined
  }
}

/** Fields of a chat body that a responses body has under other names; others have the same. */
const CHANGED: Readonly<Record<string, readonly string[]>> = {
  max_tokens: ['max_output_tokens'],
  max_completion_tokens: ['max_output_tokens'],
  reasoning_effort: ['reasoning', 'effort'],
  verbosity: ['text', 'verbosity'],
}
const SAME = new Set([
  'temperature',
  'top_p',
  'parallel_tool_calls',
  'user',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'metadata',
  'top_logprobs',
])

/**
 * A responses body with changes that are named as in chat bodies; undefined removes a field.
 *
 * @param unsaid gets each field that a responses body does not have
 */
export function changedResponses(
  body: Fields,
  changes: Fields,
  unsaid: (field: string) => void,
): Record<string, unknown> {
  const out: Record<string, unknown> = { ...body }
  for (const [field, value] of Object.entries(changes)) {
    const [name, inner] = CHANGED[field] ?? (SAME.has(field) ? [field] : [])
    if (name === undefined) {
      if (value !== undefined) unsaid(field)
      continue
    }
    const next = inner === undefined ? value : definedOnly({ ...object(out[name]), [inner]: value })
    if (next === undefined) delete out[name]
    else out[name] = next
  }
  return out
}
