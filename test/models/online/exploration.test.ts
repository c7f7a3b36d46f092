import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { flipProbability, StrongAllowance } from '../../../models/online/exploration.ts'

test('the other model is tried on the floor of requests, more often near the threshold', () => {
  const exploration = { floor: 0.02, near: 0.2, width: 0.05 }
  expect(flipProbability(exploration, 0.6, 0.6)).toBeCloseTo(0.2, 12)
  expect(flipProbability(exploration, 0.65, 0.6)).toBeCloseTo(0.02 + 0.18 / Math.E, 12)
  expect(flipProbability(exploration, 0, 0.6)).toBeCloseTo(0.02, 4)
  expect(flipProbability({ floor: 0.05 }, 0.6, 0.6)).toBe(0.05)
})

test('an allowance is never passed, and its scale is the probability that was used', () => {
  const allowance = new StrongAllowance(10)
  const random = createRandom(1)
  let strong = 0
  for (let i = 0; i < 20_000; i++) {
    allowance.accrue()
    const { scale } = allowance
    expect(scale).toBeGreaterThanOrEqual(0)
    if (random.next() < 0.3 * scale) {
      allowance.spend()
      strong++
    }
  }
  expect(strong).toBeLessThanOrEqual(201)
  expect(strong).toBeGreaterThan(150)
})
