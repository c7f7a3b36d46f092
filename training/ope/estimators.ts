import {
  importanceWeights,
  type LoggedOutcomes,
  type PolicyProbabilities,
  rowWeight,
  WEIGHT_CLIP,
} from './logged.ts'
import { fitRewardModel, type RewardModel } from './reward-model.ts'

/** The value of a policy, and the influence of each row on it: influence averages 0 over the n rows. */
export interface Estimate {
  readonly value: number
  /** n; the standard error is the root of the sum of squares over n, and of the square of `leftOver` */
  readonly influence: Float64Array
  /** standard deviation of the error that clipped weights leave in the estimate; 0 if none was clipped */
  readonly leftOver: number
}

/** Self-normalised importance sampling: sum w r / sum w (Swaminathan and Joachims 2015). */
export function selfNormalised(log: LoggedOutcomes, policy: PolicyProbabilities): Estimate {
  const weights = importanceWeights(log, policy).map((w, i) => w * rowWeight(log, i))
  let total = 0
  let gained = 0
  for (let i = 0; i < log.n; i++) {
    total += weights[i]!
    gained += weights[i]! * log.reward[i]!
  }
  const value = gained / total
  const influence = weights.map((w, i) => (w * (log.reward[i]! - value) * log.n) / total)
  return { value, influence, leftOver: 0 }
}

/**
 * The doubly robust estimate of one model's score on one prompt: the predicted score, corrected by the error of
 * the prediction times the weight 1 / propensity if the model answered. Its mean over prompts is right if either
 * the predictions or the propensities are (Robins, Rotnitzky and Zhao 1994).
 *
 * @param answered the model's score; undefined if it was not asked
 */
export const doublyRobustScore = (
  predicted: number,
  answered: number | undefined,
  weight: number,
): number => (answered === undefined ? predicted : predicted + weight * (answered - predicted))

/** The value that a regression of outcomes on features predicts for the policy. */
export function directMethod(
  log: LoggedOutcomes,
  policy: PolicyProbabilities,
  model: RewardModel = fitRewardModel(log),
): Estimate {
  return combined(log, policy, model, new Float64Array(log.n))
}

/** Error that the regression is believed to have where the log says little, before the log is looked at. */
const BELIEVED_ERROR = 0.02

/**
 * The direct method, with its errors corrected on rows where the policy agrees with the logged action,
 * weights clipped at `clip` (Dudik et al. 2011; clipping as in Wang et al. 2017). The interval includes the
 * regression's uncertainty as well (stacked estimating equations).
 *
 * The clipped part of the correction is unbiased and noisy, so it is shrunk towards 0, as the mean of an error
 * whose standard deviation is believed to be `BELIEVED_ERROR`: little of it is kept where it is noise, most where
 * the log is long. What shrinking leaves in the estimate is part of the interval (`leftOver`).
 */
export function doublyRobust(
  log: LoggedOutcomes,
  policy: PolicyProbabilities,
  model: RewardModel = fitRewardModel(log),
  clip: number = WEIGHT_CLIP,
): Estimate {
  const whole = importanceWeights(log, policy)
  const clipped = combined(
    log,
    policy,
    model,
    whole.map((w) => Math.min(clip, w)),
  )
  return withClippedPart(clipped, log, policy, model, whole, clip)
}

function withClippedPart(
  estimate: Estimate,
  log: LoggedOutcomes,
  policy: PolicyProbabilities,
  model: RewardModel,
  weights: Float64Array,
  clip: number,
): Estimate {
  const { n, actions } = log
  const part = new Float64Array(n)
  let mean = 0
  /** share of the requests whose correction is clipped away, on average over what may have been logged */
  let mass = 0
  for (let i = 0; i < n; i++) {
    const at = i * actions + log.action[i]!
    const excess = weights[i]! - clip
    const own = rowWeight(log, i)
    if (excess > 0) part[i] = own * excess * (log.reward[i]! - model.predicted[at]!)
    mean += part[i]! / n
    for (let a = 0; a < actions; a++) {
      const share = policy[i * actions + a]!
      mass += (own * Math.max(0, share - clip * log.propensity[i * actions + a]!)) / n
    }
  }
  if (mass <= 0) return estimate
  let squares = 0
  for (let i = 0; i < n; i++) squares += (part[i]! - mean) ** 2
  const noise = squares / n / n
  const believed = (BELIEVED_ERROR * mass) ** 2
  const kept = believed / (believed + noise)
  return {
    value: estimate.value + kept * mean,
    influence: estimate.influence.map((x, i) => x + kept * (part[i]! - mean)),
    leftOver: (1 - kept) * Math.sqrt(believed),
  }
}

function combined(
  log: LoggedOutcomes,
  policy: PolicyProbabilities,
  model: RewardModel,
  weights: Float64Array,
): Estimate {
  const { n, actions } = log
  const d = log.featureCount + 1
  const influence = new Float64Array(n)
  const gradient = new Float64Array(actions * d)
  let value = 0
  for (let i = 0; i < n; i++) {
    const x = model.design(i)
    const done = log.action[i]!
    const own = rowWeight(log, i)
    let row = weights[i]! * (log.reward[i]! - model.predicted[i * actions + done]!)
    for (let a = 0; a < actions; a++) {
      const share = policy[i * actions + a]!
      row += share * model.predicted[i * actions + a]!
      const pull = share - (a === done ? weights[i]! : 0)
      for (let j = 0; j < d; j++) gradient[a * d + j]! += (own * pull * x[j]!) / n
    }
    influence[i] = row
    value += (own * row) / n
  }
  for (let i = 0; i < n; i++) influence[i] = rowWeight(log, i) * (influence[i]! - value)
  model.addInfluence(gradient, influence)
  return { value, influence, leftOver: 0 }
}

/** The estimate's standard error, with the error that clipping leaves. */
export function standardErrorOf({ influence, leftOver }: Omit<Estimate, 'value'>): number {
  let squares = 0
  for (const x of influence) squares += x * x
  return Math.hypot(Math.sqrt(squares) / influence.length, leftOver)
}
