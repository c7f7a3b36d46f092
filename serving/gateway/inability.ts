import type { UpstreamError } from '../upstreams/failure.ts'
import { isTooLong } from '../upstreams/refusal.ts'
import type { PassedBody } from '../upstreams/upstream.ts'
import type { Feature } from './needs.ts'

/** A refusal that is about the model, not about the request: another model may answer it. */
export interface Inability {
  /** prompt and answer do not fit in the model's context */
  readonly tooLong: boolean
  /** the model's context in tokens, if the refusal states it */
  readonly context?: number | undefined
  /** the field of the body that the model does not take */
  readonly parameter?: string | undefined
  /** what it does not take, if that is one of the features that requests are matched by */
  readonly feature?: Feature | undefined
}

const UNSUPPORTED_CODE =
  /unsupported_(parameter|value|param|field)|unknown_(parameter|field)|unrecognized|extra_forbidden|not_supported|unsupported$/
const UNSUPPORTED =
  /unsupported|not (yet |currently )?support|no support for|unrecognized|unknown (name|parameter|field|argument|key)|unexpected (keyword|field|argument|property|parameter)|extra (inputs?|fields?)|extra_forbidden|not (permitted|allowed|accepted|available)|additional propert|deprecated|does(n't| not) (take|accept|allow|have|recogni[sz]e)|only the default|cannot both be specified|anthropic's api (has|reads) no/i

/** Which fields of a body ask for a feature. */
const FEATURE_OF: Readonly<Record<string, Feature>> = {
  tools: 'tools',
  tool_choice: 'tools',
  functions: 'tools',
  function_call: 'tools',
  response_format: 'response_format',
  n: 'n',
  logprobs: 'logprobs',
  top_logprobs: 'logprobs',
  reasoning_effort: 'reasoning',
  reasoning: 'reasoning',
  thinking: 'reasoning',
}

/** How refusals name a feature without naming its field. */
const FEATURE_WORDS: readonly (readonly [Feature, RegExp])[] = [
  ['images', /\b(images?|image_url|vision|multimodal|pictures?)\b/i],
  ['audio', /\b(audio|input_audio)\b/i],
  ['files', /\b(files?|documents?|pdfs?)\b/i],
  ['tools', /\b(tools?|tool use|tool calling|function calling|functions?)\b/i],
  [
    'response_format',
    /\b(json_schema|json_object|json mode|structured outputs?|response format)\b/i,
  ],
  ['logprobs', /\blog ?prob(s|abilities)\b/i],
  ['reasoning', /\b(thinking|reasoning)\b/i],
]

/** Statuses with which servers refuse what a request asks for. */
const REFUSING = new Set([400, 404, 405, 413, 415, 422, 501])

/**
 * What a refusal says that the model cannot do; undefined if the refusal is about the request itself.
 *
 * @param body as it was sent: only its own fields and features can have been refused
 */
export function inabilityOf(error: UpstreamError, body: PassedBody): Inability | undefined {
  if (error.kind !== 'rejected') return undefined
  const { message, code, param } = wordsOf(error)
  const status = error.upstreamStatus ?? 400
  if (!REFUSING.has(status)) return undefined
  const codes = `${code ?? ''}`
  if (status === 413 || isTooLong({ message, code })) {
    return { tooLong: true, context: statedContext(message) }
  }
  const parameter = parameterIn(body, param, message)
  const plain =
    parameter === DEVELOPER_ROLE || (parameter === 'n' && /\b(1|one|single)\b/i.test(message))
  if (!plain && !UNSUPPORTED_CODE.test(codes) && !UNSUPPORTED.test(message)) return undefined
  const feature =
    (parameter === undefined ? undefined : FEATURE_OF[parameter]) ?? featureIn(body, message)
  return parameter === undefined && feature === undefined
    ? undefined
    : { tooLong: false, parameter, feature }
}

/** The upstream's own words, code and parameter. */
function wordsOf({ spoken, reason }: UpstreamError): Words {
  return spoken
    ? { message: spoken.message, code: spoken.code ?? spoken.type, param: spoken.param }
    : { message: reason }
}

interface Words {
  readonly message: string
  readonly code?: unknown
  readonly param?: unknown
}

/**
 * The model's context, where the words have it: "maximum context length is 8192 tokens", "> 200000 maximum",
 * "this model holds 8192".
 */
function statedContext(message: string): number | undefined {
  const number = '([\\d][\\d,_.]{2,})'
  const patterns = [
    `(?:maximum context length|context (?:length|window|size|limit)|max_model_len)[^\\d]{0,30}${number}`,
    `[>=] ?${number} ?(?:maximum|tokens)?`,
    `(?:holds|at most|limit of|limit is|up to|maximum of|maximum is|max(?:imum)? allowed)[^\\d]{0,20}${number}`,
  ]
  for (const pattern of patterns) {
    const [, digits] = new RegExp(pattern, 'i').exec(message) ?? []
    const tokens = Number(digits?.replace(/[,_.]/g, ''))
    if (tokens >= 256) return tokens
  }
  return undefined
}

/** The field of the body that a refusal names. */
function parameterIn(body: PassedBody, param: unknown, message: string): string | undefined {
  if (typeof param === 'string' && param !== '') {
    const [field = ''] = param.replace(/^body\./, '').split(/[.[]/)
    if (field !== 'messages' && field in body) return field
  }
  const place = `${typeof param === 'string' ? param : ''} ${message}`
  if (hasDeveloper(body) && (ROLE_NAMED.test(message) || ROLE_PLACE.test(place))) {
    return DEVELOPER_ROLE
  }
  for (const field in body) {
    // short and common words only count where they are quoted or called a parameter
    const quoted = new RegExp(
      `['"\`]${field}['"\`]|(parameter|argument|field|property):? ${field}\\b`,
    )
    if (quoted.test(message)) return field
    if (field.includes('_') && message.includes(field)) return field
    if (message.startsWith(`${field}:`) || message.startsWith(`${field} `)) return field
  }
  return undefined
}

/** How refusals name the role of a message, and its place. */
const ROLE_NAMED = /\bdeveloper\b.*\brole|\brole.*\bdeveloper\b/is
const ROLE_PLACE = /\bmessages?\W{0,2}\d+\W{1,2}(\w+\W)?role\b/

/** Stands for the role `developer`, which servers with older chat templates do not know. */
export const DEVELOPER_ROLE = 'role.developer'

const hasDeveloper = (body: PassedBody): boolean =>
  Array.isArray(body.messages) &&
  body.messages.some((turn: { role?: unknown }) => turn?.role === 'developer')

function featureIn(body: PassedBody, message: string): Feature | undefined {
  return FEATURE_WORDS.find(
    ([feature, words]) => words.test(message) && asksFor(body, feature),
  )?.[0]
}

function asksFor(body: PassedBody, feature: Feature): boolean {
  switch (feature) {
    case 'images':
    case 'audio':
    case 'files':
      return hasType(body.messages, feature.replace(/s$/, ''))
    default:
      return Object.entries(FEATURE_OF).some(([field, its]) => its === feature && field in body)
  }
}

/** Whether anything in a value has a `type` with this word. */
function hasType(value: unknown, word: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { type } = value as { readonly type?: unknown }
  return (
    (typeof type === 'string' && type.includes(word)) ||
    Object.values(value).some((inner) => hasType(inner, word))
  )
}
