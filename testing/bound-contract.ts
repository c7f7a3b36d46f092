import { describe, expect, it } from 'vitest'
import { createRandom, type Random } from '../core/random.ts'
import type { BoundTest } from '../training/calibrate/bounds/bounds.ts'

/** A world at the edge of the promise: values whose true mean is exactly `mean`. */
export interface Edge {
  readonly name: string
  readonly values: BoundTest['values']
  readonly low: number
  readonly high: number
  readonly mean: number
  draw(random: Random): number
}

const ternary = (loss: number, gain: number): Edge => ({
  name: `net loss of ${loss} lost and ${gain} won`,
  values: 'ternary',
  low: -1,
  high: 1,
  mean: loss - gain,
  draw: (random) => {
    const at = random.next()
    return at < loss ? 1 : at < loss + gain ? -1 : 0
  },
})

const proportion = (p: number): Edge => ({
  name: `proportion ${p}`,
  values: 'binary',
  low: 0,
  high: 1,
  mean: p,
  draw: (random) => (random.next() < p ? 1 : 0),
})

export const EDGES: readonly Edge[] = [
  ternary(0.02, 0),
  ternary(0.07, 0.05),
  ternary(0.3, 0.25),
  proportion(0.02),
  proportion(0.3),
  {
    name: 'graded losses, skewed',
    values: 'bounded',
    low: -1,
    high: 1,
    mean: 1 / 3 - 0.3,
    draw: (random) => random.next() ** 2 - 0.3,
  },
  {
    name: 'two far ends',
    values: 'bounded',
    low: -1,
    high: 1,
    mean: 0.05,
    draw: (random) => (random.next() < 0.525 ? 1 : -1),
  },
]

/** Tests for narrower values are for them only; a test of bounded values is for all. */
export const suits = (test: BoundTest, edge: Edge): boolean =>
  test.values === 'bounded' || test.values === edge.values

/** How often the test says "at most `limit`" over seeded samples. */
export function rejections(
  test: BoundTest,
  edge: Edge,
  options: { rows: number; runs: number; limit: number; delta: number; seed: number },
): number {
  const random = createRandom(options.seed)
  const { low, high } = edge
  let rejected = 0
  for (let run = 0; run < options.runs; run++) {
    const values = Float64Array.from({ length: options.rows }, () => edge.draw(random))
    if (test.rejects(values, { mean: options.limit, low, high, delta: options.delta })) rejected++
  }
  return rejected / options.runs
}

/** What every test of a bounded mean keeps to. */
export function describeBoundTest(test: BoundTest): void {
  describe(test.name, () => {
    const edges = EDGES.filter((edge) => suits(test, edge))

    it.each(edges)('is wrong at most delta of the time at the edge: $name', (edge) => {
      const runs = 1200
      const wrong = rejections(test, edge, {
        rows: 250,
        runs,
        limit: edge.mean,
        delta: 0.1,
        seed: 7,
      })
      // three standard errors above the promise
      expect(wrong).toBeLessThanOrEqual(0.1 + 3 * Math.sqrt((0.1 * 0.9) / runs))
    })

    it.each(edges)('says so where the mean is far below: $name', (edge) => {
      const limit = Math.min(edge.high - 0.01, edge.mean + 0.25)
      const right = rejections(test, edge, { rows: 800, runs: 20, limit, delta: 0.1, seed: 8 })
      expect(right).toBe(1)
    })

    it('never says so where the values are all above', () => {
      const values = new Float64Array(300).fill(1)
      expect(test.rejects(values, { mean: 0.5, low: 0, high: 1, delta: 0.1 })).toBe(false)
    })

    it('asks for more the surer it must be', () => {
      const edge = edges[0]!
      const at = (delta: number): number =>
        rejections(test, edge, { rows: 400, runs: 200, limit: edge.mean + 0.02, delta, seed: 9 })
      expect(at(0.01)).toBeLessThanOrEqual(at(0.2))
    })
  })
}
