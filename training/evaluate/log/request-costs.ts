import { WeirError } from '../../../core/errors.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { modelIndex } from '../../../data/pair.ts'
import type { Candidate } from '../../../models/bundle/manifest.ts'
import { CHARACTERS_PER_TOKEN, estimateCost, type Price } from '../../../models/prices.ts'
import { promptCharacters } from '../../../models/reading/recipe.ts'

export interface RequestCosts {
  /** US dollars per request, one per prompt */
  readonly strong: Float64Array
  readonly weak: Float64Array
  /** where the dollars come from, in words, for the certificate */
  readonly basis: string
}

/**
 * The cost of each prompt with either model: the log's costs if every row has them; otherwise from prices and
 * answer lengths, which are the log's, or the bundle's mean lengths, or else assumed equal to the prompts'; and
 * what waiting for its answers counts as. Undefined if neither costs nor prices are known.
 */
export function requestCosts(
  dataset: Dataset,
  prompts: Int32Array,
  strong: Candidate,
  weak: Candidate,
): RequestCosts | undefined {
  const billed = billedCosts(dataset, prompts, strong, weak)
  const waits = [strong.wait_usd ?? 0, weak.wait_usd ?? 0] as const
  if (!billed || waits.every((usd) => usd === 0)) return billed
  return {
    strong: billed.strong.map((usd) => usd + waits[0]),
    weak: billed.weak.map((usd) => usd + waits[1]),
    basis: `${billed.basis}${WITH_WAITING}`,
  }
}

/** Added to where dollars come from, if waiting counts in them. */
export const WITH_WAITING = ', and what waiting counts as'

function billedCosts(
  dataset: Dataset,
  prompts: Int32Array,
  strong: Candidate,
  weak: Candidate,
): RequestCosts | undefined {
  const logged = [strong, weak].map((candidate) =>
    column(dataset, 'costs', prompts, candidate.model),
  )
  if (logged[0] && logged[1]) {
    const basis = hasEstimates(dataset, dataset.estimates?.costs, prompts)
      ? `${LOGGED_DOLLARS}, of the model that was not asked estimated (doubly robust)`
      : LOGGED_DOLLARS
    return { strong: logged[0], weak: logged[1], basis }
  }
  const priced = [strong, weak].map((candidate) => pricedCosts(dataset, prompts, candidate))
  if (!priced[0] || !priced[1]) return undefined
  const bases = [...new Set(priced.map((side) => side!.basis))]
  return {
    strong: priced[0].costs,
    weak: priced[1].costs,
    basis: `prices, a token for every ${CHARACTERS_PER_TOKEN} characters of the prompt, answers ${bases.join(' or ')}`,
  }
}

function pricedCosts(
  dataset: Dataset,
  prompts: Int32Array,
  { model, price, output_tokens: mean }: Candidate,
): { costs: Float64Array; basis: string } | undefined {
  if (!price) return undefined
  const tokens = column(dataset, 'tokens', prompts, model)
  const basis = tokens
    ? 'as long as logged'
    : mean !== undefined
      ? `of the mean length in the training log`
      : 'taken to be as long as their prompts'
  const costs = Float64Array.from(prompts, (prompt, i) => {
    const characters = promptCharacters(dataset.prompts[prompt]!)
    return estimateCost(price, characters, tokens?.[i] ?? mean ?? characters / CHARACTERS_PER_TOKEN)
  })
  return { costs, basis }
}

/**
 * One model's dollars or tokens, estimated for prompts that only the other model of the pair answered; undefined
 * unless they are known for every given prompt.
 */
function column(
  dataset: Dataset,
  kind: 'costs' | 'tokens',
  prompts: Int32Array,
  model: string,
): Float64Array | undefined {
  const matrix = dataset.outcomes?.[kind]
  if (!matrix || prompts.length === 0) return undefined
  const width = dataset.models.length
  const at = modelIndex(dataset, model)
  const { estimates } = dataset
  const role = estimates?.strong === at ? 0 : estimates?.weak === at ? 1 : undefined
  const estimate = role === undefined ? undefined : estimates?.[kind]
  const values = Float64Array.from(prompts, (prompt) => {
    const guess = estimate?.[2 * prompt + role!] ?? Number.NaN
    return Number.isNaN(guess) ? matrix[prompt * width + at]! : guess
  })
  return values.some(Number.isNaN) ? undefined : values
}

const hasEstimates = (
  { estimates }: Dataset,
  values: Float64Array | undefined,
  prompts: Int32Array,
): boolean =>
  estimates !== undefined && (values ? prompts.some((p) => !Number.isNaN(values[2 * p]!)) : false)

export const LOGGED_DOLLARS = 'dollars as logged'

/** What a second of waiting is worth, and the seconds that an answer of each model takes. */
export interface Waiting {
  readonly seconds: ReadonlyMap<string, number>
  readonly secondUsd: number
}

/** The candidates with what waiting for their answers counts as. @throws option_invalid unless the seconds of each are known */
export function withWaiting(
  candidates: readonly Candidate[],
  { seconds, secondUsd }: Waiting,
): Candidate[] {
  const known = candidates.map(({ model }) => model)
  const other = [...seconds.keys()].find((model) => !known.includes(model))
  const missing = known.find((model) => !seconds.has(model))
  if (other !== undefined || missing !== undefined) {
    throw new WeirError('option_invalid', {
      option: '--seconds',
      expected: `one for each of ${known.join(', ')}`,
      got: other ?? `none for ${missing}`,
    })
  }
  return candidates.map((candidate) => ({
    ...candidate,
    wait_usd: seconds.get(candidate.model)! * secondUsd,
  }))
}

/** The candidates with some prices replaced. Refuses a price for any other model. */
export function withPrices(
  candidates: readonly Candidate[],
  prices: ReadonlyMap<string, Price> | undefined,
): Candidate[] {
  for (const model of prices?.keys() ?? []) {
    if (!candidates.some((candidate) => candidate.model === model)) {
      const known = candidates.map((candidate) => candidate.model)
      throw new WeirError('option_invalid', {
        option: '--price',
        expected: `one of ${known.join(', ')}`,
        got: model,
      })
    }
  }
  return candidates.map((candidate) => {
    const price = prices?.get(candidate.model)
    return price ? { ...candidate, price } : candidate
  })
}
