import Type from 'typebox'

/** Most parts of a message, tools, models of an allow-list and keys of metadata in one request. */
export const LIST_LIMIT = 1000
/** Most messages of one request. */
export const MESSAGES_LIMIT = 10_000

/** One chat message, as OpenAI clients send it; content parts other than text carry no text to route on. */
export const ChatMessage = Type.Object({
  role: Type.String({ minLength: 1 }),
  content: Type.Union([
    Type.String(),
    Type.Null(),
    Type.Array(Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) }), {
      maxItems: LIST_LIMIT,
    }),
  ]),
})
export type ChatMessage = Type.Static<typeof ChatMessage>

/** What a prompt may arrive as: its text, or the conversation that it ends. */
export type PromptInput = string | readonly ChatMessage[]

/**
 * The one function, in training and in serving, that makes a conversation into the text that is encoded.
 * A single user message is its own text, so that a plain prompt and the same prompt sent as chat route
 * alike. Longer conversations keep every turn in order, each headed by its role. The names of tools, where
 * there are any, stand in a line before all of it.
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
  if (content === null) return ''
  if (typeof content === 'string') return content
  return content
    .map((part) => part.text ?? '')
    .filter(Boolean)
    .join('\n')
}
