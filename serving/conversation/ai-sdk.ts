import { isDeepStrictEqual } from 'node:util'
import { definedOnly } from '../../core/defined.ts'
import {
  type Adjusted,
  type CallPart,
  type Conversation,
  type Fields,
  type MediaPart,
  type Part,
  type Reply,
  type ReplyEvent,
  type ResultPart,
  type StopReason,
  type ThinkingPart,
  type ToolChoice,
  textOf,
  UntranslatableRequest,
  type Usage,
} from './form.ts'

/**
 * The provider interface of the AI SDK (`LanguageModelV3` of AI SDK 6, `V4` of 7): call options out of the
 * conversation form, and results into it. The types here are what both versions have in common.
 */

/** The version of a model's interface. */
export type SdkVersion = 'v3' | 'v4'

/** Fields of a chat body that the interface has no place for, and that no answer depends on. */
const HINTS = new Set([
  'store',
  'metadata',
  'prediction',
  'verbosity',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'user',
  'parallel_tool_calls',
])
/** Fields that are passed on, or that concern how the answer is written. */
const KNOWN = new Set([
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'stream_options',
  'provider_options',
  'top_logprobs',
])

/**
 * Options of `doGenerate` and `doStream`, without signal and headers.
 *
 * @param extra provider options of the configuration; those of the request go over them
 * @throws UntranslatableRequest
 */
export function toSdkOptions(
  conversation: Conversation,
  version: SdkVersion,
  extra: Fields,
  adjusted: Adjusted,
): Record<string, unknown> {
  const { rest, tools = [], toolChoice, output, reasoning, stop } = conversation
  for (const [field, value] of Object.entries(rest)) {
    if (KNOWN.has(field) || isUnset(field, value)) continue
    if (!HINTS.has(field)) {
      throw new UntranslatableRequest(`the AI SDK's provider interface has no ${field}`, field)
    }
    adjusted(`${field} left out`)
  }
  if (conversation.user !== undefined) adjusted('user left out')
  if (conversation.parallelCalls === false) {
    const field = 'parallel_tool_calls'
    throw new UntranslatableRequest(`the AI SDK's provider interface has no ${field}: false`, field)
  }
  const allowed = toolChoice && 'allowed' in toolChoice ? toolChoice.allowed : undefined
  const open = allowed ? tools.filter(({ name }) => allowed.includes(name)) : tools
  const effort = reasoning?.effort
  if (reasoning && (version === 'v3' || reasoning.thinking) && effort !== 'none') {
    const field = reasoning.thinking ? 'thinking' : 'reasoning_effort'
    const fault = `the AI SDK's provider interface ${version} has no ${field}; provider_options may`
    throw new UntranslatableRequest(fault, field)
  }
  return definedOnly({
    prompt: promptOf(conversation, version),
    maxOutputTokens: conversation.maxTokens,
    temperature: conversation.temperature,
    topP: conversation.topP,
    topK: conversation.topK,
    presencePenalty: rest.presence_penalty,
    frequencyPenalty: rest.frequency_penalty,
    seed: rest.seed,
    stopSequences: stop,
    responseFormat: output && formatOf(output),
    tools: open.length === 0 ? undefined : open.map(toolOf),
    toolChoice: open.length === 0 ? undefined : toolChoice && choiceOf(toolChoice),
    reasoning: version === 'v4' ? effort : undefined,
    providerOptions: merged(extra, rest.provider_options),
  })
}

/** Values that ask for nothing. */
function isUnset(field: string, value: unknown): boolean {
  if (field === 'n') return value === 1
  if (field === 'modalities') return JSON.stringify(value) === '["text"]'
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0
  return value === false || value === 0 || value === '' || value === 'auto'
}

function merged(extra: Fields, own: unknown): Fields | undefined {
  const all = { ...extra, ...(own as Fields | undefined) }
  return Object.keys(all).length === 0 ? undefined : all
}

function formatOf(output: NonNullable<Conversation['output']>): object {
  if (output.type === 'text') return { type: 'text' }
  if (output.type === 'json') return { type: 'json' }
  const { schema, name, description } = output
  return definedOnly({ type: 'json', schema, name, description })
}

