import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import {
  BUDGET_TOPIC,
  openLocalStore,
  PrimaryBudgets,
  remoteStore,
} from '../../../serving/budgets/store.ts'
import { HOT_TOPIC, PrimaryHotStore, workersStore } from '../../../serving/state/hot-store.ts'
import type { TopicHandler } from '../../../serving/state/primary-channel.ts'
import {
  LeasedRateLimit,
  PrimaryRateLimits,
  RATE_TOPIC,
} from '../../../serving/state/rate-limit.ts'
import { budget } from './budget.ts'
import { type FakeWorker, fakeWorker } from './ports.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const turns = async (n: number) => {
  for (let i = 0; i < n; i++) await turn()
}

/** What a worker that died had asked is refused seconds later, when its test is long over. */
function onlyOverloaded(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'overloaded') throw error
}

describe('budgets of several workers', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-workers-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  function primary() {
    const store = openLocalStore({
      folder,
      where: 'x',
      allowHosts: undefined,
      now: Date.now,
      onWarning: () => {},
      // a crash in here ends no process: nothing would give a lock back
      lock: () => ({ release: () => {} }),
    })
    const budgets = new PrimaryBudgets(store)
    const handlers = new Map<string, TopicHandler>([[BUDGET_TOPIC, budgets.answer]])
    let born = 0
    const worker = (): FakeWorker & { number: number } & {
      budgets: ReturnType<typeof remoteStore>
    } => {
      const number = ++born
      const fake = fakeWorker(number, handlers)
      const budgets = remoteStore(fake.line, Date.now)
      budgets.declare([budget({ usd: 0.0004, per: 'total' })])
      return { ...fake, number, budgets }
    }
    return { store, budgets, worker }
  }

  test('are one: what one worker holds the other cannot spend', async () => {
    const { store, worker } = primary()
    const [a, b] = [worker(), worker()]
    const claim = { budgets: ['all'], nanos: 300_000 }
    expect(await a.budgets.reserve('1', claim)).toBeUndefined()
    expect(await b.budgets.reserve('1', claim)).toMatchObject({ budget: 'all', reason: 'held' })
    expect(b.budgets.query(claim)).toMatchObject({ budget: 'all' })
    expect(b.budgets.query({ ...claim, nanos: 1 })).toBeUndefined()
    a.budgets.commit('1', 50_000)
    await a.budgets.close()
    expect(await b.budgets.reserve('2', claim)).toBeUndefined()
    expect(store.states()).toMatchObject([{ spent_usd: 0.00005, held_usd: 0.0003 }])
    await store.close()
  })

  test('count a worker that dies at the upper bound of what it held, and give its place no more', async () => {
    const { store, budgets, worker } = primary()
    const [a, b] = [worker(), worker()]
    await a.budgets.reserve('1', { budgets: ['all'], nanos: 300_000 })
    await b.budgets.reserve('1', { budgets: ['all'], nanos: 50_000 })
    a.die()
    budgets.gone(a.number)
    expect(store.states()).toMatchObject([{ spent_usd: 0.0003, held_usd: 0.00005 }])
    await store.close()
  })

  test('stay while a worker that starts knows of fewer', async () => {
    const { store, worker } = primary()
    const [a, b] = [worker(), worker()]
    a.budgets.declare([budget({ usd: 0.0004, per: 'total' }), budget({ name: 'policy' })])
    await a.budgets.close()
    await b.budgets.close()
    b.budgets.declare([budget({ usd: 0.0004, per: 'total' })])
    await b.budgets.close()
    expect(store.states().map(({ name }) => name)).toEqual(['all', 'policy'])
    a.budgets.declare([budget({ usd: 0.0004, per: 'total' })])
    await a.budgets.close()
    expect(store.states().map(({ name }) => name)).toEqual(['all'])
    await store.close()
  })

  test('of a primary that is silent refuse with 503, and hold nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { store, worker } = primary()
    const a = worker()
    await turns(3)
    a.die()
    const refused = expect(
      a.budgets.reserve('1', { budgets: ['all'], nanos: 10 }),
    ).rejects.toMatchObject({ code: 'overloaded', status: 503 })
    vi.advanceTimersByTime(5000)
    await refused
    await turns(3)
    const { items } = a.sent.at(-1) as { items: { question: object }[] }
    expect(items.at(-1)!.question).toEqual({ do: 'settle', id: '1', nanos: 0 })
    vi.useRealTimers()
    await store.close()
  })

  test('ask once a turn, however many requests there are', async () => {
    const { store, worker } = primary()
    const a = worker()
    await turn()
    a.sent.length = 0
    const claim = { budgets: ['all'], nanos: 10 }
    await Promise.all(['1', '2', '3', '4'].map((id) => a.budgets.reserve(id, claim)))
    expect(a.sent.length).toBe(1)
    await store.close()
  })

  for (const seed of [21, 22]) {
    test(`are never passed, though workers die and the whole server crashes (seed ${seed})`, async () => {
      const random = createRandom(seed)
      const limit = 400_000
      let its = primary()
      let workers = [its.worker(), its.worker(), its.worker()]
      let billed = 0
      let ids = 0
      let crashes = 0
      const client = async (): Promise<void> => {
        const at = random.int(workers.length)
        const worker = workers[at]!
        const nanos = 1 + random.int(4000)
        const id = String(++ids)
        const refusal = await worker.budgets.reserve(id, { budgets: ['all'], nanos })
        if (refusal) return
        const cost = random.int(nanos + 1)
        billed += cost
        await turns(random.int(6))
        worker.budgets.commit(id, cost)
      }
      for (let round = 0; round < 300; round++) {
        for (let i = 0; i < 4; i++) void client().catch(onlyOverloaded)
        await turn()
        expect(billed).toBeLessThanOrEqual(limit)
        const dice = random.next()
        if (dice < 0.05) {
          const at = random.int(workers.length)
          const dead = workers[at]!
          dead.die()
          its.budgets.gone(dead.number)
          workers[at] = its.worker()
        } else if (dice < 0.07) {
          crashes++
          for (const worker of workers) worker.die()
          // its lines that wait in memory are lost with it
          its = primary()
          workers = [its.worker(), its.worker(), its.worker()]
        }
      }
      await turns(20)
      expect(crashes).toBeGreaterThan(1)
      expect(billed).toBeGreaterThan(limit / 10)
      expect(billed).toBeLessThanOrEqual(limit)
      const [state] = its.store.states()
      expect(state!.spent_usd).toBeLessThanOrEqual(limit / 1e9)
      await its.store.close()
    })
  }
})

