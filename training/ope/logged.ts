/** Answered requests whose outcome is known: the data of an off-policy estimate. */
export interface LoggedOutcomes {
  readonly n: number
  /** number of models that requests could go to */
  readonly actions: number
  /** n: the model that answered */
  readonly action: Int32Array
  /** n x actions, row-major: the probability with which the server chose each model for the request */
  readonly propensity: Float64Array
  /** n: the outcome of the model that answered, in the units in which the policy is valued */
  readonly reward: Float64Array
  /** n x features, row-major, without a constant: the direct method predicts outcomes from them */
  readonly features: Float64Array
  readonly featureCount: number
  /** n x actions: outcomes as predicted by a router; regressions then fit the residuals */
  readonly prior?: Float64Array
  /** n, of mean 1: how many requests a row stands for, where only some answers are rated; 1 each by default */
  readonly weight?: Float64Array
}

/** A policy on the same n requests: n x actions, row-major, the probability of each model. */
export type PolicyProbabilities = Float64Array

/** Weights are clipped to this in the doubly robust estimate. */
export const WEIGHT_CLIP = 10

/** How many requests row i stands for, relative to the others. */
export const rowWeight = (log: LoggedOutcomes, i: number): number => log.weight?.[i] ?? 1

/** n: the policy's probability of the logged action divided by the server's. */
export function importanceWeights(log: LoggedOutcomes, policy: PolicyProbabilities): Float64Array {
  const out = new Float64Array(log.n)
  for (let i = 0; i < log.n; i++) {
    const at = i * log.actions + log.action[i]!
    out[i] = policy[at]! / log.propensity[at]!
  }
  return out
}

/** (sum w)^2 / sum w^2: the number of equally weighted outcomes that carry as much information (Kish 1965). */
export function effectiveSampleSize(weights: Float64Array): number {
  let sum = 0
  let squares = 0
  for (const w of weights) {
    sum += w
    squares += w * w
  }
  return squares > 0 ? (sum * sum) / squares : 0
}

/** Share of the policy's requests that go to a model the server could not have chosen for them. */
export function unsupportedShare(log: LoggedOutcomes, policy: PolicyProbabilities): number {
  let sum = 0
  for (let at = 0; at < log.n * log.actions; at++) {
    if (!(log.propensity[at]! > 0))
      sum += policy[at]! * rowWeight(log, Math.floor(at / log.actions))
  }
  return log.n > 0 ? sum / log.n : 0
}

/** The pair's two models in the order of the actions: weak is 0, strong is 1. */
export const WEAK = 0
export const STRONG = 1

/** n x 2: strong if the win rate reaches the threshold. */
export function thresholdPolicy(winRate: Float64Array, threshold: number): PolicyProbabilities {
  const out = new Float64Array(2 * winRate.length)
  for (let i = 0; i < winRate.length; i++) {
    out[2 * i + (winRate[i]! >= threshold ? STRONG : WEAK)] = 1
  }
  return out
}
