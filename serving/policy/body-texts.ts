/** What is in a body: every text of it, however deep, and whether there are pictures. */
export interface BodyTexts {
  readonly texts: readonly string[]
  readonly images: boolean
}

/** Fields whose values name things of the protocol, digits and all: nobody's words. */
const NAMES = new Set([
  ...['role', 'type', 'model', 'id', 'tool_call_id', 'call_id', 'item_id', 'previous_response_id'],
  ...['user', 'safety_identifier', 'prompt_cache_key', 'service_tier', 'finish_reason'],
])

export function bodyTexts(body: unknown): BodyTexts {
  const texts: string[] = []
  let images = false
  const waiting: unknown[] = [body]
  // breadth first, so that depth costs no stack
  for (const value of waiting) {
    // files as data URLs hold no text to look at
    if (typeof value === 'string' && !value.startsWith('data:')) texts.push(value)
    else if (typeof value === 'object' && value !== null) {
      const { type } = value as { type?: unknown }
      if (typeof type === 'string' && type.includes('image')) images = true
      for (const [field, inner] of Object.entries(value)) {
        if (!NAMES.has(field)) waiting.push(inner)
      }
    }
  }
  return { texts, images }
}
