import { crossProducts, symmetricEigen } from '../lexical/orthogonal.ts'
import type { DenseMatrix } from '../solver/dense-matrix.ts'
import {
  lengthColumn,
  lengthScale,
  type ObservedOutcomes,
  scoreColumn,
  scoreMean,
} from './outcome-columns.ts'

/** Weight of a model's length of answer, in standard deviations, beside its score. */
const LENGTH_WEIGHT = 0.3

/**
 * What the models' outcomes on a prompt have in common, as principal components: how hard it is first, then
 * what some models find harder than others. Lengths of answers take part where the log has them: models write
 * more where there is more to do.
 */
export interface OutcomeFactors {
  readonly count: number
  /** n x count of the same models on any rows */
  of(observed: ObservedOutcomes): DenseMatrix
}

/** @param most components at the most; no more than the outcomes vary in */
export function fitOutcomeFactors(
  fitted: ObservedOutcomes,
  m: number,
  most: number,
): OutcomeFactors {
  const models = Array.from({ length: m }, (_, k) => k)
  const means = models.map((k) => scoreMean(fitted.scores, m, k))
  const lengths = fitted.tokens && models.map((k) => lengthScale(fitted.tokens!, m, k))
  const width = m * (lengths ? 2 : 1)
  const tableOf = (observed: ObservedOutcomes): Float32Array => {
    const n = observed.scores.length / m
    const table = new Float32Array(n * width)
    const put = (column: Float64Array, at: number, weight: number): void => {
      for (let i = 0; i < n; i++) table[i * width + at] = weight * column[i]!
    }
    for (const k of models) {
      put(scoreColumn(observed.scores, m, k, means[k]!), k, 1)
      if (!lengths || !observed.tokens) continue
      put(lengthColumn(observed.tokens, m, k, lengths[k]!), m + k, LENGTH_WEIGHT)
    }
    return table
  }
  const table = tableOf(fitted)
  const { values, vectors } = symmetricEigen(
    crossProducts(table, table.length / width, width),
    width,
  )
  const count = Math.min(most, values.filter((value) => value > 1e-6 * values[0]!).length)
  return {
    count,
    of(observed) {
      const rows = tableOf(observed)
      const n = rows.length / width
      const out = new Float32Array(n * count)
      for (let i = 0; i < n; i++) {
        for (let c = 0; c < count; c++) {
          let sum = 0
          for (let j = 0; j < width; j++) sum += rows[i * width + j]! * vectors[j * width + c]!
          out[i * count + c] = sum
        }
      }
      return { rows: n, columns: count, values: out }
    },
  }
}
