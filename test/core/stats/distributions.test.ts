import { describe, expect, it } from 'vitest'
import { betaCdf, betaQuantile, binomialCdf } from '../../../core/stats/beta.ts'
import { normalCdf, normalQuantile } from '../../../core/stats/normal.ts'

// Reference values: SciPy 1.17 (scipy.stats, scipy.special).
describe('the distributions agree with SciPy', () => {
  it.each([
    [1e-8, -5.612001244174789],
    [0.001, -3.090232306167813],
    [0.1, -1.2815515655446004],
    [0.3, -0.5244005127080409],
    [0.975, 1.959963984540054],
  ])('normal quantile of %d', (p, expected) => {
    expect(normalQuantile(p)).toBeCloseTo(expected, 9)
  })

  it.each([
    [-8, 6.22096057427174e-16],
    [-2.5, 0.006209665325776132],
    [0.3, 0.6179114221889526],
    [1.96, 0.9750021048517795],
  ])('P(Z <= %d)', (x, expected) => {
    expect(normalCdf(x) / expected).toBeCloseTo(1, 7)
  })

  it.each([
    [0.02, 3, 980, 0.9999994633626704],
    [0.5, 2.5, 0.7, 0.1139834594466688],
    [0.93, 20, 4, 0.9269347556350813],
  ])('I_%d(%d, %d)', (x, a, b, expected) => {
    expect(betaCdf(x, a, b)).toBeCloseTo(expected, 12)
    expect(betaQuantile(expected, a, b)).toBeCloseTo(x, 8)
  })

  it.each([
    [0, 100, 0.02, 0.1326195558947532],
    [13, 1000, 0.02, 0.06422611489957845],
    [250, 1000, 0.27, 0.08161137068228787],
  ])('P(Binomial <= %d) of %d at %d', (k, n, p, expected) => {
    expect(binomialCdf(k, n, p)).toBeCloseTo(expected, 11)
  })
})
