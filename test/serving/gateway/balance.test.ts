import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { Backend, chooseBackend } from '../../../serving/gateway/backend.ts'
import { Breaker } from '../../../serving/gateway/breaker.ts'
import { backoffMs, RetryBudget } from '../../../serving/gateway/dispatcher.ts'
import { Sliding } from '../../../serving/gateway/pace.ts'
import type { Upstream } from '../../../serving/upstreams/upstream.ts'

let time = 0
const now = (): number => time
const random = createRandom(1)
const options = { balance: 'least_loaded', now, random: () => random.next() } as const
const stream = false

const backend = (name: string, weight = 1): Backend => {
  const upstream: Upstream = {
    name,
    complete: () => Promise.reject(new Error('not asked here')),
    close: () => Promise.resolve(),
  }
  return new Backend(upstream, name, weight, new Breaker({ failures: 1 }, now), now)
}
const known = (one: Backend, milliseconds: number): Backend => {
  for (let i = 0; i < 20; i++) one.latency(stream).add(milliseconds)
  return one
}
const counts = (
  backends: readonly Backend[],
  choose: () => Backend | undefined,
  n = 3000,
): number[] => {
  const chosen = Array.from({ length: n }, choose)
  return backends.map((one) => chosen.filter((other) => other === one).length)
}

describe('who is asked', () => {
  test('the least loaded for its weight', () => {
    const [a, b] = [backend('a', 1), backend('b', 3)]
    a.inFlight = 1
    b.inFlight = 3
    expect(chooseBackend([a, b], options, { stream })).toBe(b)
    b.inFlight = 8
    expect(chooseBackend([a, b], options, { stream })).toBe(a)
  })

  test('all alike where the load is', () => {
    const backends = ['a', 'b', 'c'].map((name) => backend(name))
    for (const count of counts(backends, () => chooseBackend(backends, options, { stream }))) {
      expect(count).toBeGreaterThan(900)
      expect(count).toBeLessThan(1100)
    }
  })

  test('by weight where that is asked for', () => {
    const backends = [backend('a', 1), backend('b', 3)]
    const weighted = { ...options, balance: 'weighted' } as const
    const [a, b] = counts(backends, () => chooseBackend(backends, weighted, { stream }))
    expect(b! / a!).toBeGreaterThan(2.6)
    expect(b! / a!).toBeLessThan(3.4)
  })

  test('no one whose breaker is open, or who asked for peace', () => {
    const [a, b] = [backend('a'), backend('b')]
    a.breaker.enter().failed()
    expect(chooseBackend([a, b], options, { stream })).toBe(b)
    b.pause.until = time + 10
    expect(chooseBackend([a, b], options, { stream })).toBeUndefined()
    time += 11
    expect(chooseBackend([a, b], options, { stream })).toBe(b)
  })

  test('no one three times as slow as the fastest, until that is forgotten', () => {
    const backends = [known(backend('fast'), 100), known(backend('slow'), 400)]
    const choose = () => chooseBackend(backends, options, { stream })
    expect(counts(backends, choose)).toEqual([3000, 0])
    time += 61_000
    expect(counts(backends, choose)[1]).toBeGreaterThan(1000)
  })

  test('only who is fast enough, while anyone is', () => {
    const backends = [known(backend('fast'), 100), known(backend('slower'), 200)]
    const choose = (maxLatencyMs: number) => () =>
      chooseBackend(backends, options, { stream, maxLatencyMs })
    expect(counts(backends, choose(150))).toEqual([3000, 0])
    expect(counts(backends, choose(50))[1]).toBeGreaterThan(1000)
  })

  test('the same one for a session, and its sessions alone move when one leaves', () => {
    const backends = ['a', 'b', 'c'].map((name) => backend(name, name === 'c' ? 2 : 1))
    const of = (affinity: string, among = backends) =>
      chooseBackend(among, options, { stream, affinity })
    const sessions = Array.from({ length: 2000 }, (_, i) => `s${i}`)
    const chosen = sessions.map((one) => of(one))
    expect(sessions.map((one) => of(one))).toEqual(chosen)
    const shares = backends.map((one) => chosen.filter((other) => other === one).length / 2000)
    for (const [i, share] of [0.25, 0.25, 0.5].entries()) expect(shares[i]).toBeCloseTo(share, 1)
    const left = backends.slice(1)
    for (const [i, one] of sessions.entries()) {
      if (chosen[i] !== backends[0]) expect(of(one, left)).toBe(chosen[i])
    }
    // one that is crowded sends its sessions to others
    chosen[0]!.inFlight = 100
    expect(of('s0')).not.toBe(chosen[0])
    const tried = new Set([chosen[1]!])
    const other = chooseBackend(backends, options, { stream, affinity: 's1', tried })
    expect(other).not.toBe(chosen[1])
  })

  test('who was not tried before', () => {
    const backends = [backend('a'), backend('b')]
    const tried = new Set([backends[0]!])
    expect(chooseBackend(backends, options, { stream, tried })).toBe(backends[1])
  })
})

describe('a breaker', () => {
  test('opens after failures in a row, lets one try at a time, waits twice as long after each that fails', () => {
    const breaker = new Breaker({ failures: 3, open_ms: 100 }, now)
    for (let i = 0; i < 3; i++) breaker.enter().failed()
    expect(breaker.state).toBe('open')
    time += 100
    expect(breaker.state).toBe('half_open')
    const probe = breaker.enter()
    expect(breaker.ready).toBe(false)
    probe.failed()
    time += 150
    expect(breaker.state).toBe('open')
    time += 50
    breaker.enter().succeeded()
    expect(breaker.state).toBe('closed')
  })

  test('opens when more than half of twenty failed, never in a row', () => {
    const breaker = new Breaker({ failures: 5 }, now)
    for (let i = 0; i < 40 && breaker.state === 'closed'; i++) {
      const permit = breaker.enter()
      if (i % 3 === 0) permit.succeeded()
      else permit.failed()
    }
    expect(breaker.state).toBe('open')
  })

  test('another may try where the one that tried was given up', () => {
    const breaker = new Breaker({ failures: 1, open_ms: 10 }, now)
    breaker.enter().failed()
    time += 10
    breaker.enter().dropped()
    expect(breaker.ready).toBe(true)
  })

  test('late news of an earlier time changes nothing', () => {
    const breaker = new Breaker({ failures: 1, open_ms: 10 }, now)
    const early = breaker.enter()
    breaker.enter().failed()
    early.succeeded()
    expect(breaker.state).toBe('open')
    time += 10
    breaker.enter().succeeded()
    early.failed()
    expect(breaker.state).toBe('closed')
  })
})

test('a p95 is the 95th of a hundred, and unknown of a few', () => {
  const latency = new Sliding(now, 60_000)
  for (let i = 1; i <= 9; i++) latency.add(i)
  expect(latency.quantile(0.95)).toBeUndefined()
  for (let i = 1; i <= 100; i++) latency.add(i)
  expect(latency.quantile(0.95)).toBe(95)
  expect(latency.quantile(0.5)).toBe(50)
})

test('retries are a share of the requests, and wait up to twice as long each time', () => {
  const budget = new RetryBudget(0.1)
  let retries = 0
  for (let i = 0; i < 1000; i++) {
    budget.earn()
    if (budget.take()) retries++
  }
  expect(retries).toBeGreaterThanOrEqual(100)
  expect(retries).toBeLessThanOrEqual(111)
  expect([1, 2, 3, 10].map((retry) => backoffMs(retry, () => 1))).toEqual([50, 100, 200, 2000])
})
