import type { SparseEmbeddings } from '../../models/encoders/embeddings.ts'
import { sigmoid } from '../../models/families/linear-head.ts'
import { minimise, type Objective } from './lbfgs.ts'
import { denseLogistic } from './logistic-dense.ts'
import {
  addPenalty,
  hessianDiagonal,
  type LogisticLoss,
  type LogisticProblem,
  logLoss,
} from './logistic-problem.ts'

export interface LogisticOptions extends LogisticProblem {
  readonly init?: { readonly weights: Float32Array; readonly bias: number } | undefined
  readonly maxIterations: number
  /** stop when the estimated relative gap of the objective to its minimum is at most this */
  readonly tolerance: number
  readonly signal?: AbortSignal | undefined
  readonly onIteration?: ((iteration: number, objective: number) => void) | undefined
}

export interface LogisticFit {
  /** d */
  readonly weights: Float32Array
  readonly bias: number
  readonly objective: number
  readonly iterations: number
  readonly converged: boolean
}

/** Penalised logistic regression with soft labels by preconditioned L-BFGS. */
export async function fitLogistic(options: LogisticOptions): Promise<LogisticFit> {
  const { embeddings, maxIterations, tolerance, signal, onIteration } = options
  const d = embeddings.dimension
  const penalty = penalties(options)
  const objective = await logisticLoss(options, penalty)
  const x = new Float64Array(d + 1)
  if (options.init) {
    x.set(options.init.weights)
    x[d] = options.init.bias
  }
  const penalised: Objective = {
    size: d + 1,
    evaluate: (at, gradient) =>
      objective.evaluate(at, gradient) + addPenalty(at, gradient, penalty),
  }
  const minimum = await minimise(penalised, {
    x,
    maxIterations,
    precondition: objective.precondition,
    tolerance: Math.max(tolerance, objective.precision),
    signal,
    onIteration,
  })
  return {
    weights: Float32Array.from(x.subarray(0, d)),
    bias: x[d]!,
    objective: minimum.value,
    iterations: minimum.iterations,
    converged: minimum.converged,
  }
}

/** The sum of the rows' log-losses, with a preconditioner for it and the penalty (d) together. */
export async function logisticLoss(
  problem: LogisticProblem,
  penalty: Float64Array,
): Promise<LogisticLoss> {
  const { embeddings } = problem
  return embeddings.kind === 'sparse'
    ? sparseLogistic(embeddings, problem, penalty)
    : denseLogistic(embeddings, problem, penalty)
}

/** d: the L2 strength of each column. */
function penalties({ embeddings, l2, l2Ranges = [] }: LogisticProblem): Float64Array {
  const strengths = new Float64Array(embeddings.dimension).fill(l2)
  for (const range of l2Ranges) strengths.fill(range.l2, range.from, range.to)
  return strengths
}

/** The loss over CSR rows; one pass over the rows per call. */
function sparseLogistic(
  embeddings: SparseEmbeddings,
  problem: LogisticProblem,
  penalty: Float64Array,
): LogisticLoss {
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
      return loss
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
