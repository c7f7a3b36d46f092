import { sigmoid } from '../../models/families/linear-head.ts'
import { fitLogistic, type LogisticFit } from '../solver/logistic.ts'
import { FOLDS } from './cross-fit.ts'
import { sampleOf } from './log-features.ts'

/** Probabilities stay this far from 0 and 1, unless it is asked for otherwise. */
const EDGE = 1e-3
/** On columns of standard deviation 1. */
const L2 = 0.1

/** A regression on a few columns is fitted to at most this many rows; more would change it little. */
const MOST_FITTED = 40_000

/**
 * Calibrates cross-fitted columns: a logistic regression of the labels on a few of them (Platt 1999), fitted to
 * the given rows of all folds but one and evaluated on that one.
 *
 * @param columns n each
 * @param labels n, in [0, 1]; read only in the given rows
 * @param fold n: the fold of each row, under FOLDS
 * @param weights n; 1 each by default
 * @param edge probabilities stay this far from 0 and 1
 * @returns n probabilities
 */
export async function recalibrated(
  columns: readonly Float64Array[],
  labels: ArrayLike<number>,
  rows: readonly number[],
  fold: Uint8Array,
  { weights, edge = EDGE }: { readonly weights?: Float64Array; readonly edge?: number } = {},
): Promise<Float64Array> {
  const n = columns[0]!.length
  const d = columns.length
  const values = new Float32Array(n * d)
  for (const [j, column] of columns.entries()) {
    const { mean, deviation } = momentsOf(column, rows)
    for (let i = 0; i < n; i++) values[i * d + j] = (column[i]! - mean) / deviation
  }
  const out = new Float64Array(n)
  let init: LogisticFit | undefined
  for (let left = 0; left < FOLDS; left++) {
    const others = rows.filter((i) => fold[i] !== left)
    const kept = sampleOf(others.length, MOST_FITTED, left)
    const fitted = kept ? Array.from(kept, (at) => others[at]!) : others
    let total = 0
    for (const i of fitted) total += weights?.[i] ?? 1
    const fit: LogisticFit = await fitLogistic({
      embeddings: { kind: 'dense', rows: n, dimension: d, values },
      rows: Int32Array.from(fitted),
      labels: Float32Array.from(fitted, (i) => labels[i]!),
      // weights average 1, so that the penalty means the same with and without them
      weights: Float32Array.from(fitted, (i) => ((weights?.[i] ?? 1) * fitted.length) / total),
      l2: L2,
      maxIterations: 100,
      tolerance: 1e-6,
      ...(init && { init }),
    })
    init = fit
    for (let i = 0; i < n; i++) {
      if (fold[i] !== left) continue
      let z = fit.bias
      for (let j = 0; j < d; j++) z += fit.weights[j]! * values[i * d + j]!
      out[i] = Math.min(1 - edge, Math.max(edge, sigmoid(z)))
    }
  }
  return out
}

function momentsOf(
  column: Float64Array,
  rows: readonly number[],
): { readonly mean: number; readonly deviation: number } {
  let [sum, squares] = [0, 0]
  for (const i of rows) {
    sum += column[i]!
    squares += column[i]! ** 2
  }
  const n = Math.max(1, rows.length)
  const mean = sum / n
  const variance = squares / n - mean * mean
  return { mean, deviation: variance > 1e-12 ? Math.sqrt(variance) : 1 }
}
