import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import type { Dataset, EvidenceCounts, PairEstimates } from '../../data/dataset/dataset.ts'
import { countEvidence, EVIDENCE, evidenceOf, modelIndex } from '../../data/pair.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { type CrossFitTarget, crossFit, FOLDS, foldsOf } from './cross-fit.ts'
import { doublyRobustScore } from './estimators.ts'
import { type LogFeatures, logFeatures, type Watch } from './log-features.ts'
import { effectiveSampleSize } from './logged.ts'
import { propensityAuc, type SingleAnswers, unansweredRegions } from './overlap.ts'
import { recalibrated } from './recalibrate.ts'

/** The pair to compare. */
export interface EvidencePair {
  readonly strong: string
  readonly weak: string
}

export interface EstimateOptions extends Watch {
  readonly seed: number
  /** features of the dataset's prompts; made from the log otherwise */
  readonly features?: LogFeatures | undefined
}

/** Fewer single answers of either model are not used. */
export const LEAST_SINGLE = 50
/** Single answers are used if they are more than this share of the prompts with both scores. */
const WORTH_USING = 0.1
/** With at least this many prompts that both models answered, a log can do without its single answers. */
const LEAST_PAIRED = 150
/** Where a model would have been asked with a smaller probability, there is no claim. */
export const LEAST_PROPENSITY = { estimated: 0.05, logged: 0.005 } as const
/** Prompts are left out whose answers are rated this much more rarely than others (times the mean share). */
export const LEAST_RESPONSE = 0.1
/** Probabilities of a rating stay this far from 0 and 1. */
export const RESPONSE_EDGE = 1e-5
/** Effective number of answers of either model below which there is no estimate. */
const LEAST_EFFECTIVE = 50

/** Whether single answers have to stand in for a comparison of the pair. */
export function restsOnSingles({ paired, strong_only, weak_only }: EvidenceCounts): boolean {
  return strong_only + weak_only > WORTH_USING * paired
}

/**
 * The dataset with estimates of the scores that are missing where only one model of the pair answered. It is
 * returned as it is if nearly all prompts have both scores, or if the single answers cannot be used and the
 * prompts with both are enough without them.
 *
 * For each single answer of model a with score y, the estimate of a's score is m_a + (y - m_a) / e_a and that
 * of the other model b's is m_b, where m are predicted scores and e_a the probability that a was the one asked
 * (doubly robust; Robins, Rotnitzky and Zhao 1994). Predictions are cross-fitted (Chernozhukov et al. 2018), so
 * that means of the estimates over prompts have the usual standard errors. Propensities are the logged ones;
 * where there are none they are estimated from everything the log knows of a prompt, cross-fitted and
 * calibrated.
 *
 * Where the log also has answers that nobody rated, the estimates are of their prompts as well: e_a is then the
 * probability that a was asked and its answer rated. The second factor is estimated like the first, for each model.
 *
 * @throws overlap_missing if the models' single answers cannot be compared, and too few prompts have both
 */
