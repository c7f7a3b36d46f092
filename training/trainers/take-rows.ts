import { takeRows } from '../../models/embeddings.ts'
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

function takeOutcomes(
  { scores, tokens }: OutcomeColumns,
  rows: readonly number[],
  all: number,
): OutcomeColumns {
  const m = scores.length / all
  const take = (table: Float32Array): Float32Array => {
    const taken = new Float32Array(rows.length * m)
    rows.forEach((row, place) => {
      taken.set(table.subarray(row * m, (row + 1) * m), place * m)
    })
    return taken
  }
  return { scores: take(scores), ...(tokens && { tokens: take(tokens) }) }
}

function takeVotes(
  votes: PreferenceColumns,
  rows: readonly number[],
  all: number,
): PreferenceColumns {
  const place = new Int32Array(all).fill(-1)
  rows.forEach((row, to) => {
    place[row] = to
  })
  const kept = [...votes.prompt.keys()].filter((i) => place[votes.prompt[i]!]! >= 0)
  return {
    prompt: Int32Array.from(kept, (i) => place[votes.prompt[i]!]!),
    modelA: Int32Array.from(kept, (i) => votes.modelA[i]!),
    modelB: Int32Array.from(kept, (i) => votes.modelB[i]!),
    label: Float32Array.from(kept, (i) => votes.label[i]!),
    weight: Float32Array.from(kept, (i) => votes.weight[i]!),
  }
}
