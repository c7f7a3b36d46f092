import { describe, expect, it } from 'vitest'
import {
  bestMixture,
  bestSingle,
  meanMixture,
  singlePoints,
} from '../../../../training/evaluate/frontier/frontier.ts'
import { measureFrontier } from '../../../../training/evaluate/frontier/measure-frontier.ts'
import { simulated } from './simulated.ts'

describe('single models and their mixtures', () => {
  const points = [
    { cost: 1, quality: 0.2 },
    { cost: 2, quality: 0.3 },
    { cost: 3, quality: 0.6 },
    { cost: 5, quality: 0.5 },
  ]

  it('at a cost are the best one that costs no more, and the chord of the concave hull', () => {
    expect(bestSingle(points, 2.5)).toBe(0.3)
    expect(bestMixture(points, 2)).toBeCloseTo(0.4, 12) // half of 1 and half of 3
    expect(bestMixture(points, 4)).toBe(0.6)
    expect(bestSingle(points, 0.5)).toBeNaN()
  })

  it('over a range have the area below that hull', () => {
    // from .2 to .6 over [1, 3], then .6 over [3, 5]
    expect(meanMixture(points, 1, 5)).toBeCloseTo((0.4 + 0.6) / 2, 3)
  })
})

describe('measuring a rule among many models', () => {
  const table = simulated(1500, 5, 4)
  const singles = singlePoints(table)
  const budgets = [singles[2]!.cost, singles[4]!.cost / 2]

  it('finds a router that knows the truth clear above every single model and mixture', async () => {
    const measured = await measureFrontier({
      kind: 'best-value',
      table,
      expected: table,
      budgets,
      value: 10,
      replicates: 200,
      seed: 1,
    })
    for (const at of [...measured.budgets, measured.operating!]) {
      expect(at.aboveSingle.low).toBeGreaterThan(0)
      expect(at.aboveMixture.low).toBeGreaterThan(0)
      expect(at.aboveMixture.value!).toBeLessThanOrEqual(at.aboveSingle.value! + 1e-12)
    }
    expect(measured.areaAbove.low).toBeGreaterThan(0)
    expect(measured.operating!.shares.reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  })

  it('finds nothing where what is expected has nothing to do with the prompt', async () => {
    const blind = simulated(1500, 5, 99)
    const measured = await measureFrontier({
      kind: 'best-value',
      table,
      // costs of the prompt itself would be worth something
      expected: { quality: blind.quality, costs: table.costs.map((_, i) => singles[i % 5]!.cost) },
      budgets,
      replicates: 200,
      seed: 1,
    })
    for (const { aboveMixture } of measured.budgets) expect(aboveMixture.low).toBeLessThanOrEqual(0)
  })

  it('has intervals about as wide as the paired differences say', async () => {
    const measured = await measureFrontier({
      kind: 'best-value',
      table,
      expected: {
        quality: Float64Array.from({ length: 7500 }, (_, i) => (i % 5) / 10),
        costs: table.costs,
      },
      budgets: [],
      value: 0,
      replicates: 500,
      seed: 1,
    })
    // always the last model: the best single one at its cost is itself or another fixed one
    const { quality } = measured.operating!
    const p = quality.value!
    const half = 1.96 * Math.sqrt((p * (1 - p)) / table.rows)
    expect(quality.high! - quality.low!).toBeGreaterThan(2 * half * 0.85)
    expect(quality.high! - quality.low!).toBeLessThan(2 * half * 1.15)
  })
})
