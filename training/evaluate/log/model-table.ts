import { WeirError } from '../../../core/errors.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { modelIndex } from '../../../data/pair.ts'
import type { Candidate } from '../../../models/bundle/manifest.ts'
import { expectedCost, weighedCost } from '../../../models/decision/choice.ts'
import { CHARACTERS_PER_TOKEN, estimateCost } from '../../../models/prices.ts'
import { promptCharacters } from '../../../models/reading/recipe.ts'
import { WITH_WAITING } from './request-costs.ts'

export interface LogTable extends ModelTable {
  /** indices into the dataset's prompts */
  readonly prompts: Int32Array
  /** where the dollars come from, in words */
  readonly basis: string
}

/**
 * Indices of the dataset's prompts on which all of the models were observed, ascending.
 *
 * @throws model_unknown; rows_too_few if the log has no outcomes
 */
export function completePrompts(dataset: Dataset, models: readonly string[]): Int32Array {
  const columns = models.map((model) => modelIndex(dataset, model))
  const { outcomes } = dataset
  if (!outcomes) {
    const what = `with a score of each of ${models.join(', ')} (votes do not score single models)`
    throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
  }
  const width = dataset.models.length
  const complete = (prompt: number): boolean =>
    columns.every((column) => !Number.isNaN(outcomes.scores[prompt * width + column]!))
  return Int32Array.from(dataset.prompts.keys()).filter(complete)
}

/**
 * The logged scores of these prompts and candidates, with costs: as logged if every cell has them; otherwise
 * from prices and the answer's length as logged, or as expected if it was not logged.
 *
 * @throws calibration_needs if a candidate has no price and the costs of its requests are not known
 */
export function logTable(
  dataset: Dataset,
  prompts: Int32Array,
  candidates: readonly Candidate[],
): LogTable {
  const m = candidates.length
  const columns = candidates.map(({ model }) => modelIndex(dataset, model))
  const width = dataset.models.length
  const cells = (of: (prompt: number, k: number) => number): Float64Array => {
    const values = new Float64Array(prompts.length * m)
    prompts.forEach((prompt, i) => {
      for (let k = 0; k < m; k++) values[i * m + k] = of(prompt, k)
    })
    return values
  }
  const { scores, costs, tokens } = dataset.outcomes!
  const table = {
    models: candidates.map(({ model }) => model),
    rows: prompts.length,
    prompts,
    scores: cells((prompt, k) => scores[prompt * width + columns[k]!]!),
  }
  const waits = candidates.map(({ wait_usd: usd = 0 }) => usd)
  const waiting = waits.some((usd) => usd > 0) ? WITH_WAITING : ''
  const logged = costs && cells((prompt, k) => costs[prompt * width + columns[k]!]! + waits[k]!)
  if (logged && !logged.some(Number.isNaN)) {
    return { ...table, costs: logged, basis: `dollars as logged${waiting}` }
  }
  const unknown = candidates.find((candidate) => expectedCost(candidate, 0) === undefined)
  if (unknown) {
    throw new WeirError('calibration_needs', {
      target: `a choice among ${m} models`,
      needed: `a price of ${unknown.model}: --price ${unknown.model}=input/output, or costs in the log`,
    })
  }
  const priced = cells((prompt, k) => {
    const candidate = candidates[k]!
    const characters = promptCharacters(dataset.prompts[prompt]!)
    const length = tokens?.[prompt * width + columns[k]!] ?? Number.NaN
    return candidate.price && !Number.isNaN(length)
      ? estimateCost(candidate.price, characters, length) + waits[k]!
      : weighedCost(candidate, characters)!
  })
  const lengths = tokens ? 'as long as logged' : 'as long as expected'
  const basis = `prices, a token for every ${CHARACTERS_PER_TOKEN} characters of the prompt, answers ${lengths}${waiting}`
  return { ...table, costs: priced, basis }
}

/** The expected cost of each candidate on these prompts; prompts x candidates. */
export function expectedCosts(
  candidates: readonly Candidate[],
  prompts: readonly string[],
): Float64Array {
  const m = candidates.length
  const costs = new Float64Array(prompts.length * m)
  prompts.forEach((prompt, i) => {
    candidates.forEach((candidate, k) => {
      costs[i * m + k] = weighedCost(candidate, promptCharacters(prompt)) ?? Number.NaN
    })
  })
  return costs
}

/** Observations of n prompts and m models; matrices are n x m, row-major. */
export interface ModelTable {
  readonly models: readonly string[]
  readonly rows: number
  /** in [0, 1]; all are observed */
  readonly scores: Float64Array
  /** US dollars of the request */
  readonly costs: Float64Array
}

/** A router's predictions for the same prompts and models. */
export interface Expectations {
  readonly quality: Float64Array
  /** US dollars */
  readonly costs: Float64Array
}

/** The mean of one model's column over the prompts, each weighted by `counts`. */
export function columnMean(
  values: Float64Array,
  m: number,
  model: number,
  counts?: ArrayLike<number>,
): number {
  let sum = 0
  let drawn = 0
  for (let i = 0, at = model; at < values.length; i++, at += m) {
    const count = counts ? counts[i]! : 1
    sum += count * values[at]!
    drawn += count
  }
  return sum / drawn
}

/** The given rows, in the given order. */
export function takeTable(table: ModelTable, rows: ArrayLike<number>): ModelTable {
  const m = table.models.length
  return {
    models: table.models,
    rows: rows.length,
    scores: takeMatrix(table.scores, m, rows),
    costs: takeMatrix(table.costs, m, rows),
  }
}

export function takeMatrix(values: Float64Array, m: number, rows: ArrayLike<number>): Float64Array {
  const taken = new Float64Array(rows.length * m)
  for (let i = 0; i < rows.length; i++) {
    taken.set(values.subarray(rows[i]! * m, (rows[i]! + 1) * m), i * m)
  }
  return taken
}
