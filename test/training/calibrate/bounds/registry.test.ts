import { describe, expect, it } from 'vitest'
import { clopperPearsonUpper } from '../../../../core/stats/intervals.ts'
import { describeBoundTest, EDGES, rejections } from '../../../../testing/bound-contract.ts'
import { betting, bettingPlugIn } from '../../../../training/calibrate/bounds/betting.ts'
import { empiricalBernsteinUpper } from '../../../../training/calibrate/bounds/empirical-bernstein.ts'
import {
  hoeffdingBentkus,
  hoeffdingBentkusTest,
} from '../../../../training/calibrate/bounds/hoeffding-bentkus.ts'
import {
  exactCut,
  largestSize,
  pairedExact,
} from '../../../../training/calibrate/bounds/paired-exact.ts'
import { BOUND_TESTS } from '../../../../training/calibrate/bounds/registry.ts'

for (const test of BOUND_TESTS) describeBoundTest(test)

describe('Clopper-Pearson', () => {
  // scipy.stats.beta.ppf(1 - delta, k + 1, n - k)
  it.each([
    [0, 50, 0.1, 0.04500741397856405],
    [13, 1000, 0.1, 0.018901434399910166],
    [40, 200, 0.05, 0.2522495320082148],
  ])('bounds %d of %d at %d as SciPy does', (k, n, delta, expected) => {
    expect(clopperPearsonUpper(k, n, delta)).toBeCloseTo(expected, 10)
  })
})

describe('Hoeffding-Bentkus', () => {
  it('is the smaller of the two p-values', () => {
    // scipy: exp(-n KL(.01 || .02)) and e * binom.cdf(10, 1000, .02)
    expect(hoeffdingBentkus(0.01, 1000, 0.02)).toBeCloseTo(0.027825822848830367, 12)
  })
})

describe('empirical Bernstein', () => {
  it('is theorem 4 of Maurer and Pontil', () => {
    const values = Float64Array.from({ length: 100 }, (_, i) => (i % 2 ? 0.4 : 0.6))
    const log = Math.log(20)
    const variance = (100 * 0.01) / 99
    const expected = 0.5 + Math.sqrt((2 * variance * log) / 100) + (7 * 2 * log) / (3 * 99)
    expect(empiricalBernsteinUpper(values, 0, 2, 0.1)).toBeCloseTo(expected, 12)
  })
})

describe('the exact paired test', () => {
  it('has its size at most delta between the rates its cut was fitted on', () => {
    const cut = exactCut(400, 0.03, 0.1)
    expect(largestSize(400, 0.03, cut, 411)).toBeLessThan(0.1005)
    expect(largestSize(400, 0.03, cut, 411)).toBeGreaterThan(0.09)
  })
})

describe('power on a net loss of 0/1 outcomes', () => {
  const edge = EDGES[1]!
  const power = (test: typeof betting): number =>
    rejections(test, edge, { rows: 1000, runs: 300, limit: 0.04, delta: 0.1, seed: 3 })

  it('is highest for the exact test, then betting, then Hoeffding-Bentkus', () => {
    expect(power(pairedExact)).toBeGreaterThan(power(betting) + 0.05)
    expect(power(betting)).toBeGreaterThan(power(bettingPlugIn) - 0.05)
    expect(power(bettingPlugIn)).toBeGreaterThan(power(hoeffdingBentkusTest) + 0.2)
  })
})
