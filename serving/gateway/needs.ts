import { CHARACTERS_PER_TOKEN } from '../../models/prices.ts'
import type { ChatTurn, PassedBody } from '../upstreams/upstream.ts'

/** What a request may need that not every model has, besides room for its tokens. */
export const FEATURES = [
  'images',
  'audio',
  'files',
  'tools',
  'response_format',
  'n',
  'logprobs',
  'reasoning',
] as const
export type Feature = (typeof FEATURES)[number]

/** What a model must be able to take to answer a request. */
export interface Needs {
  readonly features: readonly Feature[]
  /** of the prompt, estimated */
  readonly promptTokens: number
  /** the stated limit of the answer */
  readonly answerTokens: number | undefined
}

const known = new WeakMap<object, Needs>()

/** Computed once per body. */
export function needsOf(body: PassedBody): Needs {
  let needs = known.get(body)
  if (!needs) {
    needs = readNeeds(body)
    known.set(body, needs)
  }
  return needs
}

function readNeeds(body: PassedBody): Needs {
  const features: Feature[] = []
  const messages = (Array.isArray(body.messages) ? body.messages : []) as readonly ChatTurn[]
  let tokens = 0
  const media = new Set<Feature>()
  for (const turn of messages) {
    tokens += TURN_TOKENS + tokensOf(turn.tool_calls)
    const { content } = turn
    if (typeof content === 'string') tokens += estimateTokens(content)
    else if (Array.isArray(content)) for (const part of content) tokens += partTokens(part, media)
  }
  features.push(...media)
  const has = (field: string): boolean => Array.isArray(body[field]) && body[field].length > 0
  if (has('tools') || has('functions')) features.push('tools')
  const format = (body.response_format as { type?: unknown } | null | undefined)?.type
  if (format !== undefined && format !== 'text') features.push('response_format')
  if (typeof body.n === 'number' && body.n > 1) features.push('n')
  if (body.logprobs === true) features.push('logprobs')
  if (thinks(body)) features.push('reasoning')
  tokens += tokensOf(body.tools) + tokensOf(body.functions) + tokensOf(body.response_format)
  const answer = [body.max_completion_tokens, body.max_tokens].find((n) => typeof n === 'number')
  return { features, promptTokens: Math.ceil(tokens), answerTokens: answer as number | undefined }
}

/** A turn's role and the marks around it. */
const TURN_TOKENS = 4
/** An image of ordinary size; providers count from 85 to about 1,600. */
const IMAGE_TOKENS = 800

function partTokens(part: unknown, media: Set<Feature>): number {
  const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown }
  if (typeof text === 'string') return estimateTokens(text)
  const name = String(type)
  if (name.includes('image')) {
    media.add('images')
    return IMAGE_TOKENS
  }
  if (name.includes('audio')) media.add('audio')
  else if (name === 'file' || name === 'input_file' || name === 'document') media.add('files')
  return 0
}

function thinks({ reasoning_effort: effort, thinking, reasoning }: PassedBody): boolean {
  if (typeof effort === 'string' && effort !== 'none') return true
  const type = (thinking as { type?: unknown } | null | undefined)?.type
  if (type === 'enabled' || type === 'adaptive') return true
  return typeof reasoning === 'object' && reasoning !== null
}

const tokensOf = (value: unknown): number =>
  value === undefined || value === null
    ? 0
    : (JSON.stringify(value)?.length ?? 0) / CHARACTERS_PER_TOKEN

/**
 * Tokens of a text: about four characters each in ASCII, about one and a half of others (Chinese, Japanese
 * and Korean characters are one to two tokens, Cyrillic and Greek letters half of one).
 */
export function estimateTokens(text: string): number {
  let wide = 0
  for (let at = 0; at < text.length; at += COUNTED) wide += wideIn(text.slice(at, at + COUNTED))
  return (text.length - wide) / CHARACTERS_PER_TOKEN + wide / WIDE_PER_TOKEN
}

/** Characters that are counted together. */
const COUNTED = 64 * 1024

/** UTF-16 units beyond ASCII. Counted by Node where it can be, which takes a twentieth of the time. */
function wideIn(text: string): number {
  const more = Buffer.byteLength(text) - text.length
  // up to U+00FF a character has one byte more
  if (more === 0 || !/[^\0-\xff]/.test(text)) return more
  const bytes = Buffer.from(text, 'utf16le')
  let wide = 0
  // either byte of a unit beyond ASCII tells
  for (let i = 0; i < bytes.length; i += 2) if (bytes[i]! > 0x7f || bytes[i + 1] !== 0) wide++
  return wide
}

const WIDE_PER_TOKEN = 1.5
