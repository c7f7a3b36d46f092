import type { ChatTurn, ContentPart } from '../upstreams/upstream.ts'

/** A body of another endpoint than chat as one turn that hard limits and guardrails can read: all text that is in it. */
export function passedTurns(body: Readonly<Record<string, unknown>>): ChatTurn[] {
  const parts: ContentPart[] = []
  const waiting: unknown[] = [body]
  // breadth first, so that depth costs no stack
  for (const value of waiting) {
    if (typeof value === 'string') parts.push({ type: 'text', text: value })
    else if (typeof value === 'object' && value !== null) {
      const { type } = value as { type?: unknown }
      if (typeof type === 'string' && type.includes('image')) parts.push({ type })
      for (const inner of Object.values(value)) waiting.push(inner)
    }
  }
  return [{ role: 'user', content: parts }]
}