function toolOf({
  name,
  description,
  schema,
  strict,
  opaque,
}: NonNullable<Conversation['tools']>[number]): object {
  if (opaque) {
    const type = String(opaque.value.type)
    const fault = `tools: only tools of type function can be translated, got ${type}`
    throw new UntranslatableRequest(fault, 'tools')
  }
  const inputSchema = schema ?? { type: 'object', properties: {} }
  return definedOnly({ type: 'function', name, description, inputSchema, strict })
}

const choiceOf = (choice: ToolChoice): object =>
  choice.mode === 'tool' ? { type: 'tool', toolName: choice.name } : { type: choice.mode }

function promptOf({ turns }: Conversation, version: SdkVersion): object[] {
  const names = new Map<string, string>()
  const prompt: object[] = []
  for (const { role, parts } of turns) {
    for (const part of parts) if (part.type === 'call') names.set(part.id, part.name)
    const results = parts.filter((part) => part.type === 'result')
    const others = parts.filter((part) => part.type !== 'result')
    if (results.length > 0) {
      const content = results.map((result) => resultOf(result, names, version))
      prompt.push({ role: 'tool', content })
    }
    if (others.length === 0) continue
    if (role === 'system' || role === 'developer') {
      const cache = others.find((part) => part.type === 'text' && part.cache)
      prompt.push(
        definedOnly({
          role: 'system',
          content: textOf(others, '\n\n'),
          providerOptions: cache && cacheOptions(cache),
        }),
      )
    } else {
      const side = role === 'assistant' ? role : 'user'
      const content = others.flatMap((part) => contentOf(part, version) ?? [])
      if (content.length > 0) prompt.push({ role: side, content })
    }
  }
  return prompt
}

/** Cache marks, as the providers that have them name them. */
const cacheOptions = (part: Part): Fields | undefined =>
  'cache' in part && part.cache
    ? { anthropic: { cacheControl: part.cache }, bedrock: { cachePoint: { type: 'default' } } }
    : undefined

function contentOf(part: Part, version: SdkVersion): object | undefined {
  const providerOptions = cacheOptions(part)
  switch (part.type) {
    case 'text':
      return part.text === ''
        ? undefined
        : definedOnly({ type: 'text', text: part.text, providerOptions })
    case 'media':
      return definedOnly({ ...fileOf(part, version), providerOptions })
    case 'thinking':
      return definedOnly({
        type: 'reasoning',
        text: part.text,
        providerOptions: metadataIn(part.signature),
      })
    case 'call':
      return definedOnly({
        type: 'tool-call',
        toolCallId: part.id,
        toolName: part.name,
        input: inputOf(part),
        providerOptions: (part.rest?.provider_metadata as Fields | undefined) ?? providerOptions,
      })
    default:
      throw new UntranslatableRequest(
        `the AI SDK's provider interface has no content of type ${part.type}`,
        'messages',
      )
  }
}

function inputOf({ arguments: text, name }: CallPart): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    const fault = `a call of ${name} in the conversation has arguments that are no JSON`
    throw new UntranslatableRequest(fault, 'messages')
  }
}

function fileOf({ kind, source, name }: MediaPart, version: SdkVersion): object {
  if (source.at === 'stored') {
    throw new UntranslatableRequest('files by file_id cannot be passed to the AI SDK', 'messages')
  }
  const anyType = kind === 'file' ? 'application/pdf' : `${kind}/*`
  const mediaType = source.at === 'inline' ? source.mediaType : anyType
  const raw = source.at === 'inline' ? source.data : new URL(source.url)
  const tagged = source.at === 'inline' ? { type: 'data', data: raw } : { type: 'url', url: raw }
  const data = version === 'v3' ? raw : tagged
  return definedOnly({ type: 'file', filename: name, data, mediaType })
}

function resultOf(
  { callId, parts, failed }: ResultPart,
  names: ReadonlyMap<string, string>,
  version: SdkVersion,
): object {
  const toolName = names.get(callId) ?? 'unknown'
  const plain = parts.every(({ type }) => type === 'text')
  const output = plain
    ? { type: failed ? 'error-text' : 'text', value: textOf(parts) }
    : { type: 'content', value: parts.map((part) => resultPart(part, version)) }
  return { type: 'tool-result', toolCallId: callId, toolName, output }
}

