import { WeirError } from '../../../core/errors.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import type { FitRows, Ops } from '../../engine/engine.ts'
import type { TrainingRows } from '../trainer.ts'
import { embeddingLookup } from './descent.ts'

/**
 * Mean over the models of the cross-entropy of sigmoid(logits) [batch, m] with the batch's `score`, weighted
 * by `seen`, which is 0 if a model was not observed. Returns one loss per row.
 */
export function successLoss<T>(
  ops: Ops<T>,
  logits: T,
  batch: Readonly<Record<string, T>>,
  models: number,
): T {
  // softplus(x) - y x is the cross-entropy of sigmoid(x) with label y, without overflow
  const losses = ops.sub(ops.softplus(logits), ops.mul(logits, batch.score!))
  return ops.scale(ops.sumLast(ops.mul(losses, batch.seen!)), 1 / models)
}

/** The models' scores as labels, and their weights, which are 0 if not observed. */
export interface SuccessTable {
  /** prompts x models */
  readonly score: Float32Array
  readonly seen: Float32Array
}

/**
 * One row per prompt on which any model was observed, with all its models.
 *
 * @throws rows_too_few if there is none
 */
export function successFitRows(
  split: TrainingRows,
  embeddings: DenseEmbeddings,
  models: number,
  { score, seen }: SuccessTable = successTable(split, models),
): FitRows {
  const rows: number[] = []
  for (let row = 0; row < embeddings.rows; row++) {
    if (seen.subarray(row * models, (row + 1) * models).some((count) => count > 0)) rows.push(row)
  }
  if (rows.length === 0) {
    const what = 'with scores (success heads learn from outcomes, not from votes)'
    throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
  }
  const index = Int32Array.from(rows)
  const matrix = (values: Float32Array) => ({
    table: { shape: [embeddings.rows, models], values },
    index,
  })
  return {
    rows: rows.length,
    columns: {},
    lookups: {
      embedding: embeddingLookup(embeddings, index),
      score: matrix(score),
      seen: matrix(seen),
    },
    weight: new Float32Array(rows.length).fill(1),
  }
}

export function successTable(split: TrainingRows, models: number): SuccessTable {
  const scores =
    split.outcomes?.scores ?? new Float32Array(split.embeddings.rows * models).fill(NaN)
  return {
    score: scores.map((score) => (Number.isNaN(score) ? 0 : score)),
    seen: scores.map((score) => (Number.isNaN(score) ? 0 : 1)),
  }
}
