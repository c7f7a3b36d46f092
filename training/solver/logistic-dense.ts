import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { sigmoid } from '../../models/linear-head.ts'
import {
  addPenalty,
  type LogisticObjective,
  type LogisticProblem,
  logLoss,
} from './logistic-problem.ts'

/** The logistic objective over dense rows; one pass a call. */
export async function denseLogistic(
  embeddings: DenseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): Promise<LogisticObjective> {
  const { values, dimension: d } = embeddings
  const { rows, labels, weights } = problem
  return {
    size: d + 1,
    evaluate(x, gradient) {
      gradient.fill(0)
      const bias = x[d]!
      let [loss, pull] = [0, 0]
      for (let i = 0; i < rows.length; i++) {
        const from = rows[i]! * d
        let z = bias
        for (let j = 0; j < d; j++) z += values[from + j]! * x[j]!
        const y = labels[i]!
        loss += weights[i]! * logLoss(z, y)
        const residual = weights[i]! * (sigmoid(z) - y)
        pull += residual
        for (let j = 0; j < d; j++) gradient[j]! += residual * values[from + j]!
      }
      gradient[d] = pull
      return loss + addPenalty(x, gradient, penalty)
    },
    curvature() {
      const diagonal = new Float64Array(d + 1)
      for (let i = 0; i < rows.length; i++) {
        const quarter = weights[i]! / 4
        const from = rows[i]! * d
        for (let j = 0; j < d; j++) diagonal[j]! += quarter * values[from + j]! ** 2
        diagonal[d]! += quarter
      }
      return diagonal
    },
    close: async () => {},
  }
}
