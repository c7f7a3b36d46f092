import { WeirError } from '../core/errors.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { modelIndex } from '../data/pair.ts'
import { CHARACTERS_PER_TOKEN, estimateCost, type Price } from '../models/prices.ts'

export interface ModelsOptions {
  /** models by name, or every model of the log */
  readonly models: readonly string[] | 'all'
  readonly strong?: string | undefined
  readonly weak?: string | undefined
  readonly prices?: ReadonlyMap<string, Price> | undefined
}

export interface ChosenModels {
  /** with only these models' columns and votes */
  readonly dataset: Dataset
  readonly strong: string
  readonly weak: string
  /**
   * mean score and US dollars of each model on the train rows, in the dataset's order; the choice is based on
   * them
   */
  readonly standings: readonly ModelStanding[]
}

export interface ModelStanding {
  readonly model: string
  /** mean score, or mean vote where there are no scores; NaN where nothing was observed */
  readonly quality: number
  /** US dollars per request; NaN where neither costs nor a price are known */
  readonly cost: number
}

/**
 * The models to choose among. Unless they are named, the strong model is the best one on the train rows and
 * the weak model the cheapest of the others.
 *
 * @throws model_unknown, models_equal, option_invalid where there are fewer than two or a price is missing
 */
export function chooseModels(all: Dataset, options: ModelsOptions): ChosenModels {
  const wanted = options.models === 'all' ? all.models : [...new Set(options.models)]
  if (wanted.length < 2) {
    const expected = 'at least two models of the log, or all'
    throw new WeirError('option_invalid', { option: '--models', expected, got: wanted.join(',') })
  }
  const dataset = withModels(all, wanted)
  for (const named of [options.strong, options.weak]) if (named) modelIndex(dataset, named)
  const standings = dataset.models.map((model, k) => ({
    model,
    quality: meanQuality(dataset, k),
    cost: meanCost(dataset, k, options.prices?.get(model)),
  }))
  const unpriced = standings.filter(({ cost }) => Number.isNaN(cost))
  if (unpriced.length > 0) {
    const names = unpriced.map(({ model }) => model).join(', ')
    throw new WeirError('option_invalid', {
      option: '--price',
      expected: `a price for each of --models (the log has no costs): MODEL=in/out of ${names}`,
      got: 'none',
    })
  }
  const strong = options.strong ?? top(standings, ({ quality }) => quality, options.weak)
  const weak = options.weak ?? top(standings, ({ cost }) => -cost, strong)
  if (strong === weak) throw new WeirError('models_equal', { model: strong })
  return { dataset, strong, weak, standings }
}

function top(
  standings: readonly ModelStanding[],
  by: (standing: ModelStanding) => number,
  but: string | undefined,
): string {
  const rest = standings.filter(({ model }) => model !== but)
  return rest.reduce((a, b) => (by(b) > by(a) || Number.isNaN(by(a)) ? b : a)).model
}

/** The dataset with the columns of only some of its models, and the votes between those models. */
export function withModels(dataset: Dataset, wanted: readonly string[]): Dataset {
  const models = [...wanted].sort()
  const columns = models.map((model) => modelIndex(dataset, model))
  const { outcomes, preferences } = dataset
  const width = dataset.models.length
  const take = (values: Float32Array): Float32Array => {
    const taken = new Float32Array(dataset.prompts.length * models.length)
    for (let i = 0; i < dataset.prompts.length; i++) {
      columns.forEach((column, k) => {
        taken[i * models.length + k] = values[i * width + column]!
      })
    }
    return taken
  }
  const place = new Map(columns.map((column, k) => [column, k]))
  const votes = preferences
    ? Int32Array.from(preferences.prompt.keys()).filter(
        (i) => place.has(preferences.modelA[i]!) && place.has(preferences.modelB[i]!),
      )
    : undefined
  return {
    ...dataset,
    models,
    ...(outcomes && {
      outcomes: {
        scores: take(outcomes.scores),
        ...(outcomes.costs && { costs: take(outcomes.costs) }),
        ...(outcomes.tokens && { tokens: take(outcomes.tokens) }),
        ...(outcomes.propensities && { propensities: take(outcomes.propensities) }),
        ...(outcomes.weak && { weak: take(outcomes.weak) }),
      },
    }),
    ...(preferences &&
      votes && {
        preferences: {
          prompt: votes.map((i) => preferences.prompt[i]!),
          modelA: votes.map((i) => place.get(preferences.modelA[i]!)!),
          modelB: votes.map((i) => place.get(preferences.modelB[i]!)!),
          label: Float32Array.from(votes, (i) => preferences.label[i]!),
          weight: Float32Array.from(votes, (i) => preferences.weight[i]!),
          bothBad: Uint8Array.from(votes, (i) => preferences.bothBad[i]!),
          judge: votes.map((i) => preferences.judge[i]!),
          ...(preferences.propensity && {
            propensity: Float32Array.from(votes, (i) => preferences.propensity![i]!),
          }),
        },
      }),
  }
}

const TRAIN = SPLITS.indexOf('train')

/** Mean of `of` over the train prompts, ignoring NaN. */
export function trainMean(dataset: Dataset, of: (prompt: number) => number): number {
  let sum = 0
  let rows = 0
  for (let i = 0; i < dataset.prompts.length; i++) {
    if (dataset.split[i] !== TRAIN) continue
    const value = of(i)
    if (Number.isNaN(value)) continue
    sum += value
    rows++
  }
  return rows > 0 ? sum / rows : Number.NaN
}

/**
 * Computed on the train prompts that all models answered, where there are any, so that a model gains nothing
 * from having been asked only easy ones.
 */
function meanQuality(dataset: Dataset, model: number): number {
  const { outcomes, preferences, models } = dataset
  const m = models.length
  if (outcomes) {
    const scores = outcomes.scores
    const complete = trainMean(dataset, (i) => {
      for (let k = 0; k < m; k++) if (Number.isNaN(scores[i * m + k]!)) return Number.NaN
      return scores[i * m + model]!
    })
    return Number.isNaN(complete) ? trainMean(dataset, (i) => scores[i * m + model]!) : complete
  }
  let won = 0
  let total = 0
  for (let i = 0; i < (preferences?.prompt.length ?? 0); i++) {
    const { prompt, modelA, modelB, label, weight } = preferences!
    if (dataset.split[prompt[i]!] !== TRAIN) continue
    if (modelA[i] === model) won += weight[i]! * label[i]!
    else if (modelB[i] === model) won += weight[i]! * (1 - label[i]!)
    else continue
    total += weight[i]!
  }
  return total > 0 ? won / total : Number.NaN
}

/** Logged costs; otherwise the price times the logged answer length, or the prompt's length where none was logged. */
function meanCost(dataset: Dataset, model: number, price: Price | undefined): number {
  const { outcomes, models, prompts } = dataset
  const m = models.length
  if (outcomes?.costs && !price) return trainMean(dataset, (i) => outcomes.costs![i * m + model]!)
  if (!price) return Number.NaN
  return trainMean(dataset, (i) => {
    const characters = prompts[i]!.length
    const tokens = outcomes?.tokens
      ? outcomes.tokens[i * m + model]!
      : characters / CHARACTERS_PER_TOKEN
    return estimateCost(price, characters, tokens)
  })
}
