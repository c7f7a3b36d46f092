import { Z_95 } from '../../core/stats/normal.ts'
import type { Dataset, PairEstimates } from '../../data/dataset/dataset.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { effectiveSampleSize } from './logged.ts'

/** What is known of each evaluated prompt that one model answered; NaN columns where both did. */
export interface SingleRows {
  /**
   * n: 1 if the strong model's answer has a score, 0 if the weak one's has; 2 for prompts that are no single answers,
   * 3 for one answer without a score
   */
  readonly asked: Uint8Array
  /** n: the score of the answer */
  readonly score: Float64Array
  /** n x 2, strong then weak: probability that the model was asked and its answer got a score */
  readonly observed: Float64Array
  /** n x 2, strong then weak, in [0, 1] */
  readonly predicted: Float64Array
}

/** The single answers among evaluated prompts, and what estimates from them rest on. */
export interface SingleEvidence {
  readonly rows: SingleRows
  readonly summary: Observational
}

/** How a figure depends on a row's scores: its coefficient of the strong (0) and of the weak (1) model's. */
export type Coefficient = (row: number, model: 0 | 1) => number

/** What makes the errors of means larger than the rows themselves show (`errorFloor`). */
export interface LeastError {
  /** Student's 97.5% point over the normal one */
  readonly stretch: number
  /** by how much the variance of a mean over all rows may be larger than the rows' own says, at least 0 */
  added(of: Coefficient): number
}

const NO_SINGLE = 2
const NOT_RATED = 3
/** Confounders stronger than this are not looked for. */
const MOST_GAMMA = 50

/**
 * The single answers among the given prompts; undefined if the dataset has no estimates for them.
 *
 * @param strongModel the model that the evaluation calls strong
 */
export function singleEvidence(
  { estimates, outcomes, models }: Dataset,
  prompts: Int32Array,
  strongModel: string,
): SingleEvidence | undefined {
  if (!estimates || !outcomes) return undefined
  const n = prompts.length
  const m = models.length
  const rows = {
    asked: new Uint8Array(n).fill(NO_SINGLE),
    score: new Float64Array(n),
    observed: new Float64Array(2 * n),
    predicted: new Float64Array(2 * n),
  }
  const { strong, weak, propensity, predicted, response } = turned(
    estimates,
    models.indexOf(strongModel) !== estimates.strong,
  )
  let found = false
  for (let i = 0; i < n; i++) {
    const prompt = prompts[i]!
    if (Number.isNaN(propensity(prompt))) continue
    const [own, other] = [strong, weak].map((model) => outcomes.scores[prompt * m + model]!)
    found = true
    rows.asked[i] = !Number.isNaN(own!) ? 1 : Number.isNaN(other!) ? NOT_RATED : 0
    rows.score[i] = Number.isNaN(own!) ? other! : own!
    rows.observed[2 * i] = propensity(prompt) * response(prompt, 0)
    rows.observed[2 * i + 1] = (1 - propensity(prompt)) * response(prompt, 1)
    rows.predicted[2 * i] = predicted(prompt, 0)
    rows.predicted[2 * i + 1] = predicted(prompt, 1)
  }
  return found ? { rows, summary: estimates.summary } : undefined
}

/** Some of the rows, in the given order. */
export function takeSingleRows(rows: SingleRows, among: ArrayLike<number>): SingleRows {
  const two = (values: Float64Array): Float64Array =>
    Float64Array.from(
      { length: 2 * among.length },
      (_, at) => values[2 * among[at >> 1]! + (at & 1)]!,
    )
  return {
    asked: Uint8Array.from(among, (i) => rows.asked[i]!),
    score: Float64Array.from(among, (i) => rows.score[i]!),
    observed: two(rows.observed),
    predicted: two(rows.predicted),
  }
}

/** The estimates with the pair's roles as asked for. */
function turned(estimates: PairEstimates, flipped: boolean) {
  const { strong, weak, propensity, predicted, response } = estimates
  return {
    strong: flipped ? weak : strong,
    weak: flipped ? strong : weak,
    propensity: (prompt: number): number =>
      flipped ? 1 - propensity[prompt]! : propensity[prompt]!,
    predicted: (prompt: number, column: number): number =>
      predicted[2 * prompt + (flipped ? 1 - column : column)]!,
    response: (prompt: number, column: number): number =>
      response?.[2 * prompt + (flipped ? 1 - column : column)] ?? 1,
  }
}

