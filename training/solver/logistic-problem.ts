import type { Embeddings } from '../../models/encoders/embeddings.ts'
import type { Objective } from './lbfgs.ts'

export interface LogisticProblem {
  readonly embeddings: Embeddings
  /** n: rows of the embeddings to fit; may repeat */
  readonly rows: Int32Array
  /** n: soft labels in [0, 1] */
  readonly labels: Float32Array
  /** n: weight of each row's loss */
  readonly weights: Float32Array
  /** the objective is sum(weight * log-loss) + l2 / 2 * |w|^2; the bias is not penalised */
  readonly l2: number
  /** columns whose strength replaces `l2` */
  readonly l2Ranges?: readonly L2Range[]
}

/** Columns [from, to) with a separate L2 strength. */
export interface L2Range {
  readonly from: number
  readonly to: number
  readonly l2: number
}

/**
 * The rows' part of a logistic problem over [w (d), bias]; the penalty is not in its value, and is in its estimate of
 * the inverse Hessian.
 */
export interface LogisticLoss extends Objective {
  evaluate(x: Float64Array, gradient: Float64Array): number
  readonly precondition: (vector: Float64Array) => void
  /** the relative precision of its values; smaller gains cannot be measured */
  readonly precision: number
}

/** log(1 + e^z) - y z: the log-loss of a soft label at logit z, without overflow. */
export function logLoss(z: number, y: number): number {
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - y * z
}

/** Adds the L2 terms to a gradient and returns their value. */
export function addPenalty(x: Float64Array, gradient: Float64Array, penalty: Float64Array): number {
  let value = 0
  for (let j = 0; j < penalty.length; j++) {
    const pull = penalty[j]! * x[j]!
    gradient[j]! += pull
    value += pull * x[j]!
  }
  return value / 2
}

/** The Hessian's diagonal at even odds, sum(weight * x^2) / 4 + l2, given the data's part of it. */
export function hessianDiagonal(squares: Float64Array, penalty: Float64Array): Float64Array {
  return squares.map((square, j) => Math.max(square / 4 + (penalty[j] ?? 0), 1e-12))
}
