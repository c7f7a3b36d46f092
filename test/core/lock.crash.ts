import { expect, test } from 'vitest'
import { contendForLock } from './contend-for-lock.ts'

test('no two processes hold a lock in 10,000 contended takings, with kill -9', async () => {
  const { takings, kills, killedHolding, overlaps } = await contendForLock({
    takings: 10_000,
    kills: 200,
  })
  expect(overlaps).toEqual([])
  expect(takings).toBeGreaterThanOrEqual(10_000)
  // that many ended while they held it, and the next one took it over
  expect(killedHolding).toBeGreaterThan(20)
  expect(kills).toBeGreaterThanOrEqual(200)
}, 300_000)