function resultPart(part: Part, version: SdkVersion): object {
  if (part.type === 'text') return { type: 'text', text: part.text }
  if (part.type !== 'media' || part.source.at === 'stored') {
    throw new UntranslatableRequest(
      `the AI SDK's provider interface has no ${part.type} in tool results`,
      'messages',
    )
  }
  if (version === 'v4') return fileOf(part, version)
  const { kind, source, name } = part
  const of = kind === 'image' ? 'image' : 'file'
  return source.at === 'url'
    ? { type: `${of}-url`, url: source.url }
    : definedOnly({
        type: `${of}-data`,
        data: source.data,
        mediaType: source.mediaType,
        filename: of === 'file' ? name : undefined,
      })
}

/** Marks a signature that is a provider's metadata, which the provider takes back as options. */
const METADATA = 'ai-sdk:'

const signatureOf = (metadata: unknown): string | undefined =>
  metadata === undefined
    ? undefined
    : METADATA + Buffer.from(JSON.stringify(metadata)).toString('base64')

function metadataIn(signature: string | undefined): Fields | undefined {
  if (!signature?.startsWith(METADATA)) return undefined
  try {
    return JSON.parse(Buffer.from(signature.slice(METADATA.length), 'base64').toString('utf8'))
  } catch {
    return undefined
  }
}

const STOPS: Readonly<Record<string, StopReason>> = {
  length: 'length',
  'tool-calls': 'calls',
  'content-filter': 'refused',
}

/** `finishReason` is an object with the reason in two forms. */
function stopOf(reason: unknown): StopReason {
  const unified = (reason as { unified?: unknown } | undefined)?.unified ?? reason
  return STOPS[String(unified)] ?? 'end'
}

/** Token counts, in the nested form of both versions. */
export function sdkUsage(value: unknown): Usage | undefined {
  const { inputTokens, outputTokens } = (value ?? {}) as Record<string, unknown>
  const input = inputTokens as Readonly<Record<string, number | undefined>> | undefined
  const output = outputTokens as Readonly<Record<string, number | undefined>> | undefined
  if (input?.total === undefined && output?.total === undefined) return undefined
  const { cacheRead = 0, cacheWrite = 0 } = input ?? {}
  return {
    inputTokens: input?.total ?? 0,
    outputTokens: output?.total ?? 0,
    ...(cacheRead > 0 ? { cachedInputTokens: cacheRead } : {}),
    ...(cacheWrite > 0 ? { cacheWriteTokens: cacheWrite } : {}),
  }
}

/** The whole answer of `doGenerate`. @param model used if the result does not say which answered */
export function replyOfSdk(result: Fields, model: string): Reply {
  const response = (result.response ?? {}) as Fields
  const parts = ((result.content ?? []) as readonly Fields[]).flatMap((part): Part[] => {
    switch (part.type) {
      case 'text':
        return [{ type: 'text', text: String(part.text) }]
      case 'reasoning':
        return [thought(String(part.text), part.providerMetadata)]
      case 'tool-call':
        // the provider's own tool, which it has run
        return part.providerExecuted === true ? [] : [callOf(part)]
      default:
        return []
    }
  })
  const texts = parts.filter((part) => part.type === 'text')
  const joined: Part[] = texts.length === 0 ? [] : [{ type: 'text', text: textOf(texts) }]
  const others = parts.filter((part) => part.type !== 'text')
  return {
    id: String(response.id ?? ''),
    model: String(response.modelId ?? model),
    parts: [
      ...others.filter(({ type }) => type === 'thinking'),
      ...joined,
      ...others.filter(({ type }) => type !== 'thinking'),
    ],
    stop: stopOf(result.finishReason),
    usage: sdkUsage(result.usage),
  }
}

const thought = (text: string, metadata: unknown): ThinkingPart =>
  definedOnly({ type: 'thinking' as const, text, signature: signatureOf(metadata) })

