import { WeirError } from '../../models/errors.ts'
import type { TrainerInput, TrainingRows } from '../trainer.ts'

/** What one head is fitted to: rows of the embeddings with their soft labels. */
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

/** From outcomes one success head a model, from preferences alone one head for the pair. */
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

/** A model's scores, where it was observed. */
export function outcomeTarget(split: TrainingRows, models: number, model: number): Target {
  const scores = split.outcomes!.scores
  const rows: number[] = []
  const labels: number[] = []
  for (let row = 0; row < split.embeddings.rows; row++) {
    const score = scores[row * models + model]!
    if (Number.isNaN(score)) continue
    rows.push(row)
    labels.push(score)
  }
  return target(rows, labels, new Float32Array(rows.length).fill(1))
}

/** The pair's own votes, seen from the strong model's side. Throws `rows_too_few` where there are none. */
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

/** Two splits' targets, the second one's rows behind the first one's `rows`. */
export function joinTargets(first: Target, second: Target, rows: number): Target {
  return target(
    [...first.rows, ...shiftRows(second, rows).rows],
    [...first.labels, ...second.labels],
    [...first.weights, ...second.weights],
  )
}

export const shiftRows = (target: Target, by: number): Target => ({
  ...target,
  rows: target.rows.map((row) => row + by),
})

/** What is fitted and what judges it. */
export interface Part {
  readonly fit: Target
  readonly judge: Target
}

/** A prompt's rows all fall into one part: row r belongs to part r mod folds. */
export function foldTargets(everything: Target, folds: number): Part[] {
  const pick = (keep: (row: number) => boolean): Target => {
    const kept = [...everything.rows.keys()].filter((i) => keep(everything.rows[i]!))
    return target(
      kept.map((i) => everything.rows[i]!),
      kept.map((i) => everything.labels[i]!),
      kept.map((i) => everything.weights[i]!),
    )
  }
  const parts = Array.from({ length: folds }, (_, fold) => ({
    fit: pick((row) => row % folds !== fold),
    judge: pick((row) => row % folds === fold),
  }))
  return parts.filter(({ fit, judge }) => fit.rows.length > 0 && judge.rows.length > 0)
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
