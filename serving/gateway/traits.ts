import { CHARACTERS_PER_TOKEN } from '../../models/prices.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { GatewayRequest } from './contracts.ts'

/** The properties of a request that policies look at. */
export interface Traits {
  /** of the conversation's texts, one per line, tool calls and definitions included */
  readonly characters: number
  /** of the last user message */
  readonly question: string
  /** estimated, for prompt and longest answer together */
  readonly tokens: number
  readonly images: boolean
  readonly tools: boolean
  readonly tags: readonly string[]
}

export function traitsOf({ body, hints, headers }: GatewayRequest): Traits {
  const tools = Array.isArray(body.tools) && body.tools.length > 0
  const texts = body.messages.length + (tools ? 1 : 0)
  let characters = Math.max(0, texts - 1) + (tools ? JSON.stringify(body.tools).length : 0)
  for (const turn of body.messages) {
    characters += lengthOf(turn)
    // tool calls and their arguments are sent to the model as well
    if (turn.tool_calls) characters += 1 + JSON.stringify(turn.tool_calls).length
  }
  const answer = [body.max_completion_tokens, body.max_tokens].find((n) => typeof n === 'number')
  const header = headers['x-weir-tags']
  const tags = [hints.metadata?.tags, typeof header === 'string' ? header.split(',') : header]
  return {
    characters,
    question: textOf(body.messages.findLast(({ role }) => role === 'user')),
    tokens: Math.ceil(characters / CHARACTERS_PER_TOKEN) + Number(answer ?? 0),
    images: body.messages.some(
      ({ content }) => Array.isArray(content) && content.some(({ type }) => type.includes('image')),
    ),
    tools,
    tags: tags.flat().flatMap((tag) => (typeof tag === 'string' ? [tag.trim()] : [])),
  }
}

/** Of `textOf`, without putting parts together. */
function lengthOf({ content }: ChatTurn): number {
  if (typeof content === 'string') return content.length
  const parts = content ?? []
  return parts.reduce((sum, { text }) => sum + (text?.length ?? 0), Math.max(0, parts.length - 1))
}

function textOf(turn: ChatTurn | undefined): string {
  const content = turn?.content ?? ''
  if (typeof content === 'string') return content
  return content.map((part) => part.text ?? '').join('\n')
}