function callOf({ toolCallId, toolName, input, providerMetadata }: Fields): CallPart {
  return {
    type: 'call',
    id: String(toolCallId),
    name: String(toolName),
    arguments: typeof input === 'string' ? input || '{}' : JSON.stringify(input ?? {}),
    rest: metadataOf(providerMetadata),
  }
}

/** The field of a call that the provider needs back. */
const metadataOf = (metadata: unknown): Fields | undefined =>
  metadata ? { provider_metadata: metadata } : undefined

/** A call whose arguments are coming. */
interface OpenCall {
  readonly index: number
  said: string
  metadata: unknown
}

/** Reads the parts of `doStream`. */
export class SdkEvents {
  usage: Usage | undefined
  private readonly model: string
  private readonly thoughts = new Map<string, { text: string; metadata: unknown }>()
  private readonly open = new Map<string, OpenCall>()
  private calls = 0
  private started = false

  constructor(model: string) {
    this.model = model
  }

  /** @param part of any type but `error` */
  read(part: Fields): ReplyEvent[] {
    if (part.type === 'response-metadata') return this.start(part)
    const steps = this.step(part)
    return steps.length > 0 && !this.started ? [...this.start({}), ...steps] : steps
  }

  private start({ id, modelId }: Fields): ReplyEvent[] {
    if (this.started) return []
    this.started = true
    return [{ type: 'start', id: String(id ?? ''), model: String(modelId ?? this.model) }]
  }

  private step(part: Fields): ReplyEvent[] {
    const id = String(part.id)
    switch (part.type) {
      case 'text-delta':
        return [{ type: 'text', text: String(part.delta) }]
      case 'reasoning-start':
        this.thoughts.set(id, { text: '', metadata: part.providerMetadata })
        return []
      case 'reasoning-delta': {
        const open = this.thoughts.get(id)
        if (open) {
          open.text += String(part.delta)
          open.metadata = part.providerMetadata ?? open.metadata
        }
        return part.delta === '' ? [] : [{ type: 'thinking', text: String(part.delta) }]
      }
      case 'reasoning-end': {
        const open = this.thoughts.get(id)
        this.thoughts.delete(id)
        const metadata = part.providerMetadata ?? open?.metadata
        return open ? [{ type: 'thought', part: thought(open.text, metadata) }] : []
      }
      case 'tool-input-start': {
        // text that the package turns into JSON only when it is whole; a tool that the provider runs
        if (part.inputEncoding === 'text' || part.providerExecuted === true) return []
        const index = this.calls++
        const metadata = part.providerMetadata
        this.open.set(id, { index, said: '', metadata })
        const name = String(part.toolName)
        return [{ type: 'call', index, id, name, rest: metadataOf(metadata) }]
      }
      case 'tool-input-delta': {
        const open = this.open.get(id)
        const text = String(part.delta)
        if (!open || text === '') return []
        open.said += text
        return [{ type: 'arguments', index: open.index, text }]
      }
      case 'tool-call':
        return part.providerExecuted === true ? [] : this.called(part)
      case 'finish': {
        this.usage = sdkUsage(part.usage)
        const stop: ReplyEvent = { type: 'stop', stop: stopOf(part.finishReason) }
        return this.usage ? [stop, { type: 'usage', usage: this.usage }] : [stop]
      }
      default:
        return []
    }
  }

  /** A whole call, whose arguments may have come before, in parts. */
  private called(part: Fields): ReplyEvent[] {
    const { id, name, arguments: text, rest } = callOf(part)
    const open = this.open.get(id)
    if (!open) {
      const index = this.calls++
      return [
        { type: 'call', index, id, name, rest },
        { type: 'arguments', index, text },
      ]
    }
    this.open.delete(id)
    const { index, said, metadata } = open
    // what was said stays said; without arguments nothing was
    const left = text.startsWith(said) ? text.slice(said.length) : ''
    const late = rest && !isDeepStrictEqual(metadata, part.providerMetadata) ? rest : undefined
    return left === '' && !late ? [] : [{ type: 'arguments', index, text: left, rest: late }]
  }
}
