import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import { calibrateThreshold } from '../../../../training/calibrate/threshold.ts'

const at = (winRate: ArrayLike<number>, share: number) =>
  calibrateThreshold({
    rows: { winRate: Float64Array.from(winRate) },
    target: { kind: 'strong-share', share },
    seed: 1,
  })

describe('the threshold of a strong share', () => {
  const spread = Float64Array.from({ length: 100 }, (_, i) => (i + 1) / 128)

  it('is the midpoint between the neighbouring scores, unrounded', () => {
    const { threshold, expected } = at(spread, 0.3)
    expect(threshold).toBe((70 / 128 + 71 / 128) / 2)
    expect(expected.share.value).toBe(0.3)
  })

  it('sends none at 0 and all at 1', () => {
    expect(at(spread, 0).expected.share.value).toBe(0)
    expect(at(spread, 1).threshold).toBe(0)
    expect(
      at(
        spread.map(() => 1),
        0,
      ).expected.share.value,
    ).toBe(0)
  })

  it('moves equal scores together and says what share that gives', () => {
    const tied = Float64Array.from({ length: 100 }, (_, i) => (i < 45 ? 0.8 : 0.2))
    expect(at(tied, 0.3).expected.share.value).toBe(0.45)
    expect(at(tied, 0.2).expected.share.value).toBe(0)
  })

  it('tells neighbouring doubles apart', () => {
    const low = 0.5
    const high = 0.5 + 2 ** -53 * 2
    const scores = Float64Array.from({ length: 40 }, (_, i) => (i < 10 ? high : low))
    expect(at(scores, 0.25).expected.share.value).toBe(0.25)
  })

  it('needs no outcomes', () => {
    const { expected } = at(spread, 0.3)
    expect(Object.keys(expected)).toEqual(['share'])
  })

  it('has an interval that covers the share of new prompts at least 95% of the time', () => {
    const random = createRandom(5)
    let covered = 0
    const runs = 400
    for (let run = 0; run < runs; run++) {
      const scores = Float64Array.from({ length: 200 }, () => random.next() ** 2)
      const { threshold, expected } = at(scores, 0.3)
      const truth = 1 - Math.sqrt(threshold)
      if (truth >= expected.share.low && truth <= expected.share.high) covered++
    }
    expect(covered / runs).toBeGreaterThanOrEqual(0.95)
  })

  it('is within .7 points of the population on average at n = 5,000', () => {
    const random = createRandom(6)
    let error = 0
    for (let run = 0; run < 60; run++) {
      const scores = Float64Array.from({ length: 5000 }, () => random.next() ** 2)
      error += Math.abs(1 - Math.sqrt(at(scores, 0.3).threshold) - 0.3)
    }
    expect(error / 60).toBeLessThan(0.007)
  })
})