export async function withPairEstimates(
  dataset: Dataset,
  pair: EvidencePair,
  options: EstimateOptions,
): Promise<Dataset> {
  if (dataset.labelled?.margin !== undefined || dataset.labelled?.judge !== undefined)
    return dataset
  const codes = evidenceOf(dataset, pair.strong, pair.weak)
  const counts = countEvidence(codes)
  if (pair.strong === pair.weak || !restsOnSingles(counts)) return dataset
  const enough = counts.paired + counts.votes_only >= LEAST_PAIRED
  const refuse = (reason: string): Dataset => {
    if (enough) return dataset
    throw overlapMissing(dataset, pair, counts, reason)
  }
  const least = Math.min(counts.strong_only, counts.weak_only)
  if (least < LEAST_SINGLE) {
    const name = counts.strong_only < counts.weak_only ? pair.strong : pair.weak
    return refuse(`${name} alone answered ${least} prompts (at least ${LEAST_SINGLE} are needed)`)
  }
  const singles = singleAnswers(codes, counts.unrated)
  const regions = unansweredRegions(dataset, singles, pair)
  const outside = new Set(regions.flatMap(({ rows }) => rows))
  const kept = Array.from(singles.prompts.keys()).filter((row) => !outside.has(row))
  const inside: SingleAnswers = {
    prompts: Int32Array.from(kept, (row) => singles.prompts[row]!),
    strong: Uint8Array.from(kept, (row) => singles.strong[row]!),
    rated: Uint8Array.from(kept, (row) => singles.rated[row]!),
  }
  if (Math.min(...ratedOfEach(inside)) < LEAST_SINGLE) {
    return refuse(regions.map(({ words }) => words).join('; '))
  }
  const nuisances = await estimateNuisances(dataset, pair, codes, inside, options)
  const overlap = overlapSummary(inside, nuisances)
  const { effective, propensity_auc: auc } = overlap
  if (Math.min(effective.strong, effective.weak) < LEAST_EFFECTIVE) {
    const worth = `${Math.floor(effective.strong)} answers of ${pair.strong} and ${Math.floor(effective.weak)} of ${pair.weak}`
    return refuse(
      `which of them was asked can be told from the prompt (AUC ${auc.toFixed(2)}), so that the log is worth ${worth} for a comparison (at least ${LEAST_EFFECTIVE} of each)`,
    )
  }
  const used = nuisances.usable.reduce((sum, value) => sum + value, 0)
  const faint = kept.length - used
  const { source } = nuisances
  const { unrated: _, ...rated } = counts
  const summary: Observational = {
    ...rated,
    used,
    excluded: singles.prompts.length - used,
    propensities: source,
    method: `${METHODS[source]}${nuisances.response ? RESPONSE_METHOD : ''}`,
    ...overlap,
    regions: [
      ...regions.map(({ words }) => words),
      ...(faint > 0
        ? [
            `${faint.toLocaleString('en-US')} more prompts look like those that only one of the two models was asked (propensity under ${LEAST_PROPENSITY[source === 'logged' ? 'logged' : 'estimated']})${nuisances.response ? `, or whose answers are rated less than ${LEAST_RESPONSE} times as often as others` : ''}`,
          ]
        : []),
    ],
  }
  return { ...dataset, estimates: estimatesFrom(dataset, pair, inside, nuisances, summary) }
}

const OUTCOMES = `missing answers by cross-fitted logistic regressions of each model’s scores on words, length, category and place in the log (${FOLDS} folds by question), corrected on the answers that were logged (doubly robust)`
const METHODS: Readonly<Record<Observational['propensities'], string>> = {
  logged: `propensities as logged; ${OUTCOMES}`,
  estimated: `propensities by a cross-fitted logistic regression of who was asked on the same features and on the predicted scores, calibrated out of fold; ${OUTCOMES}`,
  'logged and estimated': `propensities as logged, where there are none by a cross-fitted and calibrated logistic regression of who was asked; ${OUTCOMES}`,
}

const RESPONSE_METHOD =
  '; whether an answer is rated by a cross-fitted and calibrated logistic regression for each model on the same features and on the predicted scores'

function singleAnswers(codes: Uint8Array, unrated: number): SingleAnswers {
  const [strongOnly, weakOnly] = [codeOf('strong_only'), codeOf('weak_only')]
  const strongUnrated = codeOf('strong_unrated')
  // too few to learn from who rates
  const known = unrated < LEAST_SINGLE ? [strongOnly, weakOnly] : undefined
  const kinds = new Set(known ?? [strongOnly, weakOnly, strongUnrated, codeOf('weak_unrated')])
  const prompts = Int32Array.from(codes.keys()).filter((i) => kinds.has(codes[i]!))
  return {
    prompts,
    strong: Uint8Array.from(prompts, (prompt) =>
      codes[prompt] === strongOnly || codes[prompt] === strongUnrated ? 1 : 0,
    ),
    rated: Uint8Array.from(prompts, (prompt) =>
      codes[prompt] === strongOnly || codes[prompt] === weakOnly ? 1 : 0,
    ),
  }
}

const codeOf = (kind: (typeof EVIDENCE)[number]): number => EVIDENCE.indexOf(kind)

