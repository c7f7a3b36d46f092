import Type from 'typebox'

/** Maximum number of message parts, tools, allow-list models and metadata keys in one request. */
export const LIST_LIMIT = 1000
/** Maximum length of names in a request (roles, tools, models, types of parts), in UTF-16 units. */
export const NAME_LIMIT = 200
/** Maximum length of a request's metadata as JSON, in UTF-16 units. */
export const METADATA_LIMIT = 65_536
/** Maximum number of messages in one request. */
export const MESSAGES_LIMIT = 10_000

/** A list that may be `readonly`, as clients hold conversations. */
export const ReadonlyList = <T extends Type.TSchema>(
  item: T,
  limits: { readonly minItems?: number; readonly maxItems: number },
) => Type.Unsafe<readonly Type.Static<T>[]>(Type.Array(item, limits))

/** One chat message as OpenAI clients send it; only text content parts are used for routing. */
export const ChatMessage = Type.Object({
  role: Type.String({ minLength: 1, maxLength: NAME_LIMIT }),
  /** absent or null in turns that only call tools */
  content: Type.Optional(
    Type.Union([
      Type.String(),
      Type.Null(),
      ReadonlyList(
        Type.Object({
          type: Type.String({ maxLength: NAME_LIMIT }),
          text: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        }),
        { maxItems: LIST_LIMIT },
      ),
    ]),
  ),
})
export type ChatMessage = Type.Static<typeof ChatMessage>

/** A prompt as plain text, or as a conversation. */
export type PromptInput = string | readonly ChatMessage[]

/** The text of a message: its parts, one per line; empty without text. */
export function contentText(content: ChatMessage['content']): string {
  if (content === null || content === undefined) return ''
  if (typeof content === 'string') return content
  return content
    .map((part) => part.text ?? '')
    .filter(Boolean)
    .join('\n')
}