/** The effective number of scored answers of each model among the evaluated prompts (Kish 1965). */
export function effectiveAnswers({ asked, observed }: SingleRows): Observational['effective'] {
  const of = (model: 0 | 1): number =>
    effectiveSampleSize(
      Float64Array.from(asked, (code, i) =>
        code === model ? 1 / observed[2 * i + (model === 1 ? 0 : 1)]! : 0,
      ),
    )
  return { strong: of(1), weak: of(0) }
}

/**
 * How strong an unmeasured confounder would have to be to overturn the statement "the mean of c_i (s_i - w_i) is
 * above 0": the least Gamma of the marginal sensitivity model (Tan 2006) at which the lower end of its 95%
 * interval reaches 0. With Gamma, the odds that a model was asked (and its answer rated) may differ up to Gamma-fold between prompts
 * that look alike, depending on how well it answers. The bounds are doubly robust (Yadlowsky et al. 2018; Dorn,
 * Guo and Kallus 2021), sharp for 0/1 scores and safe for graded ones.
 *
 * @param weight n: c_i
 * @param gain n: s - w of prompts that both models answered, which no confounder can change
 * @param least what the report's own intervals are widened by
 * @returns null if the interval reaches 0 without any confounder; at most `MOST_GAMMA`
 */
export function overturningGamma(
  rows: SingleRows,
  gain: Float64Array,
  weight: (row: number) => number,
  least?: LeastError,
): number | null {
  const added = least?.added(weight) ?? 0
  const clear = (gamma: number): boolean => {
    const { mean, variance } = worstMean(rows, gain, weight, gamma)
    return mean - Z_95 * (least?.stretch ?? 1) * Math.sqrt(variance + added) > 0
  }
  if (!clear(1)) return null
  if (clear(MOST_GAMMA)) return MOST_GAMMA
  let [low, high] = [1, MOST_GAMMA]
  while (high - low > 0.005) {
    const middle = Math.sqrt(low * high)
    if (clear(middle)) low = middle
    else high = middle
  }
  return low
}

/** The lowest mean under confounding of strength gamma, and its variance. */
function worstMean(
  rows: SingleRows,
  gain: Float64Array,
  weight: (row: number) => number,
  gamma: number,
): { readonly mean: number; readonly variance: number } {
  const n = gain.length
  let sum = 0
  let squares = 0
  for (let i = 0; i < n; i++) {
    const c = weight(i)
    const value = c * (rows.asked[i] === NO_SINGLE ? gain[i]! : worstGain(rows, i, gamma, c > 0))
    sum += value
    squares += value * value
  }
  const mean = sum / n
  return { mean, variance: Math.max(0, squares / n - mean * mean) / n }
}

/** The estimate of s - w at its lowest (or highest) under confounding of strength gamma. */
function worstGain(rows: SingleRows, i: number, gamma: number, lowest: boolean): number {
  const strong = boundedScore(rows, i, 1, rows.observed[2 * i]!, gamma, !lowest)
  const weak = boundedScore(rows, i, 0, rows.observed[2 * i + 1]!, gamma, lowest)
  return strong - weak
}

function boundedScore(
  rows: SingleRows,
  i: number,
  model: 0 | 1,
  own: number,
  gamma: number,
  highest: boolean,
): number {
  const m = Math.min(1, Math.max(0, rows.predicted[2 * i + (model === 1 ? 0 : 1)]!))
  // the mean of the answers that were not asked for, tilted up to gamma-fold: for 1 - y if it is to be low
  const p = highest ? m : 1 - m
  const steep = p <= 1 / (1 + gamma)
  const tilted = steep ? gamma * p : 1 - (1 - p) / gamma
  const slope = steep ? gamma : 1 / gamma
  if (rows.asked[i] !== model) return highest ? tilted : 1 - tilted
  const y = rows.score[i]!
  return y + ((1 - own) / own) * slope * (y - m)
}
