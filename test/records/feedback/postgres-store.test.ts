import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFeedbackStore } from '../../../records/feedback/open-store.ts'
import { forgetInPostgres } from '../../../records/feedback/postgres-store.ts'
import { storeContract, word, wordsOf } from '../../../testing/feedback-store-contract.ts'
import { built } from '../../built/build.ts'
import { hasPostgres, type PostgresServer, postgresServer } from '../../stores.ts'

describe.skipIf(!hasPostgres)('in PostgreSQL', () => {
  let server: PostgresServer
  const url = (name: string): string => server.url(name)
  const admin = (sql: string): void => void server.sql(sql)

  beforeAll(async () => {
    server = await postgresServer()
  }, 60_000)
  afterAll(() => server.close(), 60_000)

  const made = new Set<string>()
  storeContract(async (name) => {
    if (!made.has(name)) admin(`CREATE DATABASE ${name}`)
    made.add(name)
    return openFeedbackStore(url(name))
  })

  test('replicas that start together share one table', async () => {
    admin('CREATE DATABASE replicas')
    const stores = await Promise.all([1, 2, 3].map(() => openFeedbackStore(url('replicas'))))
    await Promise.all(stores.map((store, i) => store.record(word({ source: `s${i}` }))))
    expect(await wordsOf(stores[0]!)).toHaveLength(3)
    await Promise.all(stores.map((store) => store.close()))
  })

  test('kill -9 of a writer and a crash of the server lose nothing that was acknowledged', async () => {
    admin('CREATE DATABASE killed')
    const writer = join(built(), 'test/records/feedback/store-writer.js')
    const child = spawn(process.execPath, [writer, url('killed')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const acknowledged: string[] = []
    const ended = once(child, 'exit')
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id)
      if (acknowledged.length === 150) {
        await server.kill()
        child.kill('SIGKILL')
      }
    }
    await ended
    await server.start()
    const store = await openFeedbackStore(url('killed'))
    const kept = (await wordsOf(store)).map((record) => record.decision_id)
    await store.close()
    expect(new Set(kept).size).toBe(kept.length)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(acknowledged.filter((id) => !kept.includes(id))).toEqual([])
  }, 60_000)

  test('forgets the feedback on given decisions, and what is older', async () => {
    admin('CREATE DATABASE forgotten')
    const store = await openFeedbackStore(url('forgotten'))
    for (const [id, time] of [
      ['a', 1000],
      ['b', 1000],
      ['c', 5000],
    ] as const) {
      await store.record(word({ decision_id: id, time }))
      await store.record(word({ decision_id: id, time, source: 'judge' }))
    }
    expect(await forgetInPostgres(url('forgotten'), ['a'], undefined)).toBe(2)
    expect(new Set((await wordsOf(store)).map((one) => one.decision_id))).toEqual(
      new Set(['b', 'c']),
    )
    expect(await forgetInPostgres(url('forgotten'), [], 2000)).toBe(2)
    expect(await wordsOf(store)).toHaveLength(2)
    await store.record(word({ decision_id: 'd', time: 6000, key: 'ann' }))
    expect(await forgetInPostgres(url('forgotten'), [], undefined, ['ann'])).toBe(1)
    expect(await wordsOf(store)).toHaveLength(2)
    await store.close()
  })

  test('a server that cannot be reached is named, its password is not', async () => {
    const store = openFeedbackStore('postgres://weir:secret@127.0.0.1:1/nothing')
    const error = await store.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'store_unavailable', status: 503 })
    expect(String(error)).not.toContain('secret')
  })
})
