import { describe, expect, test } from 'vitest'
import { decimal, verdictOf } from '../../../training/evaluate/report/verdict.ts'

describe('the verdict', () => {
  const gap = { value: 0.1, low: 0.08, high: 0.12 }
  const apgr = { value: 0.64, low: 0.61, high: 0.67 }

  test('beats prompt length', () => {
    const versus = { value: 0.06, low: 0.03, high: 0.09, p: 0.001, detectable: 0.03 }
    expect(verdictOf(2_000, gap, apgr, versus)).toEqual({
      works: true,
      words: 'beats prompt length by .060 [.030, .090]',
    })
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
