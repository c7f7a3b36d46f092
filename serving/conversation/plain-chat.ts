import type { Adjusted, Fields } from './form.ts'

/**
 * A chat body that was made from a body of another API, as servers of OpenAI's API take it. What only
 * Anthropic's API reads is taken out: marks of its cache, its signed thinking, its `thinking` setting, which
 * becomes an effort. Images in results of tools go into a user's message after the results, because tool
 * messages hold text alone.
 */
export function plainChat<T extends Fields>(body: T, adjusted: Adjusted): T {
  const { thinking, messages, tools, user, ...rest } = body
  const out: Record<string, unknown> = rest
  if (thinking !== undefined && rest.reasoning_effort === undefined) {
    const effort = effortOf(thinking as Fields)
    if (effort !== undefined) out.reasoning_effort = effort
  }
  out.messages = plainMessages((messages ?? []) as readonly Fields[])
  if (tools !== undefined) out.tools = (tools as readonly Fields[]).map(unmarked)
  if (typeof user === 'string' && user.length > LONGEST_USER) adjusted('user left out')
  else if (user !== undefined) out.user = user
  return out as T
}

/** Characters that OpenAI takes. */
const LONGEST_USER = 64

/** The effort that stands for a number of thinking tokens: the budgets of `claude-models.ts`, read back. */
function effortOf({ type, budget_tokens: budget }: Fields): string | undefined {
  if (type === 'adaptive') return 'medium'
  if (type !== 'enabled' || typeof budget !== 'number') return undefined
  if (budget <= 2048) return 'low'
  return budget <= 8192 ? 'medium' : 'high'
}

function plainMessages(messages: readonly Fields[]): Fields[] {
  const out: Fields[] = []
  let images: Fields[] = []
  const flush = (): void => {
    if (images.length > 0) out.push({ role: 'user', content: images })
    images = []
  }
  for (const message of messages) {
    if (message.role !== 'tool') {
      flush()
      out.push(plainMessage(message))
      continue
    }
    const { content, ...rest } = unmarked(message)
    const parts = Array.isArray(content) ? (content as readonly Fields[]) : undefined
    if (!parts) {
      out.push({ ...rest, content: content ?? '' })
      continue
    }
    const texts = parts.filter(({ type }) => type === 'text').map((part) => String(part.text))
    const others = parts.filter(({ type }) => type !== 'text').map(unmarked)
    if (others.length > 0) {
      images.push({ type: 'text', text: `Result of ${String(rest.tool_call_id)}:` }, ...others)
      texts.push(`(${others.length} attached below)`)
    }
    out.push({ ...rest, content: texts.join('\n') })
  }
  flush()
  return out
}

function plainMessage(message: Fields): Fields {
  const { thinking_blocks: blocks, provider_blocks: _, ...kept } = unmarked(message)
  // thinking that a provider signed is of no use to another; unsigned thinking came by this API
  if (blocks !== undefined) delete (kept as Record<string, unknown>).reasoning_content
  const { content, tool_calls: calls } = kept
  if (!Array.isArray(content) && calls === undefined) return kept
  return {
    ...kept,
    ...(Array.isArray(content) ? { content: content.map(unmarked) } : {}),
    ...(Array.isArray(calls) ? { tool_calls: calls.map(unmarked) } : {}),
  }
}

function unmarked(value: Fields): Fields {
  if (value.cache_control === undefined) return value
  const { cache_control: _, ...rest } = value
  return rest
}
