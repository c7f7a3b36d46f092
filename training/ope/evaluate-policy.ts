import { WeirError } from '../../core/errors.ts'
import type { PartialInterval } from '../../core/stats/intervals.ts'
import { normalQuantile } from '../../core/stats/normal.ts'
import {
  directMethod,
  doublyRobust,
  type Estimate,
  selfNormalised,
  standardErrorOf,
} from './estimators.ts'
import {
  effectiveSampleSize,
  importanceWeights,
  type LoggedOutcomes,
  type PolicyProbabilities,
  rowWeight,
  unsupportedShare,
  WEIGHT_CLIP,
} from './logged.ts'
import { fitRewardModel } from './reward-model.ts'

/** The value of a policy on logged traffic, by three estimators; `doubly_robust` is the one to use. */
export interface PolicyReport {
  readonly rows: number
  readonly snips: PartialInterval
  readonly direct: PartialInterval
  readonly doubly_robust: PartialInterval
  /** the value that the serving policy had */
  readonly served: PartialInterval
  /** doubly robust, this policy minus the serving policy, on the same rows */
  readonly over_served: PartialInterval
  readonly effective: number
  /** share of rows on which the policy agrees with the logged action */
  readonly agreement: number
  /** share of rows whose weight was clipped */
  readonly clipped: number
  readonly unsupported: number
}

/** With fewer effective outcomes than this there is no estimate. */
export const LEAST_EFFECTIVE = 50
/** Largest share of requests that the policy may send where the logging policy never did. */
export const MOST_UNSUPPORTED = 0.01

/**
 * Estimates the value of a policy on a log made by another policy.
 *
 * @throws ope_propensities_missing, ope_unsupported, ope_sample_small if the log does not support an estimate
 */
export function evaluatePolicy(log: LoggedOutcomes, policy: PolicyProbabilities): PolicyReport {
  refuseUnsupported(log, policy)
  const weights = importanceWeights(log, policy)
  const effective = effectiveSampleSize(weights.map((w, i) => w * rowWeight(log, i)))
  if (!(effective >= LEAST_EFFECTIVE)) {
    throw new WeirError('ope_sample_small', {
      effective: Math.floor(effective),
      needed: LEAST_EFFECTIVE,
      rows: log.n,
    })
  }
  const model = fitRewardModel(log)
  const robust = doublyRobust(log, policy, model)
  const served = servedValue(log)
  const own = doublyRobust(log, log.propensity, model)
  const agreed = weights.reduce((sum, w) => sum + (w > 0 ? 1 : 0), 0)
  return {
    rows: log.n,
    snips: intervalOf(selfNormalised(log, policy)),
    direct: intervalOf(directMethod(log, policy, model)),
    doubly_robust: intervalOf(robust),
    served: intervalOf(served),
    over_served: intervalOf(differenceOf(robust, own)),
    effective,
    agreement: agreed / log.n,
    clipped: weights.reduce((sum, w) => sum + (w > WEIGHT_CLIP ? 1 : 0), 0) / log.n,
    unsupported: unsupportedShare(log, policy),
  }
}

/** The difference of two estimates on the same rows. */
export function differenceOf(a: Estimate, b: Estimate): Estimate {
  return {
    value: a.value - b.value,
    influence: a.influence.map((x, i) => x - b.influence[i]!),
    leftOver: Math.hypot(a.leftOver, b.leftOver),
  }
}

/** Normal interval from the estimate's influence values. */
export function intervalOf(estimate: Estimate, level = 0.95): PartialInterval {
  const half = normalQuantile((1 + level) / 2) * standardErrorOf(estimate)
  return { value: estimate.value, low: estimate.value - half, high: estimate.value + half }
}

function servedValue(log: LoggedOutcomes): Estimate {
  const value = log.reward.reduce((sum, r, i) => sum + r * rowWeight(log, i), 0) / log.n
  return {
    value,
    influence: log.reward.map((r, i) => rowWeight(log, i) * (r - value)),
    leftOver: 0,
  }
}

function refuseUnsupported(log: LoggedOutcomes, policy: PolicyProbabilities): void {
  let certain = 0
  let moved = 0
  for (let i = 0; i < log.n; i++) {
    const at = i * log.actions + log.action[i]!
    if (log.propensity[at]! < 1) continue
    certain++
    if (policy[at]! < 1) moved++
  }
  const limit = MOST_UNSUPPORTED
  if (certain === log.n && moved > limit * log.n) {
    throw new WeirError('ope_propensities_missing', { rows: certain, total: log.n })
  }
  const share = unsupportedShare(log, policy)
  if (share > limit) {
    const percent = (x: number): string => `${(100 * x).toFixed(1)}%`
    throw new WeirError('ope_unsupported', { share: percent(share), limit: percent(limit) })
  }
}
