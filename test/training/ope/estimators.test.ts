import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import {
  directMethod,
  doublyRobust,
  selfNormalised,
  standardErrorOf,
} from '../../../training/ope/estimators.ts'
import { evaluatePolicy } from '../../../training/ope/evaluate-policy.ts'
import {
  effectiveSampleSize,
  type LoggedOutcomes,
  thresholdPolicy,
} from '../../../training/ope/logged.ts'

/** Four requests, two models, every number by hand. */
const four: LoggedOutcomes = {
  n: 4,
  actions: 2,
  action: Int32Array.of(0, 1, 1, 0),
  propensity: Float64Array.of(0.8, 0.2, 0.2, 0.8, 0.5, 0.5, 0.5, 0.5),
  reward: Float64Array.of(1, 0, 1, 0),
  features: new Float64Array(0),
  featureCount: 0,
}
const alwaysSecond = Float64Array.of(0, 1, 0, 1, 0, 1, 0, 1)

/** Outcomes that a score foretells, served at one half with a floor of exploration. */
function simulated(seed: number, n: number, floor = 0.05) {
  const random = createRandom(seed)
  const winRate = Float64Array.from({ length: n }, () => random.next())
  const propensity = new Float64Array(2 * n)
  const action = new Int32Array(n)
  const reward = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const greedy = winRate[i]! >= 0.5 ? 1 : 0
    propensity[2 * i + greedy] = 1 - floor / 2
    propensity[2 * i + 1 - greedy] = floor / 2
    action[i] = random.next() < floor / 2 ? 1 - greedy : greedy
    const p = action[i] === 1 ? 0.8 : 0.8 - 0.6 * winRate[i]! ** 2
    reward[i] = random.next() < p ? 1 : 0
  }
  const log: LoggedOutcomes = {
    n,
    actions: 2,
    action,
    propensity,
    reward,
    features: winRate,
    featureCount: 1,
  }
  return { log, winRate }
}

/** E[reward] of strong where u >= t, u uniform: .8 above, .8 - .6 u^2 below. */
const trueValue = (t: number): number => 0.8 - 0.2 * t ** 3

