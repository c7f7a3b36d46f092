import { expect, test } from 'vitest'
import { hasPostgres, postgresServer } from '../stores.ts'
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

test.skipIf(!hasPostgres)(
  'nor a lock in PostgreSQL in 2,000 contended takings, with kill -9',
  async () => {
    const server = await postgresServer()
    try {
      const { takings, kills, killedHolding, overlaps } = await contendForLock({
        takings: 2000,
        kills: 100,
        store: server.url(),
      })
      expect(overlaps).toEqual([])
      expect(takings).toBeGreaterThanOrEqual(2000)
      expect(kills).toBeGreaterThanOrEqual(100)
      expect(killedHolding).toBeLessThan(kills)
    } finally {
      await server.close()
    }
  },
  600_000,
)
