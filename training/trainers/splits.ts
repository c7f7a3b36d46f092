import type { Dataset, Split } from '../../data/dataset/dataset.ts'
import { splitRows } from '../../data/pair.ts'
import { type Embeddings, rowsBetween, takeRows } from '../../models/encoders/embeddings.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { pickRows } from '../solver/dense-matrix.ts'
import type { OutcomeColumns, PreferenceColumns, TrainingRows } from './trainer.ts'

/** One split of a dataset, encoded: its prompts' indices and the observations on them. */
export interface EncodedSplit extends TrainingRows {
  /** index into the dataset's prompts, ascending */
  readonly prompts: Int32Array
}

export async function encodeSplit(
  dataset: Dataset,
  split: Split,
  encoder: Encoder,
  signal?: AbortSignal,
): Promise<EncodedSplit> {
  const [encoded] = await encodeSplits(dataset, [split], encoder, signal)
  return encoded!
}

/** Several splits, encoded together, so that their rows stand one behind the other in memory. */
export async function encodeSplits(
  dataset: Dataset,
  splits: readonly Split[],
  encoder: Encoder,
  signal?: AbortSignal,
): Promise<EncodedSplit[]> {
  const prompts = splits.map((split) => splitRows(dataset, split))
  const texts = prompts.flatMap((rows) => Array.from(rows, (prompt) => dataset.prompts[prompt]!))
  const { embeddings } = await encoder.encode(texts, signal)
  let from = 0
  return prompts.map((rows) => {
    const own = rowsBetween(embeddings, from, from + rows.length)
    from += rows.length
    return { prompts: rows, ...observed(dataset, rows, own) }
  })
}

/** The rows of the dataset's tables on the given prompts, renumbered to them. */
function observed(dataset: Dataset, prompts: Int32Array, embeddings: Embeddings): TrainingRows {
  const { preferences, outcomes, prompts: all } = dataset
  const taken = outcomes && takeOutcomes(outcomes, prompts, all.length)
  return {
    embeddings,
    ...(preferences && { preferences: takeVotes(preferences, prompts, all.length) }),
    ...(taken && { outcomes: { ...taken, ...completedScores(dataset, prompts, taken.scores) } }),
  }
}

/** The scores of single answers with what stands in for the missing ones, and their overlap weights. */
function completedScores(
  { estimates, models }: Dataset,
  prompts: Int32Array,
  scores: Float32Array,
): Pick<OutcomeColumns, 'completed' | 'imputed' | 'weights'> {
  if (!estimates) return {}
  const completed = scores.slice()
  const imputed = scores.slice()
  const weights = new Float32Array(scores.length).fill(1)
  for (let row = 0; row < prompts.length; row++) {
    const at = 2 * prompts[row]!
    if (Number.isNaN(estimates.scores[at]!)) continue
    for (const [column, model] of [estimates.strong, estimates.weak].entries()) {
      const cell = row * models.length + model
      completed[cell] = estimates.scores[at + column]!
      const e = estimates.propensity[prompts[row]!]!
      weights[cell] = column === 0 ? 1 - e : e
      if (Number.isNaN(scores[cell]!)) imputed[cell] = estimates.predicted[at + column]!
    }
  }
  return { completed, imputed, weights }
}

/** Some prompts of a split, in the given order, with the observations on them. */
export function takeTrainingRows(split: TrainingRows, rows: readonly number[]): TrainingRows {
  const { embeddings, outcomes, preferences } = split
  return {
    embeddings: takeRows(embeddings, rows),
    ...(outcomes && { outcomes: takeOutcomes(outcomes, rows, embeddings.rows) }),
    ...(preferences && { preferences: takeVotes(preferences, rows, embeddings.rows) }),
  }
}

/** @param all number of prompts that the tables cover */
function takeOutcomes(
  { scores, completed, imputed, weights, tokens }: OutcomeColumns,
  rows: ArrayLike<number>,
  all: number,
): OutcomeColumns {
  const columns = scores.length / all
  const take = (values: Float32Array): Float32Array => pickRows({ columns, values }, rows).values
  return {
    scores: take(scores),
    ...(completed && { completed: take(completed) }),
    ...(imputed && { imputed: take(imputed) }),
    ...(weights && { weights: take(weights) }),
    ...(tokens && { tokens: take(tokens) }),
  }
}

/** Votes on the given prompts, renumbered to them. */
function takeVotes(
  votes: PreferenceColumns,
  rows: ArrayLike<number>,
  all: number,
): PreferenceColumns {
  const place = new Int32Array(all).fill(-1)
  for (let to = 0; to < rows.length; to++) place[rows[to]!] = to
  const kept = [...votes.prompt.keys()].filter((i) => place[votes.prompt[i]!]! >= 0)
  return {
    prompt: Int32Array.from(kept, (i) => place[votes.prompt[i]!]!),
    modelA: Int32Array.from(kept, (i) => votes.modelA[i]!),
    modelB: Int32Array.from(kept, (i) => votes.modelB[i]!),
    label: Float32Array.from(kept, (i) => votes.label[i]!),
    weight: Float32Array.from(kept, (i) => votes.weight[i]!),
  }
}
