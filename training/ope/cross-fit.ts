import { hashText, unitInterval } from '../../core/hash.ts'
import { deriveSeed } from '../../core/random.ts'
import { normalQuantile } from '../../core/stats/normal.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { promptStem } from '../../data/splits/stem.ts'
import type { SparseEmbeddings } from '../../models/encoders/embeddings.ts'
import { fitLogistic, type LogisticFit } from '../solver/logistic.ts'
import { type L2Range, logLoss } from '../solver/logistic-problem.ts'
import { type LogFeatures, sampleOf, type Watch } from './log-features.ts'

/** Rows are predicted from models that were fitted to the other folds. */
export const FOLDS = 5
/** A model is fitted to at most this many rows, drawn at random; more would change it little. */
const MOST_FITTED = 40_000
/** Up to this many rows are encoded once and kept; more are encoded again, in parts. */
const MOST_KEPT = 60_000
const PART = 8_192
/** L2 strengths of the words, strongest first; the one with the least log-loss on one fold is taken. */
const STRENGTHS = [30, 8, 2, 0.5]
/** L2 strength of columns that clearly tell who was asked, who is rated, or how well a model answers. */
const CLEAR_L2 = 0.02
/** Chance that any column passes for one of these though none is. */
const FALSE_ALARM = 0.05
/** At most this many columns are taken per target, and at most one per so many labels of the rarer kind. */
const MOST_CLEAR = 20
const LABELS_PER_COLUMN = 10
const ITERATIONS = 30
const TOLERANCE = 1e-3

/** A soft label on some prompts, for a model of the log's features. */
export interface CrossFitTarget {
  readonly name: string
  /** prompts with a label */
  readonly prompts: Int32Array
  /** in [0, 1] */
  readonly labels: Float32Array
}

/** The fold of every prompt, by its stem: copies of a question share one. */
export function foldsOf(
  { prompts, manifest }: Pick<Dataset, 'prompts' | 'manifest'>,
  seed: number,
): Uint8Array {
  const hash = new Uint32Array(2)
  const own = deriveSeed(seed, 'cross-fit')
  return Uint8Array.from(prompts, (prompt) => {
    hashText(promptStem(prompt, manifest.split), own, hash)
    return Math.floor(unitInterval(hash) * FOLDS)
  })
}

/**
 * Cross-fitted logits: for each target and each of `rows`, the logit by a penalised logistic regression on the
 * log's features that has not seen the row's fold.
 *
 * Columns that clearly predict any of the targets are hardly penalised for all of them (double selection; Belloni,
 * Chernozhukov and Hansen 2014): an estimate is off by the product of what shrinking hides from the propensities
 * and from the scores, which with few labels is more than the standard error.
 */
export async function crossFit(
  features: LogFeatures,
  fold: Uint8Array,
  targets: readonly CrossFitTarget[],
  rows: Int32Array,
  { seed, signal, onProgress }: Watch & { readonly seed: number },
): Promise<Float64Array[]> {
  const fitted = targets.map((target) => fewerRows(target, seed))
  const encoded = await encodeOnce(features, fitted, rows)
  const clear = Array.from({ length: FOLDS }, (_, left) =>
    clearColumns(features, encoded, fold, fitted, left),
  )
  const models: LogisticFit[][] = []
  for (const [at, target] of fitted.entries()) {
    onProgress?.({
      stage: 'estimating the missing answers',
      done: at,
      total: fitted.length,
      note: target.name,
    })
    models.push(await fitFolds(features, encoded, fold, target, clear, signal))
  }
  const logits = targets.map(() => new Float64Array(rows.length))
  for (let from = 0; from < rows.length; from += PART) {
    signal?.throwIfAborted()
    const part = rows.subarray(from, from + PART)
    const matrix = encoded.all ? encoded.matrix : await features.encode(part)
    for (let i = 0; i < part.length; i++) {
      const row = encoded.all ? encoded.place.get(part[i]!)! : i
      for (const [k, folds] of models.entries()) {
        logits[k]![from + i] = logitOf(matrix, row, folds[fold[part[i]!]!]!)
      }
    }
    if (!encoded.all) {
      onProgress?.({ stage: 'estimating the missing answers', done: from, total: rows.length })
    }
  }
  return logits
}

function fewerRows(target: CrossFitTarget, seed: number): CrossFitTarget {
  const kept = sampleOf(target.prompts.length, MOST_FITTED, deriveSeed(seed, target.name))
  if (!kept) return target
  return {
    name: target.name,
    prompts: Int32Array.from(kept, (i) => target.prompts[i]!),
    labels: Float32Array.from(kept, (i) => target.labels[i]!),
  }
}

interface Encoded {
  readonly matrix: SparseEmbeddings
  /** row of the matrix by prompt */
  readonly place: ReadonlyMap<number, number>
  /** whether the matrix holds the rows to predict as well */
  readonly all: boolean
}

