import { CHARACTERS_PER_TOKEN } from '../../models/prices.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { GatewayRequest } from './contracts.ts'

/** The properties of a request that policies look at. */
export interface Traits {
  /** all text of the conversation, tool definitions included */
  readonly text: string
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
  // tool calls and their arguments are sent to the model as well
  const spoken = body.messages.map((turn) =>
    turn.tool_calls ? `${textOf(turn)}\n${JSON.stringify(turn.tool_calls)}` : textOf(turn),
  )
  const text = [...spoken, ...(tools ? [JSON.stringify(body.tools)] : [])].join('\n')
  const answer = [body.max_completion_tokens, body.max_tokens].find((n) => typeof n === 'number')
  const header = headers['x-weir-tags']
  const tags = [hints.metadata?.tags, typeof header === 'string' ? header.split(',') : header]
  return {
    text,
    question: textOf(body.messages.findLast(({ role }) => role === 'user')),
    tokens: Math.ceil(text.length / CHARACTERS_PER_TOKEN) + Number(answer ?? 0),
    images: body.messages.some(
      ({ content }) => Array.isArray(content) && content.some(({ type }) => type.includes('image')),
    ),
    tools,
    tags: tags.flat().flatMap((tag) => (typeof tag === 'string' ? [tag.trim()] : [])),
  }
}

function textOf(turn: ChatTurn | undefined): string {
  const content = turn?.content ?? ''
  if (typeof content === 'string') return content
  return content.map((part) => part.text ?? '').join('\n')
}
