import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { layOut, sampleSums } from '../../../training/evaluate/metrics/curve-pass.ts'
import { routerArenaScore } from '../../../training/evaluate/metrics/operating-point.ts'
import { sortScores } from '../../../training/evaluate/metrics/score-order.ts'
import {
  hullArea,
  measureSpend,
  spendScratch,
} from '../../../training/evaluate/metrics/spend-pass.ts'

describe('hullArea', () => {
  test('by hand: a dent is bridged and a fall is flat', () => {
    const x = Float64Array.of(0, 1, 2, 3, 4)
    const y = Float64Array.of(0, 1, 1, 3, 2)
    // hull: (0,0) (3,3), then flat to 4
    expect(hullArea(x, y, 5, 4, new Float64Array(10))).toBeCloseTo(4.5 + 3, 12)
  })

  test.each([1, 2, 3, 4])('agrees with the brute force over all mixtures, seed %i', (seed) => {
    const random = createRandom(seed)
    const points = 25
    const x = Float64Array.from({ length: points }, () => random.next() * 1.3 - 0.15)
    const y = Float64Array.from({ length: points }, () => random.normal())
    x[0] = 0
    expect(hullArea(x, y, points, 1, new Float64Array(2 * points))).toBeCloseTo(
      bruteForceHull(x, y, 1),
      4,
    )
  })
})

describe('spend', () => {
  test('by hand: AIQ and the saving at equal quality of a perfect order', () => {
    const gain = Float64Array.of(1, 0, 0, 1)
    const weak = Float64Array.of(0, 1, 1, 0)
    const spend = { strong: new Float64Array(4).fill(10), weak: new Float64Array(4).fill(1) }
    const once = new Uint8Array(4).fill(1)
    const scores = sortScores([4, 1, 2, 3])
    const result = measureSpend(
      { router: layOut('r', scores, gain), extra: new Float64Array(4).fill(9) },
      once,
      sampleSums(once, gain, weak, spend),
      spendScratch(4),
    )
    // quality rises from 1/2 to 1 over the first half of the money, then stays
    expect(result.aiq).toBeCloseTo((0.75 + 1) / 2, 12)
    // two strong answers and two weak ones instead of four strong ones
    expect(result.saving).toBeCloseTo(1 - 22 / 40, 12)
  })

  test("RouterArena's score: its published formula at both ends and in between", () => {
    expect(routerArenaScore(0.7, 200)).toBe(0)
    expect(routerArenaScore(1, 0.0044)).toBeCloseTo(1, 12)
    const thrift = (Math.log2(200) - Math.log2(0.5)) / (Math.log2(200) - Math.log2(0.0044))
    expect(routerArenaScore(0.68, 0.5)).toBeCloseTo((1.1 * 0.68 * thrift) / (0.068 + thrift), 12)
  })
})

/** Best mixture of two points (or one) affordable at each spend, on a fine grid. */
function bruteForceHull(x: Float64Array, y: Float64Array, width: number): number {
  const steps = 4_000
  const affordable = Array.from(x, (_, i) => i).filter((i) => x[i]! <= width)
  let area = 0
  for (let step = 0; step < steps; step++) {
    const at = (width * (step + 0.5)) / steps
    let best = Number.NEGATIVE_INFINITY
    for (const i of affordable) {
      if (Math.max(0, x[i]!) <= at) best = Math.max(best, y[i]!)
      for (const j of affordable) {
        const a = Math.max(0, x[i]!)
        const b = Math.max(0, x[j]!)
        if (a < at && b > at) best = Math.max(best, y[i]! + ((at - a) / (b - a)) * (y[j]! - y[i]!))
      }
    }
    area += (best * width) / steps
  }
  return area
}