async function encodeOnce(
  features: LogFeatures,
  targets: readonly CrossFitTarget[],
  rows: Int32Array,
): Promise<Encoded> {
  const known = new Set(targets.flatMap(({ prompts }) => [...prompts]))
  const all = rows.length <= MOST_KEPT
  if (all) for (const row of rows) known.add(row)
  const prompts = Int32Array.from(known).sort()
  const place = new Map(Array.from(prompts, (prompt, at) => [prompt, at]))
  return { matrix: await features.encode(prompts), place, all }
}

/** One model per fold, fitted to the rows of the other folds. */
async function fitFolds(
  features: LogFeatures,
  { matrix, place }: Encoded,
  fold: Uint8Array,
  { prompts, labels }: CrossFitTarget,
  clear: readonly (readonly L2Range[])[],
  signal: AbortSignal | undefined,
): Promise<LogisticFit[]> {
  const fitWithout = async (left: number, l2: number, init?: LogisticFit): Promise<LogisticFit> => {
    const kept = Array.from(prompts.keys()).filter((i) => fold[prompts[i]!] !== left)
    return fitLogistic({
      embeddings: matrix,
      rows: Int32Array.from(kept, (i) => place.get(prompts[i]!)!),
      labels: Float32Array.from(kept, (i) => labels[i]!),
      weights: new Float32Array(kept.length).fill(1),
      l2,
      l2Ranges: [...features.ranges, ...clear[left]!],
      maxIterations: ITERATIONS,
      tolerance: TOLERANCE,
      ...(init && { init }),
      signal,
    })
  }
  let best: { fit: LogisticFit; loss: number; l2: number } | undefined
  const held = Array.from(prompts.keys()).filter((i) => fold[prompts[i]!] === 0)
  for (const l2 of STRENGTHS) {
    const found = await fitWithout(0, l2, best?.fit)
    let loss = 0
    for (const i of held) {
      loss += logLoss(logitOf(matrix, place.get(prompts[i]!)!, found), labels[i]!)
    }
    if (best && !(loss < best.loss)) break // weaker penalties only overfit more
    best = { fit: found, loss, l2 }
  }
  const fits = [best!.fit]
  for (let left = 1; left < FOLDS; left++) fits.push(await fitWithout(left, best!.l2, best!.fit))
  return fits
}

/** The columns that predict any of the targets on the rows outside a fold, each a range of its own. */
function clearColumns(
  features: LogFeatures,
  encoded: Encoded,
  fold: Uint8Array,
  targets: readonly CrossFitTarget[],
  left: number,
): L2Range[] {
  const chosen = new Set<number>()
  for (const target of targets) {
    for (const column of clearColumnsOf(features.dimension, encoded, fold, target, left))
      chosen.add(column)
  }
  return Array.from(chosen, (column) => ({ from: column, to: column + 1, l2: CLEAR_L2 }))
}

/** Columns whose covariance with the label is further from 0 than chance explains (score test, Bonferroni). */
function clearColumnsOf(
  dimension: number,
  { matrix: { offsets, ids, weights }, place }: Encoded,
  fold: Uint8Array,
  { prompts, labels }: CrossFitTarget,
  left: number,
): number[] {
  const rows = Array.from(prompts.keys()).filter((i) => fold[prompts[i]!] !== left)
  const n = rows.length
  const mean = rows.reduce((sum, i) => sum + labels[i]!, 0) / Math.max(1, n)
  const variance = rows.reduce((sum, i) => sum + (labels[i]! - mean) ** 2, 0) / Math.max(1, n)
  const [product, sum, squares] = [0, 1, 2].map(() => new Float64Array(dimension)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  for (const i of rows) {
    const row = place.get(prompts[i]!)!
    for (let k = offsets[row]!; k < offsets[row + 1]!; k++) {
      const [column, x] = [ids[k]!, weights[k]!]
      product[column]! += x * (labels[i]! - mean)
      sum[column]! += x
      squares[column]! += x * x
    }
  }
  const used = squares.reduce((count, x) => count + (x > 0 ? 1 : 0), 0)
  const limit = normalQuantile(1 - FALSE_ALARM / (2 * Math.max(1, used)))
  const rarer = n * Math.min(mean, 1 - mean)
  return Array.from(product, (covariance, column) => {
    const spread = squares[column]! - sum[column]! ** 2 / n
    return { column, z: spread > 1e-9 ? Math.abs(covariance) / Math.sqrt(variance * spread) : 0 }
  })
    .filter(({ z }) => z > limit)
    .sort((a, b) => b.z - a.z || a.column - b.column)
    .slice(0, Math.min(MOST_CLEAR, Math.floor(rarer / LABELS_PER_COLUMN)))
    .map(({ column }) => column)
}

function logitOf(
  { offsets, ids, weights }: SparseEmbeddings,
  row: number,
  { weights: coefficients, bias }: LogisticFit,
): number {
  let sum = bias
  for (let k = offsets[row]!; k < offsets[row + 1]!; k++)
    sum += weights[k]! * coefficients[ids[k]!]!
  return sum
}
