import { sigmoid } from '../../models/linear-head.ts'

/** Variances of a new model's numbers before any answer: a wide constant, the mean's multiple, each one's share. */
const PRIOR = { constant: 4, mean: 1, own: 0.1 } as const

/**
 * Which prompts to ask a new model first: greedily the one that most lessens the mean variance of the logits
 * predicted for all the others, w x'SASx / (1 + w x'Sx), with S the posterior covariance so far, A the mean
 * of x x' over the pool and w = p (1 - p) (Bayesian I-optimal design, Chaloner and Verdinelli 1995).
 * What was asked makes its like less worth asking, so the choice spreads over the kinds of prompts there are;
 * unlike D-optimal design it does not run after outliers, which on MMLU-Pro told less than random prompts.
 *
 * @param features n x width, from `knownLogits`
 * @returns rows, the most telling first
 */
export function chooseProbes(features: Float32Array, width: number, count: number): number[] {
  const n = features.length / width
  const size = width + 1
  const covariance = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    covariance[i * size + i] = i === 0 ? PRIOR.constant : i === 1 ? PRIOR.mean : PRIOR.own
  }
  const spread = meanSquares(features, width)
  const chosen: number[] = []
  const taken = new Uint8Array(n)
  const x = new Float64Array(size)
  const moved = new Float64Array(size)
  /** Writes S x into `moved` and returns w / (1 + w x'Sx). */
  const weigh = (row: number): number => {
    x[0] = 1
    for (let k = 0; k < width; k++) x[k + 1] = features[row * width + k]!
    multiply(covariance, x, moved)
    const p = sigmoid(features[row * width]!)
    const w = p * (1 - p)
    return w / (1 + w * dot(x, moved))
  }
  const reached = new Float64Array(size)
  while (chosen.length < Math.min(count, n)) {
    let best = -1
    let most = -1
    for (let row = 0; row < n; row++) {
      if (taken[row]) continue
      const scale = weigh(row)
      multiply(spread, moved, reached)
      const told = scale * dot(moved, reached)
      if (told > most) {
        most = told
        best = row
      }
    }
    taken[best] = 1
    chosen.push(best)
    const scale = weigh(best)
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) covariance[i * size + j]! -= scale * moved[i]! * moved[j]!
    }
  }
  return chosen
}

/** Mean of x x' over the rows, x with its leading 1. */
function meanSquares(features: Float32Array, width: number): Float64Array {
  const n = features.length / width
  const size = width + 1
  const sum = new Float64Array(size * size)
  const x = new Float64Array(size)
  for (let row = 0; row < n; row++) {
    x[0] = 1
    for (let k = 0; k < width; k++) x[k + 1] = features[row * width + k]!
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) sum[i * size + j]! += (x[i]! * x[j]!) / n
    }
  }
  return sum
}

function multiply(matrix: Float64Array, vector: Float64Array, out: Float64Array): void {
  const size = vector.length
  for (let i = 0; i < size; i++) {
    let sum = 0
    for (let j = 0; j < size; j++) sum += matrix[i * size + j]! * vector[j]!
    out[i] = sum
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
