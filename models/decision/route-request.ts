import { WeirError } from '../../core/errors.ts'
import { describeValue } from '../../core/schema-fault.ts'
import { type ChatMessage, METADATA_LIMIT, NAME_LIMIT } from '../reading/messages.ts'
import { type DeclaredContext, type ToolDefinition, transcript } from '../reading/transcript.ts'
import type { RouteRequest } from './decision.ts'

/** Maximum prompt length in UTF-16 units; bounds the cost of one request. */
export const PROMPT_LIMIT = 1_000_000

/**
 * A request's conversation as one text (see `transcript`): what is hashed, logged and scored.
 *
 * @param context the declared context that the router reads of it
 * @throws request_invalid, prompt_empty, prompt_too_long; each error names the field
 */
export function requestText(request: RouteRequest, context?: DeclaredContext): string {
  const { prompt } = request
  const messages = request.messages && endsOfLong(request.messages)
  assertMetadata(request.metadata, 'metadata')
  if ((prompt === undefined) === (messages === undefined)) {
    throw new WeirError(
      'request_invalid',
      {
        where: 'prompt',
        expected: 'either prompt or messages',
        got: prompt === undefined ? 'neither' : 'both',
      },
      { param: 'prompt' },
    )
  }
  const param = prompt === undefined ? 'messages' : 'prompt'
  const hasText =
    prompt === undefined
      ? request.messages!.some(({ content }) => hasWords(content))
      : /\S/.test(prompt)
  if (!hasText) {
    throw new WeirError(
      'prompt_empty',
      { got: prompt === undefined ? 'messages without text' : describeValue(prompt) },
      { param },
    )
  }
  // the schema has checked that each is an object with text keys
  const tools = request.tools as readonly ToolDefinition[] | undefined
  assertToolNames(tools)
  const given = (prompt?.length ?? 0) + (request.system?.length ?? 0)
  if (prompt !== undefined && given > PROMPT_LIMIT) {
    throw new WeirError('prompt_too_long', { limit: PROMPT_LIMIT, got: given }, { param })
  }
  const text = transcript(prompt ?? messages!, request.system, tools, context)
  // a long conversation is routed on its beginning and its end; its last words matter most
  return text.length > PROMPT_LIMIT ? headAndTail(text) : text
}

/**
 * Of a conversation that is too long, the messages that its head and tail are of, long ones as their ends: putting the
 * whole of 60 MB together takes long. `headAndTail` of their text is that of all.
 */
function endsOfLong(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  let total = 0
  for (const { content } of messages) total += lengthOf(content)
  if (total <= 2 * PROMPT_LIMIT) return messages
  // one more than is kept, so that what is put together is cut
  const most = PROMPT_LIMIT / 2 + 1
  const collected = (all: readonly ChatMessage[]): ChatMessage[] => {
    const some: ChatMessage[] = []
    for (let length = 0, i = 0; length < most && i < all.length; i++) {
      const { role, content } = all[i]!
      length += lengthOf(content)
      some.push({ role, content: withEnds(content, most) })
    }
    return some
  }
  const head = collected(messages)
  const tail = collected(messages.slice(head.length).reverse()).reverse()
  return [...head, ...tail]
}

const hasWords = (content: ChatMessage['content']): boolean =>
  typeof content === 'string'
    ? /\S/.test(content)
    : (content ?? []).some(({ text }) => /\S/.test(text ?? ''))

const lengthOf = (content: ChatMessage['content']): number =>
  typeof content === 'string'
    ? content.length
    : (content ?? []).reduce((sum, { text }) => sum + (text?.length ?? 0), 0)

function withEnds(
  content: ChatMessage['content'],
  most: number,
): NonNullable<ChatMessage['content']> {
  const ends = (text: string): string =>
    text.length > 2 * most ? text.slice(0, most) + text.slice(-most) : text
  if (typeof content === 'string') return ends(content)
  return (content ?? []).map((part) => (part.text ? { ...part, text: ends(part.text) } : part))
}

/** The first and last halves of `PROMPT_LIMIT`, without half of a surrogate pair. */
function headAndTail(text: string): string {
  const half = PROMPT_LIMIT / 2
  const head = text.slice(0, half).replace(/[\ud800-\udbff]$/, '')
  return head + text.slice(-half).replace(/^[\udc00-\udfff]/, '')
}

function assertToolNames(tools: readonly ToolDefinition[] | undefined): void {
  tools?.forEach((tool, i) => {
    const { name } = (tool.function ?? tool) as { name?: unknown }
    if (typeof name === 'string' && name.length > NAME_LIMIT) {
      const where = `tools.${i}${tool.function ? '.function' : ''}.name`
      throw tooLong(where, NAME_LIMIT, name.length)
    }
  })
}

/**
 * Metadata is anything, so its size is checked as a whole.
 *
 * @param where the field, for the error
 * @throws request_invalid
 */
export function assertMetadata(metadata: object | undefined, where: string): void {
  if (metadata === undefined) return
  const { length } = JSON.stringify(metadata)
  if (length > METADATA_LIMIT) throw tooLong(where, METADATA_LIMIT, length)
}

function tooLong(where: string, limit: number, got: number): WeirError {
  const expected = `at most ${limit} characters`
  return new WeirError('request_invalid', { where, expected, got }, { param: where })
}