describe('off-policy estimates', () => {
  test('agree with a calculation by hand', () => {
    // weights 0, 1 / .8, 1 / .5, 0
    expect(selfNormalised(four, alwaysSecond).value).toBeCloseTo(2 / (1.25 + 2), 12)
    expect(effectiveSampleSize(Float64Array.of(0, 1.25, 2, 0))).toBeCloseTo(
      3.25 ** 2 / (1.25 ** 2 + 4),
      12,
    )
    // the second model's mean outcome, each row by 1 / propensity
    const q = 2 / (1.25 + 2)
    expect(directMethod(four, alwaysSecond).value).toBeCloseTo(q, 8)
    const corrected = q + (1.25 * -q + 2 * (1 - q)) / 4
    expect(doublyRobust(four, alwaysSecond).value).toBeCloseTo(corrected, 8)
    const cut = q + (1.25 * -q + 1.5 * (1 - q)) / 4
    // of what was clipped, (2 - 1.5) (1 - q) in the third row, as much is kept as a believed error of .02 on a
    // clipped mass of (.7 + 0 + .25 + .25) / 4 weighs against its variance
    const part = 0.5 * (1 - q)
    const believed = (0.02 * 0.3) ** 2
    const kept = believed / (believed + (0.75 * part ** 2) / 16)
    const estimate = doublyRobust(four, alwaysSecond, undefined, 1.5)
    expect(estimate.value).toBeCloseTo(cut + (kept * part) / 4, 8)
    expect(estimate.leftOver).toBeCloseTo((1 - kept) * 0.02 * 0.3, 8)
    expect(doublyRobust(four, alwaysSecond).leftOver).toBe(0)
  })

  test('doubly robust keeps its interval and beats SNIPS, against known truth', () => {
    let inside = 0
    let robust = 0
    let snips = 0
    const runs = 60
    const thresholds = [0.3, 0.6, 0.8]
    for (let run = 0; run < runs; run++) {
      const { log, winRate } = simulated(100 + run, 1500)
      for (const threshold of thresholds) {
        const policy = thresholdPolicy(winRate, threshold)
        const estimate = doublyRobust(log, policy)
        const error = estimate.value - trueValue(threshold)
        if (Math.abs(error) <= 1.96 * standardErrorOf(estimate)) inside++
        robust += error ** 2
        snips += (selfNormalised(log, policy).value - trueValue(threshold)) ** 2
      }
    }
    expect(inside / (runs * thresholds.length)).toBeGreaterThan(0.9)
    expect(Math.sqrt(robust / (runs * thresholds.length))).toBeLessThan(0.025)
    expect(robust).toBeLessThan(0.6 * snips)
  })

  test('the interval holds where the router overrates the model that was hardly ever asked', () => {
    let inside = 0
    const runs = 80
    for (let run = 0; run < runs; run++) {
      const { log, winRate } = simulated(900 + run, 1500)
      // the true outcomes, except that the strong model is overrated by .02 where the weak one served
      const prior = new Float64Array(2 * log.n)
      for (let i = 0; i < log.n; i++) {
        prior[2 * i] = 0.8 - 0.6 * winRate[i]! ** 2
        prior[2 * i + 1] = 0.8 + (winRate[i]! < 0.5 ? 0.02 : 0)
      }
      const estimate = doublyRobust({ ...log, prior }, thresholdPolicy(winRate, 0.05))
      const error = estimate.value - trueValue(0.05)
      if (Math.abs(error) <= 1.96 * standardErrorOf(estimate)) inside++
    }
    expect(inside / runs).toBeGreaterThan(0.9)
  })

  test('a prior that is right lowers the error, one that is wrong is corrected', () => {
    const { log, winRate } = simulated(3, 4000)
    const policy = thresholdPolicy(winRate, 0.8)
    const wrong = new Float64Array(2 * log.n).fill(0.2)
    const value = doublyRobust({ ...log, prior: wrong }, policy).value
    expect(Math.abs(value - trueValue(0.8))).toBeLessThan(0.04)
  })
})

describe('evaluatePolicy', () => {
  test('says how a policy differs from the one that served', () => {
    const { log, winRate } = simulated(1, 6000)
    const report = evaluatePolicy(log, thresholdPolicy(winRate, 0.95))
    expect(report.over_served.high).toBeLessThan(0)
    expect(report.effective).toBeGreaterThan(100)
    expect(report.clipped).toBeGreaterThan(0)
  })

  test('refuses a log without exploration', () => {
    const { log, winRate } = simulated(1, 500, 0)
    expect(() => evaluatePolicy(log, thresholdPolicy(winRate, 0.2))).toThrow(
      expect.objectContaining({ code: 'ope_propensities_missing' }),
    )
    // the policy that served needs none
    expect(evaluatePolicy(log, thresholdPolicy(winRate, 0.5)).doubly_robust.value).toBeGreaterThan(
      0.7,
    )
  })

  test('refuses a policy that goes where the log never went', () => {
    const { log, winRate } = simulated(1, 500)
    const propensity = log.propensity.slice()
    for (let i = 0; i < 50; i++) propensity.set(log.action[i] === 0 ? [1, 0] : [0, 1], 2 * i)
    expect(() => evaluatePolicy({ ...log, propensity }, thresholdPolicy(winRate, 1.1))).toThrow(
      expect.objectContaining({ code: 'ope_unsupported' }),
    )
  })

  test('refuses when the log is worth too few outcomes', () => {
    const { log, winRate } = simulated(1, 200, 0.02)
    expect(() => evaluatePolicy(log, thresholdPolicy(winRate, 1.1))).toThrow(
      expect.objectContaining({ code: 'ope_sample_small' }),
    )
  })
})
