import { takeRows } from '../../models/embeddings.ts'
import { pickRows } from '../solver/dense-matrix.ts'
import type { OutcomeColumns, PreferenceColumns, TrainingRows } from '../trainer.ts'

/** Some prompts of a split, in the given order, with what was observed of them. */
export function takeTrainingRows(split: TrainingRows, rows: readonly number[]): TrainingRows {
  const { embeddings, outcomes, preferences } = split
  return {
    embeddings: takeRows(embeddings, rows),
    ...(outcomes && { outcomes: takeOutcomes(outcomes, rows, embeddings.rows) }),
    ...(preferences && { preferences: takeVotes(preferences, rows, embeddings.rows) }),
  }
}

/** @param all prompts that the tables are of */
export function takeOutcomes(
  { scores, tokens }: OutcomeColumns,
  rows: ArrayLike<number>,
  all: number,
): OutcomeColumns {
  const columns = scores.length / all
  const take = (values: Float32Array): Float32Array => pickRows({ columns, values }, rows).values
  return { scores: take(scores), ...(tokens && { tokens: take(tokens) }) }
}

/** Votes on the given prompts, renumbered to them. */
export function takeVotes(
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
