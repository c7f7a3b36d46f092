import { WeirError } from '../../../core/errors.ts'
import { real, wordOrNumber } from '../settings.ts'
import type { PreferenceColumns, TrainerInput, TrainingRows } from '../trainer.ts'

/** The data that one head is fitted to: rows of the embeddings with soft labels. */
export interface Target {
  /** rows that have a label; may repeat */
  readonly rows: Int32Array
  readonly labels: Float32Array
  readonly weights: Float32Array
}

export interface HeadTargets {
  readonly name: string
  readonly train: Target
  readonly validation: Target
}

/** From outcomes one success head per model, from preferences alone one head for the pair. */
export function headTargets(input: TrainerInput): HeadTargets[] {
  const { models, train, validation } = input
  if (!train.outcomes) {
    return [
      {
        name: `${models[input.strong]} over ${models[input.weak]}`,
        train: pairTarget(train, input),
        validation: pairTarget(validation, input),
      },
    ]
  }
  return models.map((name, model) => ({
    name,
    train: outcomeTarget(train, models.length, model),
    validation: outcomeTarget(validation, models.length, model),
  }))
}

/**
 * The scores of one model, on the rows where it was observed, with weights that average 1. Where who was asked depended
 * on the prompt, an answer counts by how probable it was that the other model would give it, so that both heads are
 * fitted to prompts of the same kind.
 */
export function outcomeTarget(split: TrainingRows, models: number, model: number): Target {
  const { scores, weights: standsFor } = split.outcomes!
  const n = split.embeddings.rows
  let known = 0
  for (let row = 0; row < n; row++) if (!Number.isNaN(scores[row * models + model]!)) known++
  const rows = new Int32Array(known)
  const labels = new Float32Array(known)
  let at = 0
  for (let row = 0; row < n; row++) {
    const score = scores[row * models + model]!
    if (Number.isNaN(score)) continue
    rows[at] = row
    labels[at++] = score
  }
  const weights = new Float32Array(known).fill(1)
  if (standsFor) {
    let total = 0
    for (let i = 0; i < known; i++) total += weights[i] = standsFor[rows[i]! * models + model]!
    for (let i = 0; i < known; i++) weights[i]! *= known / total
  }
  return { rows, labels, weights }
}

/** Whether train or validation has votes. */
export const hasVotes = ({
  train,
  validation,
}: Pick<TrainerInput, 'train' | 'validation'>): boolean =>
  [train, validation].some(({ preferences }) => (preferences?.prompt.length ?? 0) > 0)

/** Whether any vote compares the pair. */
export function hasPairVotes(
  { preferences }: TrainingRows,
  { strong, weak }: Pick<TrainerInput, 'strong' | 'weak'>,
): boolean {
  return (
    preferences?.modelA.some((a, i) => {
      const b = preferences.modelB[i]
      return (a === strong && b === weak) || (a === weak && b === strong)
    }) ?? false
  )
}

/** The pair's votes, with label 1 for the strong model. Throws `rows_too_few` if there are none. */
export function pairTarget(
  split: TrainingRows,
  { strong, weak, models }: Pick<TrainerInput, 'strong' | 'weak' | 'models'>,
): Target {
  const rows: number[] = []
  const labels: number[] = []
  const weights: number[] = []
  const { preferences } = split
  for (let i = 0; i < (preferences?.prompt.length ?? 0); i++) {
    const { modelA, modelB, label, weight, prompt } = preferences!
    const forward = modelA[i] === strong && modelB[i] === weak
    if (!forward && !(modelA[i] === weak && modelB[i] === strong)) continue
    rows.push(prompt[i]!)
    labels.push(forward ? label[i]! : 1 - label[i]!)
    weights.push(weight[i]!)
  }
  if (rows.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 1,
      what: `comparing ${models[strong]} with ${models[weak]} (--router mf learns from all pairs)`,
      got: 0,
    })
  }
  return target(rows, labels, weights)
}

/** The targets of two splits, where the second split's rows come after the first one's `rows`. */
export function joinTargets(first: Target, second: Target, rows: number): Target {
  const n = first.rows.length
  const joined = {
    rows: new Int32Array(n + second.rows.length),
    labels: new Float32Array(n + second.rows.length),
    weights: new Float32Array(n + second.rows.length),
  }
  for (const [at, part] of [
    [0, first],
    [n, shiftRows(second, rows)],
  ] as const) {
    joined.rows.set(part.rows, at)
    joined.labels.set(part.labels, at)
    joined.weights.set(part.weights, at)
  }
  return joined
}

export const shiftRows = (target: Target, by: number): Target => ({
  ...target,
  rows: target.rows.map((row) => row + by),
})

/** A target to fit and a target to validate on. */
export interface Part {
  readonly fit: Target
  readonly judge: Target
}

