import Type from 'typebox'
import { Compile } from 'typebox/compile'

const Count = Type.Integer({ minimum: 0 })

/** One model's part in one request: a request that asked two models has two lines with one id. */
export const SpendLine = Type.Object({
  object: Type.Literal('spend'),
  id: Type.String(),
  /** when the request ended, milliseconds since 1970 */
  time: Type.Number(),
  key: Type.String(),
  route: Type.String(),
  model: Type.String(),
  /** 1 on the line of the model that answered (of the first asked, where none did), 0 on the others */
  requests: Type.Union([Type.Literal(0), Type.Literal(1)]),
  /** questions to upstreams */
  attempts: Count,
  input_tokens: Type.Number({ minimum: 0 }),
  output_tokens: Type.Number({ minimum: 0 }),
  /** of the input */
  cached_tokens: Type.Optional(Type.Number({ minimum: 0 })),
  cost_usd: Type.Number({ minimum: 0 }),
  /** against the dearest of the models that could have answered */
  saved_usd: Type.Optional(Type.Number()),
  /** attempts that may have been billed and that nobody counted: price or tokens are not known */
  uncounted: Type.Optional(Count),
})
export type SpendLine = Type.Static<typeof SpendLine>

const check = Compile(SpendLine)

export function parseSpendLine(text: string): SpendLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}