/** Number of rated answers of the strong and of the weak model. */
function ratedOfEach({ strong, rated }: SingleAnswers): [number, number] {
  let [ofStrong, ofWeak] = [0, 0]
  rated.forEach((value, i) => {
    if (strong[i] === 1) ofStrong += value
    else ofWeak += value
  })
  return [ofStrong, ofWeak]
}

/** Everything that was predicted about n single answers. */
export interface Nuisances {
  readonly source: Observational['propensities']
  /** n: probability that the strong model was asked */
  readonly propensity: Float64Array
  /** n x 2, strong then weak: probability that the model's answer is rated; absent if all are */
  readonly response?: Float64Array | undefined
  /** n: 1 if both models could have been asked, and their answers rated */
  readonly usable: Uint8Array
  /** n x 2, strong then weak, in [0, 1] */
  readonly predicted: Float64Array
  /** n: the fold of the prompt's question */
  readonly fold: Uint8Array
}

async function estimateNuisances(
  dataset: Dataset,
  pair: EvidencePair,
  codes: Uint8Array,
  singles: SingleAnswers,
  options: EstimateOptions,
): Promise<Nuisances> {
  const features = options.features ?? (await logFeatures(dataset, options))
  const fold = foldsOf(dataset, options.seed)
  const logged = loggedPropensities(dataset, pair, singles)
  const unknown = Array.from(logged.keys()).filter((i) => Number.isNaN(logged[i]!))
  const [strongTarget, weakTarget] = [
    scoreTarget(dataset, pair.strong, codes, 'strong_only'),
    scoreTarget(dataset, pair.weak, codes, 'weak_only'),
  ]
  const askedTarget: CrossFitTarget = {
    name: 'who was asked',
    prompts: Int32Array.from(unknown, (i) => singles.prompts[i]!),
    labels: Float32Array.from(unknown, (i) => singles.strong[i]!),
  }
  // of either model's answers, and of both together: what they share is learned from twice as many
  const ratedTargets = singles.rated.includes(0)
    ? ([1, 0, undefined] as const).map((model): CrossFitTarget => {
        const rows = Array.from(singles.prompts.keys()).filter(
          (i) => model === undefined || singles.strong[i] === model,
        )
        return {
          name: 'which answers are rated',
          prompts: Int32Array.from(rows, (i) => singles.prompts[i]!),
          labels: Float32Array.from(rows, (i) => singles.rated[i]!),
        }
      })
    : []
  const askedTargets = unknown.length > 0 ? [askedTarget] : []
  const targets = [strongTarget, weakTarget, ...askedTargets, ...ratedTargets]
  const logits = await crossFit(features, fold, targets, singles.prompts, options)
  const [strong, weak] = [logits[0]!, logits[1]!]
  const [asked] = logits.slice(2, 2 + askedTargets.length)
  const [strongRated, weakRated, rated] = logits.slice(2 + askedTargets.length)
  return calibratedNuisances(
    dataset,
    pair,
    singles,
    Uint8Array.from(singles.prompts, (prompt) => fold[prompt]!),
    {
      asked: asked ? [asked, strong, weak] : [],
      strong: [strong],
      weak: [weak],
      ...(rated && {
        rated: [
          [strongRated!, rated, strong, weak],
          [weakRated!, rated, strong, weak],
        ] as const,
      }),
    },
  )
}

/** Columns of n numbers that propensities and each model's scores are predicted from. */
export interface NuisanceColumns {
  readonly asked: readonly Float64Array[]
  readonly strong: readonly Float64Array[]
  readonly weak: readonly Float64Array[]
  /** for whether the strong and the weak model's answers are rated, if some are not */
  readonly rated?: readonly [readonly Float64Array[], readonly Float64Array[]]
}

/**
 * Propensities and predicted scores by logistic regressions on the given columns, which have to be made without
 * the row's own answer. Each row is predicted by a fit to the rows of the other folds.
 */
