import { expect, test } from 'vitest'
import { krippendorffAlpha, nominal } from '../../../core/stats/agreement.ts'

const _ = undefined
/** The example of Krippendorff 2011, section C: 4 observers, 12 units, nominal alpha .743 and interval alpha .849. */
const A = [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _]
const B = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3]
const C = [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _]
const D = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _]
const units = A.map((a, i) => [a, B[i], C[i], D[i]])

test('Krippendorff’s alpha is that of his own example, with values left out', () => {
  expect(krippendorffAlpha(units, nominal)).toBeCloseTo(0.743, 3)
  expect(krippendorffAlpha(units)).toBeCloseTo(0.849, 3)
})

test('alpha is 1 for full agreement, and undefined where nothing could have disagreed', () => {
  expect(
    krippendorffAlpha([
      [0, 0],
      [1, 1],
    ]),
  ).toBe(1)
  expect(
    krippendorffAlpha([
      [1, 1],
      [1, 1],
    ]),
  ).toBeUndefined()
  expect(krippendorffAlpha([[1], [0], [undefined, Number.NaN]])).toBeUndefined()
})