describe('rate limits of several workers', () => {
  function primary(count: number) {
    const clock = { now: 0 }
    const limits = new PrimaryRateLimits(count, () => clock.now)
    const handlers = new Map<string, TopicHandler>([[RATE_TOPIC, limits.answer]])
    const workers = Array.from({ length: count }, (_, i) => {
      const fake = fakeWorker(i + 1, handlers)
      return { ...fake, limit: new LeasedRateLimit(fake.line, () => clock.now) }
    })
    return { clock, limits, workers }
  }
  /** Whether it was let through. */
  const ask = async (limit: LeasedRateLimit, perMinute: number): Promise<boolean> => {
    try {
      await limit.take('app', perMinute)
      return true
    } catch (error) {
      expect(error).toMatchObject({ code: 'rate_limited' })
      return false
    }
  }

  test('let through the limit, all together, however unevenly they are asked', async () => {
    for (const shares of [
      [1, 0, 0],
      [1, 1, 1],
      [8, 1, 1],
    ]) {
      const { workers } = primary(3)
      const random = createRandom(5)
      let through = 0
      for (let i = 0; i < 400; i++) {
        let at = random.next() * shares.reduce((sum, share) => sum + share)
        const n = shares.findIndex((share) => {
          at -= share
          return at < 0
        })
        if (await ask(workers[n]!.limit, 100)) through++
      }
      expect(through).toBeLessThanOrEqual(100)
      // a block may lie in each of the others
      expect(through).toBeGreaterThan(85)
      for (const { limit } of workers) limit.close()
    }
  })

  test('over time are the limit a minute, never more, with blocks lying about or a worker dying', async () => {
    const { clock, limits, workers } = primary(2)
    const random = createRandom(6)
    const perMinute = 120
    const times: number[] = []
    for (let second = 0; second < 180; second++) {
      for (let i = 0; i < 10; i++) {
        clock.now += 100
        const n = second % 20 < 10 ? 0 : random.int(2)
        if (await ask(workers[n]!.limit, perMinute)) times.push(clock.now)
      }
      for (const { limit } of workers) limit.sweep()
      if (second === 90) {
        workers[1]!.die()
        limits.gone(2)
        const fake = fakeWorker(3, new Map([[RATE_TOPIC, limits.answer]]))
        workers[1] = { ...fake, limit: new LeasedRateLimit(fake.line, () => clock.now) }
      }
      await turn()
    }
    // a bucket: in any stretch of time a minute's worth, and what that time refills
    for (let i = 0; i < times.length; i++) {
      for (let j = i; j < times.length; j += 7) {
        const stretch = (times[j]! - times[i]!) / 60_000
        expect(j - i + 1).toBeLessThanOrEqual(perMinute * (1 + stretch) + 1)
      }
    }
    // and nearly all of it was used
    expect(times.length).toBeGreaterThan(perMinute * 4 * 0.93)
    for (const { limit } of workers) limit.close()
  })

  test('count what lies in a worker as part of a minute’s worth', async () => {
    const { clock, workers } = primary(2)
    const [a, b] = workers
    const perMinute = 60
    expect(await ask(a!.limit, perMinute)).toBe(true)
    // time enough to fill the bucket again, were it not for the block that the worker keeps
    clock.now += 120_000
    let through = 0
    while (await ask(b!.limit, perMinute)) through++
    while (await ask(a!.limit, perMinute)) through++
    // the token that it used is told with its next question
    expect([perMinute - 1, perMinute]).toContain(through)
    for (const { limit } of workers) limit.close()
  })

  test('ask the primary a few times for many requests', async () => {
    const { workers } = primary(2)
    const [a] = workers
    for (let i = 0; i < 500; i++) await ask(a!.limit, 1000)
    expect(a!.sent.length).toBeLessThan(10)
    for (const { limit } of workers) limit.close()
  })

  test('tokens that one worker does not use serve the other a second later', async () => {
    const { clock, workers } = primary(2)
    const [a, b] = workers
    await ask(a!.limit, 60)
    let through = 1
    while (await ask(b!.limit, 60)) through++
    expect(through).toBeLessThan(60)
    clock.now += 1000
    a!.limit.sweep()
    await turns(4)
    while (await ask(b!.limit, 60)) through++
    // one more was refilled meanwhile
    expect(through).toBe(61)
    for (const { limit } of workers) limit.close()
  })
})

describe('what workers share through their primary', () => {
  const handlers = new Map([[HOT_TOPIC, new PrimaryHotStore().answer]])
  const worker = (number: number) => {
    const fake = fakeWorker(number, handlers)
    return { ...fake, store: workersStore(fake.line) }
  }

  test('is read by all of them, as long as it was to be kept', async () => {
    const [a, b] = [worker(1), worker(2)]
    a.store.set('session:x', 'big', 60_000)
    await turns(2)
    expect(await b.store.get('session:x')).toBe('big')
    expect(await b.store.get('session:y')).toBeUndefined()
    a.store.set('session:x', 'small', 1)
    await vi.waitFor(async () => expect(await b.store.get('session:x')).toBeUndefined())
  })

  test('is not waited for where the primary is silent, and nothing large is kept', async () => {
    const one = worker(1)
    one.store.set('large', 'x'.repeat(600_000), 60_000)
    expect(await one.store.get('large')).toBeUndefined()
    one.die()
    expect(await one.store.get('session:x')).toBeUndefined()
  })
})