export async function calibratedNuisances(
  dataset: Dataset,
  pair: EvidencePair,
  singles: SingleAnswers,
  fold: Uint8Array,
  columns: NuisanceColumns,
): Promise<Nuisances> {
  const logged = loggedPropensities(dataset, pair, singles)
  const unknown = Array.from(logged.keys()).filter((i) => Number.isNaN(logged[i]!))
  const propensity = logged.slice()
  if (unknown.length > 0) {
    const estimated = await recalibrated(columns.asked, singles.strong, unknown, fold)
    for (const i of unknown) propensity[i] = estimated[i]!
  }
  const response = columns.rated && (await ratingProbabilities(columns.rated, singles, fold))
  const share = singles.rated.reduce((sum, value) => sum + value, 0) / singles.rated.length
  const usable = Uint8Array.from(propensity, (e, i) => {
    const least = Number.isNaN(logged[i]!) ? LEAST_PROPENSITY.estimated : LEAST_PROPENSITY.logged
    const asked = Math.min(e, 1 - e) >= least
    const r = response ? Math.min(response[2 * i]!, response[2 * i + 1]!) : 1
    return asked && r >= (response ? LEAST_RESPONSE * share : 0) ? 1 : 0
  })
  const predicted = new Float64Array(2 * singles.prompts.length)
  for (const [column, from, answered] of [
    [0, columns.strong, 1],
    [1, columns.weak, 0],
  ] as const) {
    const rows = Array.from(propensity.keys()).filter(
      (i) => singles.strong[i] === answered && singles.rated[i] === 1 && usable[i] === 1,
    )
    const scores = answeredScores(
      dataset,
      answered === 1 ? pair.strong : pair.weak,
      singles.prompts,
    )
    // each answer counts 1 / propensity, so that predictions are right on average over all prompts
    const weights = propensity.map((e, i) => {
      const r = response ? response[2 * i + column]! / share : 1
      return 1 / (Math.max(answered === 1 ? e : 1 - e, 0.01) * Math.max(r, LEAST_RESPONSE))
    })
    // the logit of the weight as well (Bang and Robins 2005): who was asked and rated is often predicted better than scores
    const known = propensity.map((e) => logitOf(answered === 1 ? e : 1 - e))
    const rated = response && propensity.map((_, i) => logitOf(response[2 * i + column]!))
    const own = [...from, known, ...(rated ? [rated] : [])]
    const values = await recalibrated(own, scores, rows, fold, { weights })
    for (let i = 0; i < values.length; i++) predicted[2 * i + column] = values[i]!
  }
  const source =
    unknown.length === 0
      ? 'logged'
      : unknown.length === logged.length
        ? 'estimated'
        : 'logged and estimated'
  return { source, propensity, ...definedOnly({ response }), usable, predicted, fold }
}

const LOGIT_EDGE = 1e-6
const logitOf = (p: number): number => {
  const inside = Math.min(1 - LOGIT_EDGE, Math.max(LOGIT_EDGE, p))
  return Math.log(inside / (1 - inside))
}

/** n x 2: the probability that the strong and the weak model's answer is rated. */
async function ratingProbabilities(
  columns: NonNullable<NuisanceColumns['rated']>,
  { strong, rated }: SingleAnswers,
  fold: Uint8Array,
): Promise<Float64Array> {
  const response = new Float64Array(2 * strong.length)
  for (const [column, model] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const rows = Array.from(strong.keys()).filter((i) => strong[i] === model)
    const found = await recalibrated(columns[column], rated, rows, fold, { edge: RESPONSE_EDGE })
    for (let i = 0; i < strong.length; i++) response[2 * i + column] = found[i]!
  }
  return response
}

/** The probability with which the model's answer to row i is in the log with a score: it was asked, and rated. */
function observedProbability(
  { propensity, response }: Pick<Nuisances, 'propensity' | 'response'>,
  i: number,
  column: 0 | 1,
): number {
  const e = column === 0 ? propensity[i]! : 1 - propensity[i]!
  return response ? e * response[2 * i + column]! : e
}

