import { WeirError } from '../../../core/errors.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import type { FitRows, Ops } from '../../engine/engine.ts'
import type { PreferenceColumns, TrainingRows } from '../trainer.ts'
import { embeddingLookup } from './descent.ts'

/**
 * Mean over the models of the cross-entropy of sigmoid(logits) [batch, m] with the batch's `score`, weighted
 * by `seen`, which is 0 if a model was not observed. A row that is a vote has the cross-entropy of
 * sigmoid(z_a - z_b) with its `label` instead (Bradley and Terry 1952 on the heads' logits). Returns one loss per
 * row.
 */
export function successLoss<T>(
  ops: Ops<T>,
  logits: T,
  batch: Readonly<Record<string, T>>,
  models: number,
): T {
  // softplus(x) - y x is the cross-entropy of sigmoid(x) with label y, without overflow
  const losses = ops.sub(ops.softplus(logits), ops.mul(logits, batch.score!))
  const scored = ops.sumLast(ops.mul(losses, batch.seen!))
  const { contrast, label } = batch
  if (contrast === undefined) return ops.scale(scored, 1 / models)
  const apart = ops.sumLast(ops.mul(logits, contrast))
  const voted = ops.sub(ops.softplus(apart), ops.mul(apart, label!))
  // 1 for a vote, 0 for scores
  const isVote = ops.scale(ops.sumLast(ops.mul(contrast, contrast)), 1 / 2)
  return ops.scale(ops.add(scored, ops.mul(voted, isVote)), 1 / models)
}

/** The models' scores as labels, and their weights, which are 0 if not observed. */
export interface SuccessTable {
  /** prompts x models */
  readonly score: Float32Array
  readonly seen: Float32Array
}

/**
 * One row per prompt on which any model was observed, with all its models, and one row per vote where `votes`.
 *
 * @param votes whether the log has votes; the same for all splits of a fit
 * @throws rows_too_few if there is none
 */
export function successFitRows(
  split: TrainingRows,
  embeddings: DenseEmbeddings,
  models: number,
  votes: boolean,
  { score, seen }: SuccessTable = successTable(split, models),
): FitRows {
  const n = embeddings.rows
  const scored: number[] = []
  for (let row = 0; row < n; row++) {
    if (seen.subarray(row * models, (row + 1) * models).some((count) => count > 0)) scored.push(row)
  }
  if (scored.length === 0) {
    const what = 'with scores (success heads learn from outcomes, not from votes alone)'
    throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
  }
  const { prompt, modelA, modelB, label, weight } = (votes && split.preferences) || NO_VOTES
  const rows = scored.length + prompt.length
  // votes have no scores: they read the last row of the tables, which is empty
  const scores = filledUp(Int32Array.from(scored), rows, n)
  const matrix = (values: Float32Array) => ({
    table: { shape: [n + 1, models], values: filledUp(values, (n + 1) * models, 0) },
    index: scores,
  })
  return {
    rows,
    columns: votes ? { label: shifted(label, scored.length, 0) } : {},
    lookups: {
      embedding: embeddingLookup(embeddings, Int32Array.from([...scored, ...prompt])),
      score: matrix(score),
      seen: matrix(seen),
      ...(votes && { contrast: contrasts(modelA, modelB, scored.length, models) }),
    },
    weight: shifted(weight, scored.length, 1),
  }
}

const NO_VOTES: PreferenceColumns = {
  prompt: new Int32Array(),
  modelA: new Int32Array(),
  modelB: new Int32Array(),
  label: new Float32Array(),
  weight: new Float32Array(),
}

/** The values, followed by as many of `value` as make `length`. */
function filledUp<A extends Float32Array | Int32Array>(
  values: A,
  length: number,
  value: number,
): A {
  const Kind = values.constructor as new (length: number) => A
  const out = new Kind(length)
  out.set(values)
  out.fill(value, values.length)
  return out
}

/** `by` times `value`, then the values. */
function shifted(values: Float32Array, by: number, value: number): Float32Array {
  const out = new Float32Array(by + values.length).fill(value)
  out.set(values, by)
  return out
}

/** For each row the models' signs: 1 and -1 for the two of a vote, all 0 for rows with scores. */
function contrasts(modelA: Int32Array, modelB: Int32Array, scored: number, models: number) {
  const place = new Map<number, number>()
  const index = new Int32Array(scored + modelA.length)
  for (let i = 0; i < modelA.length; i++) {
    const pair = modelA[i]! * models + modelB[i]!
    const at = place.get(pair) ?? place.size + 1
    place.set(pair, at)
    index[scored + i] = at
  }
  const values = new Float32Array((place.size + 1) * models)
  for (const [pair, at] of place) {
    values[at * models + Math.floor(pair / models)] = 1
    values[at * models + (pair % models)] = -1
  }
  return { table: { shape: [place.size + 1, models], values }, index }
}

export function successTable(split: TrainingRows, models: number): SuccessTable {
  const scores =
    split.outcomes?.scores ?? new Float32Array(split.embeddings.rows * models).fill(NaN)
  return {
    score: scores.map((score) => (Number.isNaN(score) ? 0 : score)),
    seen: scores.map((score) => (Number.isNaN(score) ? 0 : 1)),
  }
}
