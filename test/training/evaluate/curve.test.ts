import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import {
  apgr,
  apgrRouteLlm,
  callPerformanceThreshold,
  costQualityCurve,
  gainAtShare,
} from '../../../training/evaluate/metrics/curve.ts'
import {
  CPT_LEVELS,
  emptyPass,
  gatherCounts,
  layOut,
  measurePass,
  sampleSums,
} from '../../../training/evaluate/metrics/curve-pass.ts'

import { sortScores } from '../../../training/evaluate/metrics/score-order.ts'

const curveOf = (scores: number[], gain: number[]) => costQualityCurve(sortScores(scores), gain)

describe('sortScores', () => {
  test('orders by descending score, equal scores in prompt order, and marks where a group ends', () => {
    const { order, groupEnd } = sortScores([0.2, 0.9, 0.2, 0.5])
    expect([...order]).toEqual([1, 3, 0, 2])
    expect([...groupEnd]).toEqual([1, 1, 0, 1])
  })

  test('many scores (radix) come out in the order that a comparison sort gives', () => {
    const random = createRandom(3)
    const scores = Float64Array.from({ length: 20_000 }, (_, i) =>
      i % 3 === 0 ? Math.round(random.normal() * 8) / 8 : random.normal() * 10 ** random.int(5),
    )
    scores[5] = Number.NEGATIVE_INFINITY
    scores[6] = -0
    scores[7] = 0
    const expected = Array.from(scores, (_, i) => i).sort(
      (a, b) => scores[b]! - scores[a]! || a - b,
    )
    expect([...sortScores(scores).order]).toEqual(expected)
  })

  test('refuses NaN and says whose and where', () => {
    expect(() => sortScores([0.1, Number.NaN], 'mf')).toThrow(
      'expected a number as every score of mf, got NaN at prompt 1',
    )
  })
})

describe('the cost-quality curve', () => {
  test('by hand: four prompts, the gains in the order of the scores', () => {
    const curve = curveOf([0.9, 0.1, 0.7, 0.3], [1, 0, 0, 1])
    expect([...curve.share]).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect([...curve.gain]).toEqual([0, 0.25, 0.25, 0.5, 0.5])
    // PGR at the points: 0, .5, .5, 1, 1; trapezoids of width 1/4
    expect(apgr(curve)).toBeCloseTo((0.25 + 0.5 + 0.75 + 1) / 4, 12)
    expect(callPerformanceThreshold(curve, 0.5)).toBeCloseTo(0.25, 12)
    expect(callPerformanceThreshold(curve, 0.8)).toBeCloseTo(0.65, 12)
    expect(gainAtShare(curve, 0.6)).toBeCloseTo(0.35, 12)
  })

  test('is linear across equal scores, so a constant scores exactly one half', () => {
    const gain = [1, 0, -1, 1, 1]
    const curve = curveOf([0.3, 0.3, 0.3, 0.3, 0.3], gain)
    expect([...curve.share]).toEqual([0, 1])
    expect(apgr(curve)).toBe(0.5)
    expect(
      apgrRouteLlm(sortScores([0.3, 0.3, 0.3, 0.3, 0.3]), [0.3, 0.3, 0.3, 0.3, 0.3], gain),
    ).toBe(0.5)
  })

  test('a tie scores what its orders score on average', () => {
    const gain = [1, 0, 0.5]
    const both = [curveOf([3, 2, 1], gain), curveOf([2, 3, 1], gain)].map(apgr)
    expect(apgr(curveOf([2, 2, 1], gain))).toBeCloseTo((both[0]! + both[1]!) / 2, 12)
  })

  test('CPT is the first crossing where the curve falls back under the level', () => {
    const curve = curveOf([4, 3, 2, 1], [1, -1, 1, 0])
    expect(callPerformanceThreshold(curve, 0.5)).toBeCloseTo(0.125, 12)
  })
})

describe('apgr_routellm', () => {
  test('agrees with the ten-quantile protocol written out on distinct scores', () => {
    const random = createRandom(8)
    const n = 203
    const scores = Float64Array.from({ length: n }, () => random.next())
    const gain = Float64Array.from({ length: n }, () => random.int(3) - 0.8)
    expect(apgrRouteLlm(sortScores(scores), scores, gain)).toBeCloseTo(
      routeLlmWrittenOut(scores, gain),
      12,
    )
  })

  test('agrees with it on many equal scores, where quantiles repeat', () => {
    const random = createRandom(9)
    const scores = Float64Array.from({ length: 150 }, () => random.int(4) / 4)
    const gain = Float64Array.from({ length: 150 }, () => random.int(2))
    expect(apgrRouteLlm(sortScores(scores), scores, gain)).toBeCloseTo(
      routeLlmWrittenOut(scores, gain),
      12,
    )
  })
})