/** How much of who was asked was left to chance, over the usable single answers. */
export function overlapSummary(
  singles: SingleAnswers,
  nuisances: Pick<Nuisances, 'propensity' | 'response' | 'usable'>,
): Pick<Observational, 'propensity_auc' | 'least_propensity' | 'effective' | 'response'> {
  const { response } = nuisances
  let [smallest, rarest] = [1, 1]
  nuisances.usable.forEach((ok, i) => {
    if (!ok) return
    const e = nuisances.propensity[i]!
    smallest = Math.min(smallest, e, 1 - e)
    if (response) rarest = Math.min(rarest, response[2 * i]!, response[2 * i + 1]!)
  })
  const rated = singles.rated.reduce((sum, value) => sum + value, 0)
  return {
    propensity_auc: propensityAuc(nuisances.propensity, singles.strong),
    least_propensity: smallest,
    effective: {
      strong: effectiveOf(singles, nuisances, 1),
      weak: effectiveOf(singles, nuisances, 0),
    },
    ...(response && {
      response: {
        rated,
        unrated: singles.rated.length - rated,
        auc: propensityAuc(
          Float64Array.from(singles.strong, (s, i) => response[2 * i + 1 - s]!),
          singles.rated,
        ),
        least: rarest,
      },
    }),
  }
}

/**
 * The probability that the strong model was the one of the two to be asked, as logged; NaN where the log does
 * not say it. With more than two models in the log it needs the logged propensity of both.
 */
export function loggedPropensities(
  { models, outcomes }: Dataset,
  pair: EvidencePair,
  { prompts, strong }: SingleAnswers,
): Float64Array {
  const propensities = outcomes?.propensities
  const m = models.length
  const columns = [models.indexOf(pair.strong), models.indexOf(pair.weak)] as const
  return Float64Array.from(prompts, (prompt, i) => {
    if (!propensities) return Number.NaN
    const [s, w] = columns.map((column) => propensities[prompt * m + column]!)
    if (!Number.isNaN(s! + w!)) return s! / (s! + w!)
    if (m !== 2) return Number.NaN
    return strong[i] === 1 ? s! : 1 - w!
  })
}

function scoreTarget(
  dataset: Dataset,
  model: string,
  codes: Uint8Array,
  own: (typeof EVIDENCE)[number],
): CrossFitTarget {
  const prompts = Int32Array.from(codes.keys()).filter((i) => {
    const kind = EVIDENCE[codes[i]!]
    return kind === 'paired' || kind === own
  })
  return {
    name: model,
    prompts,
    labels: Float32Array.from(answeredScores(dataset, model, prompts)),
  }
}

function answeredScores(
  { models, outcomes }: Dataset,
  model: string,
  prompts: Int32Array,
): Float64Array {
  const column = models.indexOf(model)
  return Float64Array.from(prompts, (prompt) => outcomes!.scores[prompt * models.length + column]!)
}

function effectiveOf(
  { strong, rated }: SingleAnswers,
  nuisances: Pick<Nuisances, 'propensity' | 'response' | 'usable'>,
  answered: 0 | 1,
): number {
  const weights = nuisances.propensity.map((_, i) =>
    nuisances.usable[i] === 1 && strong[i] === answered && rated[i] === 1
      ? 1 / observedProbability(nuisances, i, answered === 1 ? 0 : 1)
      : 0,
  )
  return effectiveSampleSize(weights)
}

/**
 * Estimates from everything that was predicted, on the usable single answers.
 *
 * @param others the estimates of all other prompts; none otherwise
 */
