import type { SparseEmbeddings } from '../../models/embeddings.ts'
import { sigmoid } from '../../models/linear-head.ts'
import {
  addPenalty,
  hessianDiagonal,
  type LogisticObjective,
  type LogisticProblem,
  logLoss,
} from './logistic-problem.ts'

/** The logistic objective over CSR rows; one pass a call. */
export function sparseLogistic(
  embeddings: SparseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): LogisticObjective {
  const { offsets, ids, weights: values, dimension: d } = embeddings
  const { rows, labels, weights } = problem
  const diagonal = hessianDiagonal(weightedSquares(embeddings, problem), penalty)
  return {
    size: d + 1,
    precision: 1e-14,
    evaluate(x, gradient) {
      gradient.fill(0)
      const bias = x[d]!
      let [loss, pull] = [0, 0]
      for (let i = 0; i < rows.length; i++) {
        const from = offsets[rows[i]!]!
        const to = offsets[rows[i]! + 1]!
        let z = bias
        for (let k = from; k < to; k++) z += values[k]! * x[ids[k]!]!
        const y = labels[i]!
        loss += weights[i]! * logLoss(z, y)
        const residual = weights[i]! * (sigmoid(z) - y)
        pull += residual
        for (let k = from; k < to; k++) gradient[ids[k]!]! += residual * values[k]!
      }
      gradient[d] = pull
      return loss + addPenalty(x, gradient, penalty)
    },
    precondition(vector) {
      for (let j = 0; j <= d; j++) vector[j]! /= diagonal[j]!
    },
  }
}

/** d + 1: sum of weight * x^2 over the rows, the bias as a column of ones. */
function weightedSquares(
  { offsets, ids, weights: values, dimension: d }: SparseEmbeddings,
  { rows, weights }: LogisticProblem,
): Float64Array {
  const squares = new Float64Array(d + 1)
  for (let i = 0; i < rows.length; i++) {
    for (let k = offsets[rows[i]!]!; k < offsets[rows[i]! + 1]!; k++) {
      squares[ids[k]!]! += weights[i]! * values[k]! * values[k]!
    }
    squares[d]! += weights[i]!
  }
  return squares
}
