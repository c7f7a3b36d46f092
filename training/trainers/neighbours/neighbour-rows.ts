import type { HeadWeights, Pair } from '../../../models/families/family.ts'
import { unitTail } from '../../../models/families/neighbours.ts'
import { pairRows } from '../pair-rows.ts'
import type { TrainerInput, TrainingRows } from '../trainer.ts'

/** What stands in for the score of a model that was not asked: a prediction, or an unbiased estimate. */
export type MissingScores = 'imputed' | 'completed'

/**
 * Rows on which the pair was observed, or one of the two with something in place of the other, as tensors
 * `rows`, `scores` and `base`. The scores of prompts with votes only are the pair's vote shares: the strong
 * model's share of wins, and 1 minus it for the weak model.
 *
 * @param tail number of last columns that are read; all columns of a dense row
 * @param missing `completed` scores may lie outside [0, 1]
 */
export function neighbourTensors(
  split: TrainingRows,
  input: Pick<TrainerInput, 'models' | keyof Pair>,
  tail: number,
  missing: MissingScores = 'imputed',
): HeadWeights['tensors'] {
  const m = input.models.length
  const scores = observedScores(split, input, missing)
  const kept = observedRows(split, input)
  const base = Float32Array.from({ length: m }, (_, model) => meanOf(scores, kept, m, model))
  const rows = new Float32Array(kept.length * tail)
  const taken = new Float32Array(kept.length * m)
  const row = new Float64Array(tail)
  for (const [place, from] of kept.entries()) {
    unitTail(split.embeddings, from, row)
    rows.set(row, place * tail)
    for (let model = 0; model < m; model++) {
      const score = scores[from * m + model]!
      taken[place * m + model] = Number.isNaN(score) ? base[model]! : score
    }
  }
  return {
    rows: { shape: [kept.length, tail], values: rows },
    scores: { shape: [kept.length, m], values: taken },
    base: { shape: [m], values: base },
  }
}

/** Indices of the rows of a split on which the pair was observed, ascending. */
export function observedRows(
  split: TrainingRows,
  input: Pick<TrainerInput, 'models' | keyof Pair>,
): number[] {
  const m = input.models.length
  const scores = observedScores(split, input)
  const rows = Array.from({ length: split.embeddings.rows }, (_, row) => row)
  return rows.filter(
    (row) => !Number.isNaN(scores[row * m + input.strong]! - scores[row * m + input.weak]!),
  )
}

function observedScores(
  split: TrainingRows,
  input: Pick<TrainerInput, 'models' | keyof Pair>,
  missing: MissingScores = 'imputed',
): Float32Array {
  const { outcomes, preferences } = split
  const known = outcomes?.[missing] ?? outcomes?.scores
  if (!preferences) return known ?? new Float32Array(0)
  const m = input.models.length
  const scores = known?.slice() ?? new Float32Array(split.embeddings.rows * m).fill(Number.NaN)
  const { rows, y } = pairRows(split, input)
  for (const [i, row] of rows.entries()) {
    const [strong, weak] = [row * m + input.strong, row * m + input.weak]
    if (!Number.isNaN(scores[strong]! - scores[weak]!)) continue
    scores[strong] = y[i]!
    scores[weak] = 1 - y[i]!
  }
  return scores
}

/** A model's mean score over the rows; 1/2 if none of them has one. */
function meanOf(
  scores: Float32Array,
  rows: readonly number[],
  models: number,
  model: number,
): number {
  let sum = 0
  let count = 0
  for (const row of rows) {
    const score = scores[row * models + model]!
    if (Number.isNaN(score)) continue
    sum += score
    count++
  }
  return count > 0 ? sum / count : 0.5
}
