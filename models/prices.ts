import Type from 'typebox'

/** What a model costs, in US dollars per million tokens. */
export const Price = Type.Object(
  {
    input: Type.Number({ minimum: 0 }),
    output: Type.Number({ minimum: 0 }),
    /** of prompt tokens that the provider read from its cache; `input` where absent */
    cached_input: Type.Optional(Type.Number({ minimum: 0 })),
    /** of prompt tokens that it wrote to its cache; `input` where absent */
    cache_write: Type.Optional(Type.Number({ minimum: 0 })),
  },
  { additionalProperties: false },
)
export type Price = Type.Static<typeof Price>

/** Tokens a prompt is taken to hold where no count is logged: about four characters each in English. */
export const CHARACTERS_PER_TOKEN = 4

/** US dollars of one request, from its prompt's characters and an expected answer length in tokens. */
export function estimateCost(price: Price, promptCharacters: number, outputTokens: number): number {
  const inputTokens = promptCharacters / CHARACTERS_PER_TOKEN
  return (inputTokens * price.input + outputTokens * price.output) / 1e6
}
