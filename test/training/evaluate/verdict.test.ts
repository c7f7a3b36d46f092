import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { type Interval, meanInterval, sideOf } from '../../../core/stats/intervals.ts'
import { sharesBelow } from '../../../training/evaluate/bootstrap/difference.ts'
import { frontierVerdict } from '../../../training/evaluate/frontier/frontier-report.ts'
import { decimal, verdictOf } from '../../../training/evaluate/report/verdict.ts'
import { netValue } from '../../../training/loop/gates.ts'

describe('the verdict', () => {
  const gap = { value: 0.1, low: 0.08, high: 0.12 }
  const apgr = { value: 0.64, low: 0.61, high: 0.67 }

  test('beats prompt length', () => {
    const versus = { value: 0.06, low: 0.03, high: 0.09, p: 0.001, detectable: 0.03 }
    expect(verdictOf(2_000, gap, apgr, versus)).toEqual({
      works: true,
      reservations: [],
      words: 'beats prompt length by .060 [.030, .090]',
    })
  })

  test('holds against a router where its curve lies below the category prior', () => {
    const versus = { value: 0.06, low: 0.03, high: 0.09, p: 0.001, detectable: 0.03 }
    const against = { difference: versus, below: { from: 0.8, to: 0.96 } }
    const { works, reservations, words } = verdictOf(2_000, gap, apgr, versus, against)
    expect(works).toBe(true)
    expect(reservations).toHaveLength(1)
    expect(words).toBe(
      'beats prompt length by .060 [.030, .090], but lies below the category prior where 80% to 96% of the prompts go strong',
    )
    const open = { ...versus, value: -0.01, low: -0.05, high: 0.03 }
    expect(verdictOf(2_000, gap, apgr, versus, { difference: open }).words).toContain(
      'but does not clear the category prior: -.010 [-.050, .030]',
    )
  })

  test('does not: the difference it could have shown, and how many prompts would show this one', () => {
    const versus = { value: 0.025, low: -0.02, high: 0.07, p: 0.3, detectable: 0.07 }
    const { works, words } = verdictOf(640, gap, apgr, versus)
    expect(works).toBe(false)
    expect(words).toBe(
      "not distinguishable from prompt length: the difference is .025 [-.020, .070]; 640 prompts can't show a difference under .070; about 5,100 would show one of .025",
    )
  })

  test('is not clear of random: the same, against random', () => {
    const versus = { value: 0.025, low: -0.02, high: 0.07, p: 0.3, detectable: 0.07 }
    // standard error .1 / 3.92; detectable 2.8016 of them
    expect(verdictOf(640, gap, { value: 0.53, low: 0.48, high: 0.58 }, versus).words).toBe(
      "not distinguishable from random: APGR .53 [.48, .58], random is .5; 640 prompts can't show a difference under .071; about 3,700 would show one of .030",
    )
  })

  test('is worse than prompt length', () => {
    const versus = { value: -0.05, low: -0.08, high: -0.02, p: 0.01, detectable: 0.04 }
    expect(verdictOf(640, gap, apgr, versus).words).toBe(
      'is worse than prompt length by .050 [.020, .080]',
    )
  })

  test('decimals are short', () => {
    expect([0.0444, 0.5, 1.284, -0.02, -0.0001].map(decimal)).toEqual([
      '.044',
      '.50',
      '1.28',
      '-.020',
      '.00',
    ])
  })
})

describe('a side', () => {
  test('is named only where the whole interval lies on it', () => {
    expect(sideOf({ low: 0.001, high: 1 })).toBe('above')
    expect(sideOf({ low: -1, high: -0.001 })).toBe('below')
    expect(sideOf({ low: 0, high: 1 })).toBe('open')
    expect(sideOf({ low: 0.4, high: 0.49 }, 0.5)).toBe('below')
    expect(sideOf({ low: null, high: -1 })).toBe('open')
    expect(sideOf({ low: Number.NaN, high: -1 })).toBe('open')
  })

  test('curves: below only where the band of their difference is', () => {
    const steps = 11
    const random = createRandom(5)
    const curve = (fall: number) => {
      const value = Array.from({ length: steps }, (_, k) => (k > 7 ? 0.5 - fall : 0.5))
      const band = Array.from({ length: 100 }, () =>
        Float64Array.from(value, (at) => at + 0.01 * random.normal()),
      )
      const none = new Float64Array()
      return {
        band: { value },
        replicates: { apgr: none, auc: none, cpt: [], aiq: none, saving: none, band },
      }
    }
    expect(sharesBelow(curve(0.2), curve(0))).toEqual({ from: 0.8, to: 1 })
    expect(sharesBelow(curve(0), curve(0))).toBeUndefined()
    expect(sharesBelow(curve(-0.2), curve(0))).toBeUndefined()
  })
})

describe('many models', () => {
  test('a rule below a single model is not said to beat them', () => {
    const above = { value: 0.012, low: 0.004, high: 0.02 }
    const open = { value: -0.006, low: -0.015, high: 0.004 }
    expect(frontierVerdict(above, open)).toBe(
      'beats mixtures of single models on average over costs: .012 [.004, .020]; as it is set, is not distinguishable from the best single model that costs no more: -.006 [-.015, .004]',
    )
    expect(frontierVerdict(open, above)).not.toContain('beats')
    expect(frontierVerdict(above, above)).toContain('also beats the best single model')
  })
})

test('a gate that refuses does not read as a claim', () => {
  const refused = netValue('held-out outcomes', { value: -0.01, low: -0.02, high: 0.01 }, 400)
  expect(refused).toEqual({
    gate: 'net value on held-out outcomes',
    passed: false,
    found: 'not told apart from the serving router, by -0.0100 (-0.0200 to 0.0100) on 400 rows',
  })
})

describe('10,000 simulated evaluations', () => {
  const EVALUATIONS = 10_000
  const ROWS = 100
  const gap = { value: 0.1, low: 0.08, high: 0.12 }
  const apgr = { value: 0.64, low: 0.61, high: 0.67 }

  /** Means of paired gains whose true mean is so many standard errors, each with its interval. */
  function* evaluations(errors: number): Generator<Interval> {
    const random = createRandom(17)
    for (let e = 0; e < EVALUATIONS; e++) {
      const gains = Float64Array.from(
        { length: ROWS },
        () => random.normal() + errors / Math.sqrt(ROWS),
      )
      yield meanInterval(gains, undefined, 0.95)
    }
  }

  const SENTENCES: Readonly<Record<string, (interval: Interval) => string>> = {
    evaluate: (interval) =>
      verdictOf(ROWS, gap, apgr, { ...interval, p: null, detectable: 0.1 }).words,
    'many models': (interval) => frontierVerdict(interval, interval),
    gate: (interval) => netValue('served traffic', interval, ROWS).found,
  }
  const CLAIM = /beats|^better/
  const most = 0.025 + 2 * Math.sqrt((0.025 * 0.975) / EVALUATIONS)

  test('say better falsely at most once in forty, and name a true advantage', () => {
    const said = (errors: number) => {
      const counts = Object.fromEntries(Object.keys(SENTENCES).map((name) => [name, 0]))
      for (const interval of evaluations(errors)) {
        for (const [name, sentence] of Object.entries(SENTENCES)) {
          if (CLAIM.test(sentence(interval))) counts[name]! += 1 / EVALUATIONS
        }
      }
      return counts
    }
    for (const share of Object.values(said(0))) expect(share).toBeLessThanOrEqual(most)
    for (const share of Object.values(said(4))) expect(share).toBeGreaterThanOrEqual(0.9)
  })
})
