import { minimise } from './lbfgs.ts'
import { denseLogistic } from './logistic-dense.ts'
import type { LogisticProblem } from './logistic-problem.ts'
import { sparseLogistic } from './logistic-sparse.ts'

export interface LogisticOptions extends LogisticProblem {
  readonly init?: { readonly weights: Float32Array; readonly bias: number }
  readonly maxIterations: number
  /** relative gap of the objective to its minimum at which to stop, as estimated */
  readonly tolerance: number
  readonly signal?: AbortSignal
  readonly onIteration?: (iteration: number, objective: number) => void
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
  const objective =
    embeddings.kind === 'sparse'
      ? sparseLogistic(embeddings, options, penalty)
      : await denseLogistic(embeddings, options, penalty)
  const x = new Float64Array(d + 1)
  if (options.init) {
    x.set(options.init.weights)
    x[d] = options.init.bias
  }
  const minimum = await minimise(objective, {
    x,
    maxIterations,
    precondition: objective.precondition,
    tolerance: Math.max(tolerance, objective.precision),
    ...(signal ? { signal } : {}),
    ...(onIteration ? { onIteration } : {}),
  })
  return {
    weights: Float32Array.from(x.subarray(0, d)),
    bias: x[d]!,
    objective: minimum.value,
    iterations: minimum.iterations,
    converged: minimum.converged,
  }
}

/** d: the L2 strength of each column. */
function penalties({ embeddings, l2, l2Ranges = [] }: LogisticProblem): Float64Array {
  const strengths = new Float64Array(embeddings.dimension).fill(l2)
  for (const range of l2Ranges) strengths.fill(range.l2, range.from, range.to)
  return strengths
}
