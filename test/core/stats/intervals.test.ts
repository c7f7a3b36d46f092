import { describe, expect, test } from 'vitest'
import {
  clearRatioInterval,
  clopperPearsonUpper,
  dkwInterval,
  meanInterval,
  type PartialInterval,
  percentileInterval,
  ratioInterval,
  sampleMeanInterval,
  standardError,
  wilsonInterval,
} from '../../../core/stats/intervals.ts'
import { normalQuantile, Z_95 } from '../../../core/stats/normal.ts'

// Reference values: Python 3.13 (math, statistics), from the formulas' definitions.
function expectInterval(got: PartialInterval | undefined, ...expected: number[]): void {
  const found = [got?.value, got?.low, got?.high]
  found.forEach((figure, i) => {
    expect(figure).toBeCloseTo(expected[i]!, 12)
  })
}

const VALUES = [0.2, 0.4, 0.9, 0.1, 0.6]

test('Z_95 is the 97.5% point', () => {
  expect(normalQuantile(0.975)).toBeCloseTo(Z_95, 13)
})

describe('means', () => {
  test('of a sample, and with weights', () => {
    expectInterval(sampleMeanInterval(VALUES), 0.44, 0.1586922473405702, 0.7213077526594298)
    const weights = [1, 2, 1, 3, 1]
    expectInterval(
      meanInterval(VALUES, weights, 0.95),
      0.35,
      0.08162087844242649,
      0.6183791215575736,
    )
  })

  test('one value has no bounds, and none have no mean', () => {
    expect(sampleMeanInterval([0.3])).toEqual({ value: 0.3, low: null, high: null })
    expect(sampleMeanInterval([])).toEqual({ value: null, low: null, high: null })
  })

  test('their ratio, which is undefined where it must be clear of 0 and is not', () => {
    const below = [1, 0.8, 1.2, 0.5, 1.5]
    const expected = [0.44, 0.2361788228114789, 0.6438211771885212] as const
    expectInterval(ratioInterval(VALUES, below, undefined, 0.95), ...expected)
    expectInterval(clearRatioInterval(VALUES, below, undefined, 0.95), ...expected)
    expect(clearRatioInterval(VALUES, [1, -1, 2, -1, 0], undefined, 0.95)).toBeUndefined()
  })
})

describe('shares', () => {
  test("Wilson's interval holds the shares that the normal test does not reject", () => {
    expectInterval(wilsonInterval(7, 20), 0.35, 0.18119182410108203, 0.5671457233147638)
    expectInterval(wilsonInterval(0, 10), 0, 0, 0.27753279986288915)
    expect(wilsonInterval(0, 0).value).toBeNull()
  })

  test('the DKW interval is one band for all thresholds, cut at 0 and 1', () => {
    expectInterval(dkwInterval(0.5, 400, 0.95), 0.5, 0.43209492421296902, 0.56790507578703098)
    expectInterval(dkwInterval(0.01, 400, 0.95), 0.01, 0, 0.077905075787031)
  })

  test("Clopper and Pearson's upper limit solves the binomial tail", () => {
    expect(clopperPearsonUpper(0, 20, 0.05)).toBeCloseTo(0.13910834066826516, 12)
    expect(clopperPearsonUpper(3, 20, 0.05)).toBeCloseTo(0.3436638043142818, 12)
    expect(clopperPearsonUpper(20, 20, 0.05)).toBe(1)
  })
})

describe('percentileInterval', () => {
  test('takes the 2.5% and 97.5% points', () => {
    const replicates = Float64Array.from({ length: 1_000 }, (_, i) => i + 0.5)
    const interval = percentileInterval(500, replicates)
    expect(interval.low).toBeCloseTo(25, 9)
    expect(interval.high).toBeCloseTo(975, 9)
  })

  test('counts an undefined replicate at both ends, and has no bound once they reach it', () => {
    const replicates = Float64Array.from({ length: 1_000 }, (_, i) => i)
    replicates.fill(Number.NaN, 0, 10)
    const { low } = percentileInterval(500, replicates)
    expect(low).toBeLessThan(30)
    replicates.fill(Number.NaN, 0, 100)
    expect(percentileInterval(500, replicates)).toEqual({ value: 500, low: null, high: null })
  })

  test('standardError is the sample standard deviation of the defined replicates', () => {
    expect(standardError(Float64Array.of(1, 2, 3, 4, Number.NaN))).toBeCloseTo(Math.sqrt(5 / 3), 12)
  })
})
