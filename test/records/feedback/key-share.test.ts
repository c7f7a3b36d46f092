import { expect, test } from 'vitest'
import { KeyShares, withinKeyShare } from '../../../records/feedback/key-share.ts'

const rows = (key: string | undefined, count: number, score = 1) =>
  Array.from({ length: count }, (_, i) => ({ id: `${key}-${i}`, key, score }))
const limit = (all: ReturnType<typeof rows>, share?: number) =>
  withinKeyShare(all, (row) => row, { share })
const countsOf = (kept: ReturnType<typeof rows>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { key = '-' } of kept) counts[key] = (counts[key] ?? 0) + 1
  return counts
}

test('a key that rates most counts for no more than all others together', () => {
  const all = [...rows('eve', 9000, 0), ...rows('ann', 300), ...rows('bob', 200)]
  const { kept, limited } = limit(all)
  expect(countsOf(kept)).toEqual({ eve: 500, ann: 300, bob: 200 })
  expect(limited).toEqual([{ key: 'eve', rated: 9000, counted: 500 }])
  expect(limit([...all].reverse()).kept.reverse()).toEqual(kept)
})

test('with a smaller share every key is held to it, and equally where there are too few keys', () => {
  const all = [...rows('eve', 9000), ...rows('ann', 800), ...rows('bob', 400), ...rows('cy', 400)]
  const { kept } = limit(all, 0.25)
  expect(countsOf(kept)).toEqual({ eve: 400, ann: 400, bob: 400, cy: 400 })
  const { kept: third } = limit(all, 0.4)
  const share = countsOf(third).eve! / third.length
  expect(share).toBeLessThanOrEqual(0.4)
  expect(share).toBeGreaterThan(0.399)
  expect(countsOf(limit([...rows('eve', 900), ...rows('ann', 100)], 0.1).kept)).toEqual({
    eve: 100,
    ann: 100,
  })
})

test('nothing is left out of one key’s ratings, of few, of unnamed ones or with a share of 1', () => {
  expect(limit(rows('ann', 5000)).limited).toEqual([])
  expect(limit([...rows(undefined, 100), ...rows('ann', 5000)]).limited).toEqual([])
  expect(limit([...rows('ann', 50), ...rows('bob', 2)]).limited).toEqual([])
  expect(limit([...rows('ann', 5000), ...rows('bob', 2)], 1).limited).toEqual([])
  const { kept } = limit([...rows(undefined, 400), ...rows('ann', 5000), ...rows('bob', 100)])
  expect(countsOf(kept)).toEqual({ '-': 400, ann: 500, bob: 100 })
})

test('one rating after the other, a key has at most half of the last that counted', () => {
  const shares = new KeyShares(1000)
  let honest = 0
  for (let i = 0; i < 5000; i++) if (shares.count(i % 2 === 0 ? 'ann' : 'bob')) honest++
  expect(honest).toBe(5000)
  let eve = 0
  for (let i = 0; i < 20_000; i++) if (shares.count('eve')) eve++
  // the others’ ratings are in the window until newer ones push them out
  expect(eve).toBe(501)
  for (let i = 0; i < 100; i++) expect(shares.count(undefined)).toBe(true)
})
