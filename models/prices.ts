import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../core/errors.ts'
import { firstFault } from '../core/schema-fault.ts'

/** What a model costs, in US dollars per million tokens. */
export const Price = Type.Object(
  {
    input: Type.Number({ minimum: 0 }),
    output: Type.Number({ minimum: 0 }),
    /** for prompt tokens that the provider read from its cache; `input` if absent */
    cached_input: Type.Optional(Type.Number({ minimum: 0 })),
    /** for prompt tokens that the provider wrote to its cache; `input` if absent */
    cache_write: Type.Optional(Type.Number({ minimum: 0 })),
  },
  { additionalProperties: false },
)
export type Price = Type.Static<typeof Price>

/** Characters per token, assumed if no token count is logged; about four in English. */
export const CHARACTERS_PER_TOKEN = 4

/** Estimated US dollars of one request, from its prompt's characters and expected answer tokens. */
export function estimateCost(price: Price, promptCharacters: number, outputTokens: number): number {
  const inputTokens = promptCharacters / CHARACTERS_PER_TOKEN
  return (inputTokens * price.input + outputTokens * price.output) / 1e6
}

/** A JSON price file: US dollars per million tokens for each model. */
const PriceFile = Type.Record(Type.String({ minLength: 1 }), Price)

const check = Compile(PriceFile)

/** @throws file_not_found, or config_invalid naming the model and field */
export async function readPrices(path: string): Promise<Map<string, Price>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const got = (cause as Error).message
    throw new WeirError('config_invalid', { where: path, expected: 'JSON', got }, { cause })
  }
  if (check.Check(value)) return new Map(Object.entries(value))
  const { field, expected, got } = firstFault(check.Errors(value), value)
  throw new WeirError('config_invalid', { where: `${path}: ${field}`, expected, got })
}
