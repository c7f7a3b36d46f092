import Type from 'typebox'

/** Maximum number of message parts, tools, allow-list models and metadata keys in one request. */
export const LIST_LIMIT = 1000
/** Maximum length of names in a request (roles, tools, models, types of parts), in UTF-16 units. */
export const NAME_LIMIT = 200
/** Maximum length of a request's metadata as JSON, in UTF-16 units. */
export const METADATA_LIMIT = 65_536
/** Maximum number of messages in one request. */
export const MESSAGES_LIMIT = 10_000

/** One chat message as OpenAI clients send it; only text content parts are used for routing. */
export const ChatMessage = Type.Object({
  role: Type.String({ minLength: 1, maxLength: NAME_LIMIT }),
  /** absent or null in turns that only call tools */
  content: Type.Optional(
    Type.Union([
      Type.String(),
      Type.Null(),
      Type.Array(
        Type.Object({
          type: Type.String({ maxLength: NAME_LIMIT }),
          text: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        }),
        {
          maxItems: LIST_LIMIT,
        },
      ),
    ]),
  ),
})
export type ChatMessage = Type.Static<typeof ChatMessage>

/** A prompt as plain text, or as a conversation. */
export type PromptInput = string | readonly ChatMessage[]

/**
 * Converts a conversation into the text that is encoded; the only such function, used in training and
 * serving. A single user message becomes its plain text, so a plain prompt and the same prompt sent as chat
 * are routed alike. Longer conversations keep every turn in order, each preceded by its role. Tool names, if
 * any, go on a line before everything else.
 */
export function promptText(
  input: PromptInput,
  system?: string,
  tools: readonly string[] = [],
): string {
  const text = spokenText(input, system)
  return tools.length > 0 ? `tools: ${tools.join(', ')}\n\n${text}` : text
}

function spokenText(input: PromptInput, system: string | undefined): string {
  if (typeof input === 'string') return system ? `system: ${system}\n\n${input}` : input
  const turns = input.map((message) => ({ role: message.role, text: contentText(message.content) }))
  if (system) turns.unshift({ role: 'system', text: system })
  const spoken = turns.filter((turn) => turn.text !== '')
  const only = spoken[0]
  if (spoken.length === 1 && only?.role === 'user') return only.text
  if (spoken.length === 2 && only?.role === 'system' && spoken[1]?.role === 'user') {
    return `system: ${only.text}\n\n${spoken[1].text}`
  }
  return spoken.map((turn) => `${turn.role}: ${turn.text}`).join('\n\n')
}

function contentText(content: ChatMessage['content']): string {
  if (content === null || content === undefined) return ''
  if (typeof content === 'string') return content
  return content
    .map((part) => part.text ?? '')
    .filter(Boolean)
    .join('\n')
}
