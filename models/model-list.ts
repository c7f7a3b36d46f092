import { readFile } from 'node:fs/promises'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import type { Price } from './prices.ts'

/** What a public list says of one model; absent is unknown. */
export interface ListedModel {
  /** tokens of prompt and answer together */
  readonly context?: number
  /** most tokens of an answer */
  readonly outputTokens?: number
  readonly price?: Price
  /** what it takes and does not take */
  readonly features: Readonly<Record<string, boolean>>
}

/**
 * Flags of the list, and the features that they state. A model that reads images is marked, so the mark's
 * absence means no; for the others absence says nothing.
 */
const FLAGS: readonly (readonly [flag: string, feature: string, absence: boolean])[] = [
  ['supports_vision', 'images', true],
  ['supports_audio_input', 'audio', true],
  ['supports_pdf_input', 'files', false],
  ['supports_function_calling', 'tools', true],
  ['supports_response_schema', 'response_format', false],
  ['supports_reasoning', 'reasoning', false],
]

/**
 * Reads a list in the layout of LiteLLM's `model_prices_and_context_window.json`: per model its token limits,
 * US dollars a token, and `supports_*` flags. Entries that are no chat models are left out.
 *
 * @throws file_not_found, or config_invalid naming the model and field
 */
export async function readModelList(path: string): Promise<Map<string, ListedModel>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  const invalid = (where: string, expected: string, got: unknown): WeirError =>
    new WeirError('config_invalid', { where, expected, got })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw invalid(path, 'JSON', (cause as Error).message)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(path, 'an object with a model per field', Array.isArray(value) ? 'a list' : value)
  }
  const models = new Map<string, ListedModel>()
  for (const [name, entry] of Object.entries(value)) {
    // the list begins with a sample that explains the fields
    if (name === 'sample_spec') continue
    if (typeof entry !== 'object' || entry === null) {
      throw invalid(`${path}: ${name}`, 'an object', entry)
    }
    const fields = entry as Readonly<Record<string, unknown>>
    const { mode = 'chat' } = fields
    if (mode !== 'chat' && mode !== 'completion' && mode !== 'responses') continue
    models.set(name, listed(fields, `${path}: ${name}`, invalid))
  }
  if (models.size > 0) return models
  throw invalid(path, 'at least one chat model', 'none')
}

function listed(
  fields: Readonly<Record<string, unknown>>,
  where: string,
  invalid: (where: string, expected: string, got: unknown) => WeirError,
): ListedModel {
  const number = (field: string): number | undefined => {
    const value = fields[field]
    if (value === undefined || value === null) return undefined
    // some entries have their numbers in quotes
    const given = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (typeof given === 'number' && given >= 0) return given
    throw invalid(`${where}.${field}`, 'a number of at least 0', value)
  }
  const tokens = (field: string): number | undefined => number(field) || undefined
  const input = tokens('max_input_tokens')
  const output = tokens('max_output_tokens') ?? (input ? tokens('max_tokens') : undefined)
  // the list has the prompt's limit; the answer's comes on top of it or within, so this is the least
  const context = input ?? tokens('max_tokens')
  const perMillion = (field: string): number | undefined => {
    const price = number(field)
    return price === undefined ? undefined : price * 1e6
  }
  const dollars = {
    input: perMillion('input_cost_per_token'),
    output: perMillion('output_cost_per_token'),
    cached_input: perMillion('cache_read_input_token_cost'),
    cache_write: perMillion('cache_creation_input_token_cost'),
  }
  const priced = dollars.input !== undefined && dollars.output !== undefined
  const features: Record<string, boolean> = {}
  const described = FLAGS.some(([flag]) => flag in fields)
  for (const [flag, feature, absence] of FLAGS) {
    if (typeof fields[flag] === 'boolean') features[feature] = fields[flag]
    else if (absence && described) features[feature] = false
  }
  return definedOnly({
    context,
    outputTokens: output,
    price: priced ? (definedOnly(dollars) as Price) : undefined,
    features,
  }) as ListedModel
}

/** The entry of the first of these names that the list has, with or without its provider before a slash. */
export function findListed(
  list: ReadonlyMap<string, ListedModel>,
  names: readonly string[],
): ListedModel | undefined {
  for (const name of names) {
    const found = list.get(name)
    if (found) return found
  }
  const bare = (name: string): string => name.slice(name.lastIndexOf('/') + 1).toLowerCase()
  for (const name of names) {
    for (const [listedName, entry] of list) if (bare(listedName) === bare(name)) return entry
  }
  return undefined
}
