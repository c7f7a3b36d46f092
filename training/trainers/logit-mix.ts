import { sigmoid } from '../../models/linear-head.ts'
import { choleskySolve } from '../solver/ridge.ts'

/** Standard deviation of a member's weight about an equal share of 1, before validation is seen. */
const PRIOR_DEVIATION = 0.3
const NEWTON_STEPS = 50

/**
 * What each member's logit counts in sigmoid(sum of a_k logit_k): the posterior mode under a Gaussian prior
 * about equal shares that sum to 1. With few rows the members share alike, since which of them is luckiest on
 * fifty rows says little; with many the data decide. Weights are 0 or more.
 *
 * @param logits a member each, a row a label
 * @param labels in [0, 1]
 */
export function mixLogits(
  logits: readonly Float64Array[],
  labels: ArrayLike<number>,
): readonly number[] {
  const kept = new Set(logits.keys())
  for (;;) {
    const weights = posteriorMode(
      [...kept].map((k) => logits[k]!),
      labels,
      1 / logits.length,
    )
    const least = weights.indexOf(Math.min(...weights))
    if (weights[least]! >= 0) {
      const places = [...kept]
      return logits.map((_, k) => (kept.has(k) ? weights[places.indexOf(k)]! : 0))
    }
    kept.delete([...kept][least]!)
  }
}

/** Newton's method; the objective is convex. */
function posteriorMode(
  logits: readonly Float64Array[],
  labels: ArrayLike<number>,
  prior: number,
): Float64Array {
  const size = logits.length
  const precision = 1 / PRIOR_DEVIATION ** 2
  const weights = new Float64Array(size).fill(prior)
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const hessian = new Float64Array(size * size)
    const gradient = weights.map((weight) => precision * (weight - prior))
    for (let k = 0; k < size; k++) hessian[k * size + k] = precision
    for (let i = 0; i < labels.length; i++) {
      let logit = 0
      for (let k = 0; k < size; k++) logit += weights[k]! * logits[k]![i]!
      const p = sigmoid(logit)
      for (let k = 0; k < size; k++) {
        const own = logits[k]![i]!
        gradient[k]! += (p - labels[i]!) * own
        for (let l = 0; l <= k; l++) hessian[k * size + l]! += p * (1 - p) * own * logits[l]![i]!
      }
    }
    choleskySolve(hessian, size, gradient, 1)
    let moved = 0
    for (let k = 0; k < size; k++) {
      weights[k]! -= gradient[k]!
      moved = Math.max(moved, Math.abs(gradient[k]!))
    }
    if (moved < 1e-9) break
  }
  return weights
}