export function estimatesFrom(
  dataset: Dataset,
  pair: EvidencePair,
  singles: SingleAnswers,
  nuisances: Nuisances,
  summary: Observational,
  others?: PairEstimates,
): PairEstimates {
  const n = dataset.prompts.length
  const m = dataset.models.length
  const [s, w] = [modelIndex(dataset, pair.strong), modelIndex(dataset, pair.weak)]
  const { strong: asked, rated, prompts } = singles
  const start = (columns: number, given: Float64Array | undefined): Float64Array =>
    given?.slice() ?? new Float64Array(columns * n).fill(Number.NaN)
  const complete = (
    guess: Float64Array,
    logged: Float32Array,
    given: Float64Array | undefined,
  ): Float64Array => {
    const values = start(2, given)
    for (let i = 0; i < prompts.length; i++) {
      const prompt = prompts[i]!
      const usable = nuisances.usable[i] === 1
      for (const column of [0, 1] as const) {
        const answered = rated[i] === 1 && asked[i] === 1 - column
        values[2 * prompt + column] = usable
          ? doublyRobustScore(
              guess[2 * i + column]!,
              answered ? logged[prompt * m + (column === 0 ? s : w)]! : undefined,
              1 / observedProbability(nuisances, i, column),
            )
          : Number.NaN
      }
    }
    return values
  }
  const { outcomes } = dataset
  const scores = complete(nuisances.predicted, outcomes!.scores, others?.scores)
  const predicted = start(2, others?.predicted)
  const propensity = start(1, others?.propensity)
  const response = nuisances.response && start(2, others?.response)
  for (let i = 0; i < prompts.length; i++) {
    const usable = nuisances.usable[i] === 1
    propensity[prompts[i]!] = usable ? nuisances.propensity[i]! : Number.NaN
    for (const column of [0, 1]) {
      predicted[2 * prompts[i]! + column] = usable
        ? nuisances.predicted[2 * i + column]!
        : Number.NaN
      if (response) {
        response[2 * prompts[i]! + column] = usable
          ? nuisances.response![2 * i + column]!
          : Number.NaN
      }
    }
  }
  const spend = (
    logged: Float32Array | undefined,
    given: Float64Array | undefined,
  ): Float64Array | undefined => {
    const guess = logged && amountsByLength(dataset, singles, nuisances.fold, logged, [s, w])
    return guess && complete(guess, logged, given)
  }
  const costs = spend(outcomes!.costs, others?.costs)
  const tokens = spend(outcomes!.tokens, others?.tokens)
  return {
    strong: s,
    weak: w,
    scores,
    propensity,
    ...(response && { response }),
    predicted,
    summary,
    ...(costs && { costs }),
    ...(tokens && { tokens }),
  }
}

/** The split of prompts that nothing is learned from. */
const UNUSED = 255

/**
 * The dataset to learn from: prompts of which no answer was rated are in none of its splits, and the estimates are
 * those among rated answers. Predicting scores needs no more (if who rates depends on the prompt and the model), and
 * an estimate among all would be corrected by 1 / the probability of a rating, which is much noise.
 */
export function ratedOnly(dataset: Dataset): Dataset {
  const { estimates, outcomes, preferences, models, split } = dataset
  if (!outcomes?.unrated) return dataset
  const m = models.length
  const voted = new Set(preferences?.prompt)
  const isRated = (prompt: number): boolean =>
    voted.has(prompt) ||
    outcomes.scores.subarray(prompt * m, (prompt + 1) * m).some((score) => !Number.isNaN(score))
  const used = split.map((of, prompt) => (isRated(prompt) ? of : UNUSED))
  const response = estimates?.response
  if (!estimates || !response) return { ...dataset, split: used }
  const isScored = (prompt: number): boolean =>
    [estimates.strong, estimates.weak].some(
      (model) => !Number.isNaN(outcomes.scores[prompt * m + model]!),
    )
  const scores = estimates.scores.slice()
  const propensity = estimates.propensity.slice()
  for (let prompt = 0; prompt < propensity.length; prompt++) {
    const e = propensity[prompt]!
    if (Number.isNaN(e)) continue
    if (!isScored(prompt)) {
      propensity[prompt] = Number.NaN
      scores.fill(Number.NaN, 2 * prompt, 2 * prompt + 2)
      continue
    }
    const ofStrong = e * response[2 * prompt]!
    const rated = ofStrong + (1 - e) * response[2 * prompt + 1]!
    propensity[prompt] = ofStrong / rated
    for (const at of [2 * prompt, 2 * prompt + 1]) {
      const guess = estimates.predicted[at]!
      scores[at] = guess + rated * (scores[at]! - guess)
    }
  }
  const { response: _, ...rest } = estimates
  return { ...dataset, split: used, estimates: { ...rest, scores, propensity } }
}

const LENGTH_BINS = 10
/** Rows at the overall mean that a bin's mean is shrunk by. */
const SHRINK_ROWS = 10

/**
 * Predicted amounts (dollars or tokens) of both models for each single answer: the mean over prompts of about
 * the same length in the other folds. Undefined unless every rated answer has its amount.
 */
