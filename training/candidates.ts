import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import type { Candidate } from '../models/bundle/manifest.ts'
import type { Price } from '../models/prices.ts'
import { promptCharacters } from '../models/reading/recipe.ts'
import { trainMean } from './choose-models.ts'

export interface CandidatesInput {
  readonly strong: string
  readonly weak: string
  readonly prices?: ReadonlyMap<string, Price> | undefined
}

/**
 * Every model of the dataset with the expected cost of a request, learned on train rows: its price, its mean
 * answer length, how that length depends on the prompt's (where validation rows confirm the dependence), and
 * the mean logged US dollars of a model without a price.
 */
export function pricedCandidates(dataset: Dataset, input: CandidatesInput): Candidate[] {
  const { strong, weak, prices } = input
  const { outcomes, models } = dataset
  const m = models.length
  return models.map((model, k): Candidate => {
    const price = prices?.get(model)
    const mean = (values: Float32Array | undefined): number =>
      values ? trainMean(dataset, (i) => values[i * m + k]!) : Number.NaN
    const tokens = mean(outcomes?.tokens)
    const cost = price ? Number.NaN : mean(outcomes?.costs)
    const length = Number.isNaN(tokens) ? undefined : outputLength(dataset, k, tokens)
    return {
      model,
      role: model === strong ? 'strong' : model === weak ? 'weak' : 'other',
      ...(price && { price }),
      ...(!Number.isNaN(tokens) && { output_tokens: tokens }),
      ...(length && { output_length: length }),
      ...(!Number.isNaN(cost) && { cost_usd: cost }),
    }
  })
}

const LEAST_ROWS = 50

/**
 * Fits log(answer length) as a linear function of log(prompt length) by least squares on train rows, shifted
 * so that the mean is kept. Returns undefined unless it predicts the validation rows' lengths better than the
 * mean does, by more than one standard error of the difference of the squared errors.
 */
export function outputLength(
  dataset: Dataset,
  model: number,
  mean: number,
): Candidate['output_length'] {
  const train = lengths(dataset, model, 'train')
  const validation = lengths(dataset, model, 'validation')
  if (train.length < LEAST_ROWS || validation.length < LEAST_ROWS) return undefined
  const line = leastSquares(train)
  const raw = train.reduce((sum, { x }) => sum + Math.exp(line.intercept + line.slope * x), 0)
  const intercept = line.intercept + Math.log((mean * train.length) / raw)
  const gains = validation.map(({ x, tokens }) => {
    const expected = Math.exp(intercept + line.slope * x)
    return (tokens - mean) ** 2 - (tokens - expected) ** 2
  })
  const gain = gains.reduce((sum, value) => sum + value, 0) / gains.length
  const squares = gains.reduce((sum, value) => sum + (value - gain) ** 2, 0)
  const error = Math.sqrt(squares) / gains.length
  return gain > error ? { intercept, slope: line.slope } : undefined
}

interface Length {
  /** ln(characters of the prompt + 1) */
  readonly x: number
  readonly tokens: number
}

/** Leaves out answers without tokens, which have no logarithm. */
function lengths(dataset: Dataset, model: number, split: 'train' | 'validation'): Length[] {
  const { outcomes, models, prompts } = dataset
  const wanted = SPLITS.indexOf(split)
  const found: Length[] = []
  for (let i = 0; i < prompts.length; i++) {
    if (dataset.split[i] !== wanted) continue
    const tokens = outcomes!.tokens![i * models.length + model]!
    if (tokens > 0) found.push({ x: Math.log(promptCharacters(prompts[i]!) + 1), tokens })
  }
  return found
}

function leastSquares(rows: readonly Length[]): { intercept: number; slope: number } {
  const n = rows.length
  const meanX = rows.reduce((sum, { x }) => sum + x, 0) / n
  const meanY = rows.reduce((sum, { tokens }) => sum + Math.log(tokens), 0) / n
  let xx = 0
  let xy = 0
  for (const { x, tokens } of rows) {
    xx += (x - meanX) ** 2
    xy += (x - meanX) * (Math.log(tokens) - meanY)
  }
  const slope = xx > 0 ? xy / xx : 0
  return { intercept: meanY - slope * meanX, slope }
}
