import type { Embeddings } from '../../models/encoders/embeddings.ts'
import { type LinearHead, linearLogits, sigmoid } from '../../models/families/linear-head.ts'
import { choleskySolve } from '../solver/ridge.ts'

/** Prior variance of a new model's level, beyond the differences between the known models. */
const LEVEL = 0.05
const STEPS = 50
const TOLERANCE = 1e-8

/** A new model's column for a head that has one logit per model. */
export interface NewColumn {
  /** d */
  readonly weights: Float32Array
  readonly bias: number
}

/** An observation of a new model: an answer with its score, or a comparison with a known model. */
export interface Answer {
  /** row of the embeddings */
  readonly row: number
  /** score in [0, 1]; for a comparison 1 if it beat `against`, 1/2 for a tie */
  readonly label: number
  readonly weight: number
  /** the known model it was compared with */
  readonly against?: number
}

/**
 * Fits the column of one more model from a few answers, with the rest of the head fixed. The prior treats the
 * new model as one more draw from the Gaussian that the known models were drawn from: at every prompt it has
 * their mean logit and the covariance they show, so logit(x) = mean(x) + b + sum of c_k (logit_k(x) -
 * mean(x)) with c ~ N(0, 1 / (m - 1)) and b ~ N(0, LEVEL). Newton's method finds the posterior mode in m + 1
 * numbers, instead of one per word. For mf, whose logits are linear in a model's vector, this is that vector
 * with the known vectors' mean and covariance as prior.
 */
export function fitModel(
  head: LinearHead,
  embeddings: Embeddings,
  answers: readonly Answer[],
): NewColumn {
  const m = head.outputs
  const known = knownLogits(head, embeddings)
  const width = m + 1
  const size = width
  const precision = new Float64Array(size).fill(Math.max(m - 1, 1))
  precision[0] = 1 / LEVEL
  const theta = new Float64Array(size)
  const x = new Float64Array(size)
  const rows = answers.map(({ row, label, weight, against }) => {
    const mean = known[row * width]!
    const other = against === undefined ? 0 : mean + known[row * width + 1 + against]!
    return { at: row * width, offset: mean - other, label, weight }
  })
  /** Features of one answer: 1 and the known models' differences from their mean. */
  const fill = (at: number): void => {
    x[0] = 1
    for (let k = 1; k < size; k++) x[k] = known[at + k]!
  }
  for (let step = 0; step < STEPS; step++) {
    const hessian = new Float64Array(size * size)
    const move = theta.map((value, i) => -precision[i]! * value)
    for (let i = 0; i < size; i++) hessian[i * size + i] = precision[i]!
    for (const { at, offset, label, weight } of rows) {
      fill(at)
      const p = sigmoid(offset + dot(x, theta))
      const pull = weight * (label - p)
      const curve = weight * p * (1 - p)
      for (let i = 0; i < size; i++) {
        move[i]! += pull * x[i]!
        for (let j = 0; j <= i; j++) hessian[i * size + j]! += curve * x[i]! * x[j]!
      }
    }
    choleskySolve(hessian, size, move, 1)
    // limits a Newton step to the range in which logits are meaningful
    const most = move.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
    const scale = Math.min(1, 2 / Math.max(most, 1e-12))
    for (let i = 0; i < size; i++) theta[i]! += scale * move[i]!
    if (most < TOLERANCE) break
  }
  // weights of the known models' logits: (1 - sum of c_k) / m + c_k
  const own = theta.subarray(1)
  const shared = (1 - own.reduce((sum, c) => sum + c, 0)) / m
  const weights = new Float32Array(head.dimension)
  let bias = theta[0]!
  for (let k = 0; k < m; k++) {
    const share = shared + own[k]!
    bias += share * head.bias[k]!
    for (let j = 0; j < head.dimension; j++) weights[j]! += share * head.weights[j * m + k]!
  }
  return { weights, bias }
}

/** The head with the new model's column appended. */
export function withColumn(head: LinearHead, column: NewColumn): LinearHead {
  const { outputs: m, dimension: d } = head
  const weights = new Float32Array(d * (m + 1))
  for (let j = 0; j < d; j++) {
    weights.set(head.weights.subarray(j * m, (j + 1) * m), j * (m + 1))
    weights[j * (m + 1) + m] = column.weights[j]!
  }
  return { ...head, outputs: m + 1, weights, bias: Float32Array.from([...head.bias, column.bias]) }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/**
 * The known models' predictions for n prompts, as features of a new model: column 0 is the mean of their
 * success logits, column 1 + k is the difference of model k from it. n x (1 + m), row-major.
 */
export function knownLogits(head: LinearHead, embeddings: Embeddings): Float32Array {
  const m = head.outputs
  const out = new Float32Array(embeddings.rows * (m + 1))
  const logits = new Float64Array(m)
  for (let row = 0; row < embeddings.rows; row++) {
    linearLogits(head, embeddings, row, logits)
    const mean = logits.reduce((sum, logit) => sum + logit, 0) / m
    out[row * (m + 1)] = mean
    for (let k = 0; k < m; k++) out[row * (m + 1) + 1 + k] = logits[k]! - mean
  }
  return out
}
