import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../core/errors.ts'
import { firstFault } from '../core/schema-fault.ts'

const RATES = {
  input: Type.Number({ minimum: 0 }),
  output: Type.Number({ minimum: 0 }),
  /** for prompt tokens that the provider read from its cache; `input` if absent */
  cached_input: Type.Optional(Type.Number({ minimum: 0 })),
  /** for prompt tokens that the provider wrote to its cache; `input` if absent */
  cache_write: Type.Optional(Type.Number({ minimum: 0 })),
}
const Rates = Type.Object(RATES)
/** US dollars per million tokens. */
export type Rates = Type.Static<typeof Rates>

/** What a model costs, in US dollars per million tokens. */
export const Price = Type.Object(
  {
    ...RATES,
    /** the rates of prompts with more tokens than `above`, for prompt and answer alike; the highest counts */
    tiers: Type.Optional(
      Type.Array(
        Type.Object(
          { above: Type.Integer({ minimum: 1 }), ...RATES },
          { additionalProperties: false },
        ),
        { minItems: 1 },
      ),
    ),
  },
  { additionalProperties: false },
)
export type Price = Type.Static<typeof Price>

/** The rates of a prompt with so many tokens. */
export function ratesFor(price: Price, inputTokens: number): Rates {
  let rates: Rates = price
  let highest = 0
  for (const tier of price.tiers ?? []) {
    if (inputTokens <= tier.above || tier.above < highest) continue
    highest = tier.above
    rates = tier
  }
  return rates
}

/** Characters per token, assumed if no token count is logged; about four in English. */
export const CHARACTERS_PER_TOKEN = 4

/** Estimated US dollars of one request, from its prompt's characters and expected answer tokens. */
export function estimateCost(price: Price, promptCharacters: number, outputTokens: number): number {
  const inputTokens = promptCharacters / CHARACTERS_PER_TOKEN
  const { input, output } = ratesFor(price, inputTokens)
  return (inputTokens * input + outputTokens * output) / 1e6
}

/** A JSON price file: US dollars per million tokens for each model. */
const PriceFile = Type.Record(Type.String({ minLength: 1 }), Price)

const check = Compile(PriceFile)

/** A price below this many dollars per million tokens is one per token or per thousand, unless it is 0. */
const LEAST_PRICE = 1e-3

/**
 * Reads a JSON price file: US dollars per million tokens for each model (`Price`); or a list whose field names
 * say the unit, as LiteLLM's `model_prices_and_context_window.json` does (`input_cost_per_token`, also
 * `..._per_1k_tokens` and `..._per_1m_tokens`); or OpenRouter's `{data: [{id, pricing}]}`, per token. Models that are
 * not billed by the token are left out. Rates of long prompts (`..._above_200k_tokens`) become tiers.
 *
 * @throws file_not_found, or config_invalid naming the model and field, also for a price that is too small to
 *   be one per million tokens
 */
export async function readPrices(path: string): Promise<Map<string, Price>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (cause) {
    const got = (cause as Error).message
    throw new WeirError('config_invalid', { where: path, expected: 'JSON', got }, { cause })
  }
  const prices = listedPrices(value, path) ?? value
  if (!check.Check(prices)) {
    const { field, expected, got } = firstFault(check.Errors(prices), prices)
    throw new WeirError('config_invalid', { where: `${path}: ${field}`, expected, got })
  }
  const read = new Map(Object.entries(prices))
  for (const [model, price] of read) expectPerMillion(model, price, path)
  return read
}

/** @throws config_invalid if the price must be one per token or per thousand tokens */
export function expectPerMillion(model: string, price: Price, where: string): void {
  for (const [field, dollars] of Object.entries(price)) {
    if (typeof dollars !== 'number' || dollars === 0 || dollars >= LEAST_PRICE) continue
    const [likely, factor] = dollars < 1e-5 ? ['token', 1e6] : ['thousand tokens', 1e3]
    throw new WeirError('config_invalid', {
      where: `${where}: ${model}.${field}`,
      expected: `US dollars per million tokens, of which ${dollars} is too few: it looks like a price per ${likely}`,
      got: `${dollars} (${rounded(dollars * Number(factor))} per million then)`,
    })
  }
}