describe('the weighted pass', () => {
  const random = createRandom(4)
  const n = 120
  const scores = Float64Array.from({ length: n }, () => random.int(40) / 40)
  const gain = Float64Array.from({ length: n }, () => random.int(3) - 0.5)
  const sorted = layOut('r', sortScores(scores), gain)
  const sums = (counts: Uint8Array) => sampleSums(counts, gain, undefined, undefined)
  const once = new Uint8Array(n).fill(1)

  test('with every prompt drawn once gives the plain figures', () => {
    const pass = emptyPass()
    measurePass(sorted, once, sums(once), pass)
    const curve = costQualityCurve(sortScores(scores), gain)
    expect(pass.apgr).toBeCloseTo(apgr(curve), 12)
    CPT_LEVELS.forEach((level, k) => {
      expect(pass.cpt[k]).toBeCloseTo(callPerformanceThreshold(curve, level), 12)
    })
    expect(pass.auc).toBeCloseTo(rankSumAuc(scores, gain), 12)
  })

  test('equals measuring the drawn sample written out', () => {
    const counts = Uint8Array.from({ length: n }, () => random.int(4))
    const drawn = Array.from(counts).flatMap((count, i) => new Array<number>(count).fill(i))
    const pass = emptyPass()
    const inOrder = new Uint8Array(n)
    gatherCounts(sorted.order, counts, inOrder)
    measurePass(sorted, inOrder, sums(counts), pass)
    const drawnScores = drawn.map((i) => scores[i]!)
    const drawnGain = drawn.map((i) => gain[i]!)
    const curve = curveOf(drawnScores, drawnGain)
    expect(pass.apgr).toBeCloseTo(apgr(curve), 12)
    expect(pass.cpt[1]).toBeCloseTo(callPerformanceThreshold(curve, 0.5), 12)
    expect(pass.auc).toBeCloseTo(rankSumAuc(drawnScores, drawnGain), 12)
  })

  test('says NaN where the sample has no gap to recover', () => {
    const pass = emptyPass()
    const whole = sampleSums(new Uint8Array([1, 1]), Float64Array.of(0, -1), undefined, undefined)
    measurePass(layOut('r', sortScores([1, 2]), [0, -1]), new Uint8Array([1, 1]), whole, pass)
    expect(pass.apgr).toBeNaN()
    expect([...pass.cpt].every(Number.isNaN)).toBe(true)
  })
})

/** RouteLLM's evaluation loop, one threshold after another: quantiles, selection, np.trapz. */
function routeLlmWrittenOut(scores: ArrayLike<number>, gain: ArrayLike<number>): number {
  const n = scores.length
  const ascending = Array.from(scores).sort((a, b) => a - b)
  const quantile = (p: number): number => {
    const at = (n - 1) * p
    const floor = Math.floor(at)
    return (
      ascending[floor]! +
      (at - floor) * ((ascending[floor + 1] ?? ascending[floor]!) - ascending[floor]!)
    )
  }
  const thresholds = [...new Set(Array.from({ length: 10 }, (_, k) => quantile(k / 10)))]
  const points = thresholds.map((threshold) => {
    let share = 0
    let sum = 0
    for (let i = 0; i < n; i++) {
      if (scores[i]! < threshold) continue
      share += 1 / n
      sum += gain[i]! / n
    }
    return { share, sum }
  })
  points.push({ share: 0, sum: 0 }) // above the last edge: none
  points.sort((a, b) => a.share - b.share)
  let area = 0
  for (let k = 1; k < points.length; k++) {
    area += ((points[k]!.share - points[k - 1]!.share) * (points[k]!.sum + points[k - 1]!.sum)) / 2
  }
  return area / (Array.from(gain).reduce((a, b) => a + b, 0) / n)
}

/** Mann-Whitney: mean midrank of those with gain, the second formula for the AUC. */
function rankSumAuc(scores: ArrayLike<number>, gain: ArrayLike<number>): number {
  const all = Array.from(scores)
  const better = all.filter((_, i) => gain[i]! > 0)
  const midrank = (x: number): number =>
    all.filter((y) => y < x).length + (all.filter((y) => y === x).length + 1) / 2
  const rankSum = better.reduce((sum, x) => sum + midrank(x), 0)
  const m = better.length
  return (rankSum - (m * (m + 1)) / 2) / (m * (all.length - m))
}