function amountsByLength(
  { prompts: texts, models }: Dataset,
  { prompts, strong, rated }: SingleAnswers,
  fold: Uint8Array,
  logged: Float32Array,
  [s, w]: readonly [number, number],
): Float64Array | undefined {
  const m = models.length
  const value = (i: number): number => logged[prompts[i]! * m + (strong[i] === 1 ? s : w)]!
  const lengths = Float64Array.from(prompts, (prompt) => texts[prompt]!.length)
  const edges = lengths.toSorted()
  const bin = lengths.map((length) => {
    let at = 0
    while (
      at + 1 < LENGTH_BINS &&
      length >= edges[Math.floor(((at + 1) * edges.length) / LENGTH_BINS)]!
    )
      at++
    return at
  })
  // sums and counts of [model][fold][bin]
  const sums = new Float64Array(2 * FOLDS * LENGTH_BINS)
  const counts = new Float64Array(sums.length)
  const place = (column: number, part: number, at: number): number =>
    (column * FOLDS + part) * LENGTH_BINS + at
  for (let i = 0; i < prompts.length; i++) {
    if (rated[i] === 0) continue
    const amount = value(i)
    if (Number.isNaN(amount)) return undefined
    const at = place(strong[i] === 1 ? 0 : 1, fold[i]!, bin[i]!)
    sums[at]! += amount
    counts[at]!++
  }
  const others = (
    column: number,
    left: number,
    keep: (at: number) => boolean,
  ): [number, number] => {
    let [sum, count] = [0, 0]
    for (let part = 0; part < FOLDS; part++) {
      if (part === left) continue
      for (let at = 0; at < LENGTH_BINS; at++) {
        if (!keep(at)) continue
        sum += sums[place(column, part, at)]!
        count += counts[place(column, part, at)]!
      }
    }
    return [sum, count]
  }
  const table = sums.map((_, index) => {
    const at = index % LENGTH_BINS
    const part = Math.floor(index / LENGTH_BINS) % FOLDS
    const column = Math.floor(index / (LENGTH_BINS * FOLDS))
    const [all, rows] = others(column, part, () => true)
    const [sum, count] = others(column, part, (other) => other === at)
    const mean = rows > 0 ? all / rows : 0
    return (sum + SHRINK_ROWS * mean) / (count + SHRINK_ROWS)
  })
  const guess = new Float64Array(2 * prompts.length)
  for (let i = 0; i < prompts.length; i++) {
    for (const column of [0, 1]) guess[2 * i + column] = table[place(column, fold[i]!, bin[i]!)]!
  }
  return guess
}

/** The refusal of a log whose models do not meet, with what would help. */
function overlapMissing(
  dataset: Dataset,
  { strong, weak }: EvidencePair,
  counts: EvidenceCounts,
  reason: string,
): WeirError {
  return new WeirError('overlap_missing', {
    strong,
    weak,
    paired: counts.paired,
    single: counts.strong_only + counts.weak_only,
    reason: reason || 'no prompts that both could have answered',
    rows: rowsToAsk(dataset, strong, weak).toLocaleString('en-US'),
  })
}

/**
 * About how many prompts both models would have to answer before an APGR of .55 is told from chance, if their
 * answers differ as the plain means say; at least enough to train on.
 */
export function rowsToAsk({ models, outcomes }: Dataset, strong: string, weak: string): number {
  const mean = (model: string): number => {
    const column = models.indexOf(model)
    let [sum, rows] = [0, 0]
    for (
      let at = column;
      outcomes && column >= 0 && at < outcomes.scores.length;
      at += models.length
    ) {
      if (Number.isNaN(outcomes.scores[at]!)) continue
      sum += outcomes.scores[at]!
      rows++
    }
    return rows > 0 ? sum / rows : 0.5
  }
  const [s, w] = [mean(strong), mean(weak)]
  const gap = Math.max(Math.abs(s - w), 0.05)
  const variance = s * (1 - s) + w * (1 - w)
  const needed = ((Z_95 / 0.05) ** 2 * variance) / (12 * gap * gap)
  const unit = needed > 1000 ? 500 : 50
  return Math.max(200, Math.ceil(needed / unit) * unit)
}
