import { sigmoid } from '../../models/families/linear-head.ts'
import { fitLogistic } from '../solver/logistic.ts'

/** Probabilities stay this far from 0 and 1. */
const EDGE = 1e-3
/** On columns of standard deviation 1. */
const L2 = 0.1

/**
 * Calibrates cross-fitted logits: a logistic regression of the labels on a few columns of them (Platt 1999),
 * fitted to the given rows, evaluated on all.
 *
 * @param columns n each
 * @param labels n, in [0, 1]; read only in the given rows
 * @param weights n; 1 each by default
 * @returns n probabilities
 */
export async function recalibrated(
  columns: readonly Float64Array[],
  labels: ArrayLike<number>,
  rows: readonly number[],
  weights?: Float64Array,
): Promise<Float64Array> {
  const n = columns[0]!.length
  const d = columns.length
  const values = new Float32Array(n * d)
  for (const [j, column] of columns.entries()) {
    const { mean, deviation } = momentsOf(column, rows)
    for (let i = 0; i < n; i++) values[i * d + j] = (column[i]! - mean) / deviation
  }
  let total = 0
  for (const i of rows) total += weights?.[i] ?? 1
  const fit = await fitLogistic({
    embeddings: { kind: 'dense', rows: n, dimension: d, values },
    rows: Int32Array.from(rows),
    labels: Float32Array.from(rows, (i) => labels[i]!),
    // weights average 1, so that the penalty means the same with and without them
    weights: Float32Array.from(rows, (i) => ((weights?.[i] ?? 1) * rows.length) / total),
    l2: L2,
    maxIterations: 100,
    tolerance: 1e-6,
  })
  return Float64Array.from({ length: n }, (_, i) => {
    let z = fit.bias
    for (let j = 0; j < d; j++) z += fit.weights[j]! * values[i * d + j]!
    return Math.min(1 - EDGE, Math.max(EDGE, sigmoid(z)))
  })
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
