import { describe, expect, test } from 'vitest'
import { holm, twoSidedP } from '../../../core/stats/significance.ts'

describe('p-values', () => {
  // erfc(z / sqrt 2) of the C library
  test.each([
    [0, 1],
    [0.5, 0.6170750774519738],
    [1, 0.31731050786291415],
    [1.959963984540054, 0.05],
    [4, 6.334248366623993e-5],
    [10, 1.5239706048321186e-23],
  ])('of a difference of %d standard errors', (z, expected) => {
    expect(twoSidedP(-z * 0.2, 0.2) / expected).toBeCloseTo(1, 7)
  })

  test('is 1 where nothing differs and nothing varies, 0 where it differs all the same', () => {
    expect([twoSidedP(0, 0), twoSidedP(0.1, 0)]).toEqual([1, 0])
  })

  test('Holm by hand: .01, .04, .03 become .03, .06, .06', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06])
  })
})