/** All rows of a prompt are in the same part: row r belongs to part r mod folds. */
export function foldTargets(everything: Target, folds: number): Part[] {
  const parts = Array.from({ length: folds }, (_, fold) => foldTarget(everything, folds, fold))
  return parts.filter(({ fit, judge }) => fit.rows.length > 0 && judge.rows.length > 0)
}

/** One part of these, which may have no rows. */
export function foldTarget(everything: Target, folds: number, fold: number): Part {
  const pick = (keep: (row: number) => boolean): Target => {
    const kept = [...everything.rows.keys()].filter((i) => keep(everything.rows[i]!))
    return target(
      kept.map((i) => everything.rows[i]!),
      kept.map((i) => everything.labels[i]!),
      kept.map((i) => everything.weights[i]!),
    )
  }
  return { fit: pick((row) => row % folds !== fold), judge: pick((row) => row % folds === fold) }
}

const target = (
  rows: readonly number[],
  labels: readonly number[],
  weights: ArrayLike<number>,
): Target => ({
  rows: Int32Array.from(rows),
  labels: Float32Array.from(labels),
  weights: Float32Array.from(weights),
})

/** Weight of successes (or of votes for the strong model) relative to failures. */
export type ClassWeight = 'none' | 'balanced' | number

export const CLASS_WEIGHT = wordOrNumber(
  ['none', 'balanced'],
  'weight of a success (or a win of the strong model) relative to a failure; balanced: both classes have the same total weight. Win rates need recalibration unless it is none',
)

/**
 * The same rows with the two terms of their cross-entropy, -y log p and -(1 - y) log(1 - p), weighted by c1
 * and c0. That equals a row of weight w (c1 y + c0 (1 - y)) with label c1 y divided by that sum, so a tie
 * stays between the classes. A number c means (c, 1); `balanced` is n / (2 n_class), as in scikit-learn.
 */
export function withClassWeight(target: Target, classWeight: ClassWeight): Target {
  if (classWeight === 'none') return target
  const { labels, weights } = target
  let [positive, negative] = [0, 0]
  for (const [i, label] of labels.entries()) {
    positive += weights[i]! * label
    negative += weights[i]! * (1 - label)
  }
  // a single class cannot be balanced
  if (classWeight === 'balanced' && !(positive > 0 && negative > 0)) return target
  const half = (positive + negative) / 2
  const [c1, c0] =
    classWeight === 'balanced' ? [half / positive, half / negative] : [classWeight, 1]
  const factors = labels.map((label) => c1 * label + c0 * (1 - label))
  return {
    rows: target.rows,
    labels: labels.map((label, i) => (c1 * label) / factors[i]!),
    weights: weights.map((weight, i) => weight * factors[i]!),
  }
}

export const SMOOTHING = real(
  0,
  'number of votes at the pair’s mean that are added to the votes on each prompt, which shrinks its label toward that mean',
  { minimum: 0, maximum: 1000 },
)

/**
 * The votes on each prompt and pair as one row: their mean under the prior Beta(s mu, s (1 - mu)), (sum w y +
 * s mu) / (sum w + s), with weight sum w. mu is the pair's mean over the split, with one vote for each side
 * added. With s = 0 the rows stay unchanged, which gives the same loss.
 */
export function withShrunkVotes(split: TrainingRows, smoothing: number): TrainingRows {
  const { preferences } = split
  if (!preferences || smoothing === 0) return split
  return { ...split, preferences: shrink(preferences, smoothing) }
}

interface Votes {
  readonly prompt: number
  readonly a: number
  readonly b: number
  wins: number
  weight: number
}

function shrink(votes: PreferenceColumns, smoothing: number): PreferenceColumns {
  const byPair = new Map<string, Votes>()
  const byPrompt = new Map<string, Votes>()
  for (const [i, prompt] of votes.prompt.entries()) {
    const [a, b] = [votes.modelA[i]!, votes.modelB[i]!]
    const turned = a > b
    const [first, second] = turned ? [b, a] : [a, b]
    const weight = votes.weight[i]!
    const wins = weight * (turned ? 1 - votes.label[i]! : votes.label[i]!)
    for (const [table, key] of [
      [byPair, `${first} ${second}`],
      [byPrompt, `${prompt} ${first} ${second}`],
    ] as const) {
      const known = table.get(key) ?? { prompt, a: first, b: second, wins: 0, weight: 0 }
      known.wins += wins
      known.weight += weight
      table.set(key, known)
    }
  }
  const rows = [...byPrompt.values()]
  return {
    prompt: Int32Array.from(rows, ({ prompt }) => prompt),
    modelA: Int32Array.from(rows, ({ a }) => a),
    modelB: Int32Array.from(rows, ({ b }) => b),
    label: Float32Array.from(rows, ({ a, b, wins, weight }) => {
      const pair = byPair.get(`${a} ${b}`)!
      const mean = (pair.wins + 1) / (pair.weight + 2)
      return (wins + smoothing * mean) / (weight + smoothing)
    }),
    weight: Float32Array.from(rows, ({ weight }) => weight),
  }
}
