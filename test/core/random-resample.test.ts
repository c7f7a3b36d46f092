import { expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'

test('resample counts the draws that int would have made, and leaves the stream where it would be', () => {
  const one = createRandom(7)
  const other = createRandom(7)
  const counts = new Uint8Array(1_000).fill(9)
  one.resample(counts)
  const expected = new Uint8Array(1_000)
  for (let i = 0; i < 1_000; i++) expected[other.int(1_000)]! += 1
  expect(counts).toEqual(expected)
  expect(one.next()).toBe(other.next())
})
