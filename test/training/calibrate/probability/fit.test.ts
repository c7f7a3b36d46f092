import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import { poolAdjacentViolators } from '../../../../core/stats/isotonic.ts'
import { type CalibrationMap, calibrate } from '../../../../models/calibration-map.ts'
import {
  crossCalibrated,
  fitCalibrationMap,
} from '../../../../training/calibrate/probability/fit.ts'
import { fitIsotonic } from '../../../../training/calibrate/probability/isotonic-map.ts'
import { fitBeta, fitPlatt } from '../../../../training/calibrate/probability/logistic-map.ts'
import { calibrationError } from '../../../../training/calibrate/probability/report.ts'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Scores in (0.02, 0.98), and 0/1 labels whose chance is `truth(score)`. */
function labelled(rows: number, seed: number, truth: (p: number) => number) {
  const random = createRandom(seed)
  const p = Float64Array.from({ length: rows }, () => 0.02 + 0.96 * random.next())
  return { p, y: p.map((score) => (random.next() < truth(score) ? 1 : 0)) }
}

const platt = (p: number): number => sigmoid(0.5 * Math.log(p / (1 - p)) - 0.7)
const beta = (p: number): number => sigmoid(2 * Math.log(p) - 0.3 * Math.log(1 - p) + 0.4)
const step = (p: number): number => (p < 0.35 ? 0.1 : p < 0.7 ? 0.45 : 0.95)

describe('fitted maps', () => {
  it('find the parameters that the labels were drawn with', () => {
    const first = labelled(40_000, 1, platt)
    const fitted = fitPlatt(first.p, first.y)
    expect(fitted).toMatchObject({ method: 'platt' })
    if (fitted.method === 'platt') {
      expect(fitted.slope).toBeCloseTo(0.5, 1)
      expect(fitted.intercept).toBeCloseTo(-0.7, 1)
    }
    const second = labelled(40_000, 2, beta)
    const curve = fitBeta(second.p, second.y)
    for (const p of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      expect(Math.abs(calibrate(curve, p) - beta(p))).toBeLessThan(0.02)
    }
  })

  it('agree with scikit-learn on its pooled blocks', () => {
    // sklearn.isotonic.IsotonicRegression().fit_transform([0..7], y)
    const y = [0.1, 0.4, 0.3, 0.2, 0.9, 0.6, 0.6, 1]
    const blocks = poolAdjacentViolators(y.map((value, x) => ({ rows: 1, x, y: value })))
    const levels = blocks.flatMap((block) => Array.from({ length: block.rows }, () => block.y))
    const expected = [0.1, 0.3, 0.3, 0.3, 0.7, 0.7, 0.7, 1]
    levels.forEach((level, i) => {
      expect(level).toBeCloseTo(expected[i]!, 12)
    })
  })

  it.each<[string, (p: Float64Array, y: Float64Array) => CalibrationMap]>([
    ['platt', fitPlatt],
    ['beta', fitBeta],
    ['isotonic', fitIsotonic],
  ])('%s rises strictly even where the scores are upside down', (_, fitMap) => {
    const { p, y } = labelled(500, 3, (score) => 1 - score)
    const map = fitMap(p, y)
    let before = -1
    for (let i = 0; i <= 1000; i++) {
      const value = calibrate(map, i / 1000)
      expect(value).toBeGreaterThan(before)
      before = value
    }
  })

  it('survive labels that are all the same and scores that are all equal', () => {
    const ones = new Float64Array(300).fill(1)
    const { p } = labelled(300, 4, platt)
    for (const fitMap of [fitPlatt, fitBeta, fitIsotonic]) {
      expect(calibrate(fitMap(p, ones), 0.5)).toBeGreaterThan(0.6)
      const flat = fitMap(new Float64Array(300).fill(0.6), ones)
      expect(calibrate(flat, 0.6)).toBeGreaterThan(0.6)
    }
  })
})

describe('the choice by cross-validated log-loss', () => {
  it.each([
    ['beta', beta],
    ['isotonic', step],
  ] as const)('takes %s where it is the truth', (method, truth) => {
    const { p, y } = labelled(20_000, 5, truth)
    const { map, logLoss } = fitCalibrationMap(p, y, { seed: 1 })
    expect(map.method).toBe(method)
    expect(logLoss[method]).toBeLessThan(logLoss.identity!)
  })

  it('leaves win rates alone that already mean what they say', () => {
    const { p, y } = labelled(3000, 8, (score) => score)
    const { map } = fitCalibrationMap(p, y, { seed: 1 })
    for (const at of [0.1, 0.5, 0.9]) expect(Math.abs(calibrate(map, at) - at)).toBeLessThan(0.03)
    expect(map.method).not.toBe('identity')
  })

  it('halves the calibration error of an overconfident router, out of fold', () => {
    const { p, y } = labelled(2000, 6, platt)
    const before = calibrationError(p, y, 1)
    const after = calibrationError(crossCalibrated(p, y, { seed: 1 }), y, 1)
    expect(before.ece.low).toBeGreaterThan(0.1)
    expect(after.ece.value).toBeLessThan(0.04)
    expect(after.brier).toBeLessThan(before.brier)
  })
})