/** What price lists call our fields, without the unit. */
const LISTED: Readonly<Record<string, keyof Rates>> = {
  ...{ input: 'input', input_cost: 'input', input_price: 'input', prompt: 'input' },
  ...{ output: 'output', output_cost: 'output', output_price: 'output', completion: 'output' },
  ...{ cache_read_input: 'cached_input', cache_read_input_cost: 'cached_input' },
  ...{
    cached_input: 'cached_input',
    cached_input_cost: 'cached_input',
    input_cache_read: 'cached_input',
  },
  ...{ cache_creation_input: 'cache_write', cache_creation_input_cost: 'cache_write' },
  ...{
    cache_write: 'cache_write',
    cache_write_cost: 'cache_write',
    input_cache_write: 'cache_write',
  },
}

/** Of `input_cost_per_token` and `cache_read_input_token_cost`: the field, and how many go to a million tokens. */
function listedField(name: string): readonly [field: keyof Rates, factor: number] | undefined {
  const unit = /_per_(token|1k_?(?:tokens)?|1m_?(?:tokens)?|m(?:illion)?_?(?:tokens)?|mtok)$/.exec(
    name,
  )
  const field = LISTED[unit ? name.slice(0, unit.index) : name.replace(/_token_cost$/, '_cost')]
  if (field === undefined || (!unit && !name.endsWith('_token_cost'))) return undefined
  return [field, !unit || unit[1] === 'token' ? 1e6 : unit[1]!.startsWith('1k') ? 1e3 : 1]
}

type Entry = Readonly<Record<string, unknown>>

/** A list of prices by names that say their unit, as prices per million; undefined if the file is not one. */
function listedPrices(value: unknown, path: string): Record<string, Price> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const data = (value as { data?: unknown }).data
  const models: readonly (readonly [string, Entry])[] = Array.isArray(data)
    ? data.flatMap((item) => openRouterEntry(item))
    : Object.entries(value).filter(
        ([name, model]) => typeof model === 'object' && model !== null && name !== 'sample_spec',
      )
  let listed = false
  const prices: [string, Price][] = []
  for (const [name, model] of models) {
    const fields: Partial<Record<keyof Rates, number>> = {}
    const tiers = new Map<number, Partial<Record<keyof Rates, number>>>()
    for (const [key, dollars] of Object.entries(model)) {
      const long = /^(.+)_above_(\d+)k_tokens$/.exec(key)
      const found = listedField(long?.[1] ?? key)
      if (!found || dollars === null) continue
      listed = true
      const number =
        typeof dollars === 'string' && dollars.trim() !== '' ? Number(dollars) : dollars
      if (typeof number !== 'number' || !(number >= 0)) {
        // OpenRouter's router models have -1: their price is that of the model they choose
        if (Array.isArray(data)) continue
        const where = `${path}: ${name}.${key}`
        throw new WeirError('config_invalid', { where, expected: 'US dollars', got: dollars })
      }
      const above = Number(long?.[2] ?? 0) * 1000
      const its = long ? (tiers.get(above) ?? {}) : fields
      if (long) tiers.set(above, its)
      its[found[0]] = rounded(number * found[1])
    }
    const { input, output } = fields
    if (input === undefined || output === undefined) continue
    const higher = [...tiers].map(([above, rates]) => ({
      above,
      ...fields,
      input,
      output,
      ...rates,
    }))
    prices.push([
      name,
      { ...fields, input, output, ...(higher.length > 0 ? { tiers: higher } : {}) },
    ])
  }
  return listed ? Object.fromEntries(prices) : undefined
}

function openRouterEntry(item: unknown): (readonly [string, Entry])[] {
  const { id, pricing } = (item ?? {}) as { id?: unknown; pricing?: unknown }
  if (typeof id !== 'string' || typeof pricing !== 'object' || pricing === null) return []
  const perToken = Object.entries(pricing).map(([name, dollars]) => [`${name}_per_token`, dollars])
  return [[id, Object.fromEntries(perToken)]]
}

/** Without the noise of a product in binary: 1.5e-7 per token is 0.15 per million. */
const rounded = (dollars: number): number => Number(dollars.toPrecision(12))
