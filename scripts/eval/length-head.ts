import type { DenseMatrix } from '../../training/solver/dense-matrix.ts'
import type { Products } from '../../training/solver/products.ts'
import { momentsOf, solveRidge } from '../../training/solver/ridge.ts'

/**
 * How many tokens each candidate's answer will have, from a prompt's embedding: ridge regression of log(1 + tokens),
 * taken back to tokens by the mean of exp(residual) (Duan, "Smearing Estimate: A Nonparametric Retransformation
 * Method", JASA 1983), since the mean of logarithms is below the logarithm of the mean.
 */
export interface LengthHead {
  /** d x k, row-major */
  readonly weights: Float64Array
  /** k */
  readonly bias: Float64Array
  /** k: mean of exp(residual) on the training rows */
  readonly smear: Float64Array
  /** k: longest answer on the training rows, in tokens; predictions are no longer */
  readonly longest: Float64Array
}

/** Penalty for columns of about unit norm together. */
const L2 = 3

/**
 * @param z n x d embeddings of prompts
 * @param tokens n x k tokens of the answers, hidden reasoning included
 */
export async function fitLengths(
  z: DenseMatrix,
  tokens: DenseMatrix,
  products: Products,
  l2 = L2,
): Promise<LengthHead> {
  const logs = { ...tokens, values: tokens.values.map((value) => Math.log1p(value)) }
  const moments = await momentsOf(z, logs, products)
  const { weights, bias } = solveRidge(moments, l2, new Float64Array(z.columns).fill(1))
  const k = tokens.columns
  const fitted = logLengths({ weights, bias }, z)
  const smear = new Float64Array(k)
  const longest = new Float64Array(k)
  for (let i = 0; i < z.rows; i++) {
    for (let c = 0; c < k; c++) {
      smear[c]! += Math.exp(logs.values[i * k + c]! - fitted[i * k + c]!) / z.rows
      longest[c] = Math.max(longest[c]!, tokens.values[i * k + c]!)
    }
  }
  return { weights, bias, smear, longest }
}

/** Expected tokens of each candidate's answer, n x k, in [0, the longest seen]. */
export function expectedTokens(head: LengthHead, z: DenseMatrix): Float64Array {
  const k = head.bias.length
  const out = logLengths(head, z)
  for (let i = 0; i < out.length; i++) {
    const c = i % k
    out[i] = Math.min(head.longest[c]!, Math.max(0, Math.exp(out[i]!) * head.smear[c]! - 1))
  }
  return out
}

function logLengths(
  { weights, bias }: Pick<LengthHead, 'weights' | 'bias'>,
  { rows, columns, values }: DenseMatrix,
): Float64Array {
  const k = bias.length
  const out = new Float64Array(rows * k)
  for (let i = 0; i < rows; i++) {
    for (let c = 0; c < k; c++) {
      let sum = bias[c]!
      for (let j = 0; j < columns; j++) sum += values[i * columns + j]! * weights[j * k + c]!
      out[i * k + c] = sum
    }
  }
  return out
}
