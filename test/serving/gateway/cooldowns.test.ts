import { afterEach, expect, test, vi } from 'vitest'
import { Backend } from '../../../serving/gateway/backend.ts'
import { Breaker } from '../../../serving/gateway/breaker.ts'
import { shareCooldowns } from '../../../serving/gateway/cooldowns.ts'
import type { HotStore } from '../../../serving/state/hot-store.ts'
import { UpstreamError } from '../../../serving/upstreams/failure.ts'
import type { Upstream } from '../../../serving/upstreams/upstream.ts'

const ended: (() => void)[] = []
afterEach(() => {
  for (const end of ended.splice(0)) end()
  vi.useRealTimers()
})

/** One server, whose clock is ahead by so much. */
function server(shared: HotStore, ahead = 0) {
  // a monotonic clock starts anywhere
  const origin = 1000 + Math.abs(ahead)
  const began = Date.now()
  const clock = (): number => origin + Date.now() - began
  const breaker = new Breaker({ failures: 5, open_ms: 4000 }, clock)
  const upstream = { name: 'one' } as Upstream
  const [small, big] = ['s', 'b'].map((model) => new Backend(upstream, model, 1, breaker, clock))
  const backends = [small!, big!]
  const breakers = new Map([['one', breaker]])
  const now = (): number => Date.now() + ahead
  ended.push(shareCooldowns({ shared, backends, breakers, clock, now }))
  return { clock, breaker, small: small!, big: big! }
}

function store(): HotStore & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>()
  return {
    kept,
    get: async (key) => kept.get(key),
    set: (key, value) => void kept.set(key, value),
  }
}

const limited = new UpstreamError('rate_limited', { upstream: 'one', reason: 'slow', status: 429 })

test('a rate limit that one server meets holds on the others, for that model, though clocks differ', async () => {
  vi.useFakeTimers()
  const shared = store()
  const [a, b, late] = [server(shared), server(shared, 2500), server(shared, -2500)]
  a.small.pause.set(a.clock() + 5000, limited)
  await vi.advanceTimersByTimeAsync(1000)
  expect(b.small.pause.until - b.clock()).toBeCloseTo(1500, -1)
  expect(late.small.pause.until - late.clock()).toBeCloseTo(5000, -1)
  expect(b.small.pause.failure).toMatchObject({
    kind: 'rate_limited',
    reason: 'slow',
    upstreamStatus: 429,
  })
  expect(b.big.pause.until).toBe(0)
  // one that is longer stays
  b.small.pause.set(b.clock() + 60_000, limited)
  const { until } = b.small.pause
  await vi.advanceTimersByTimeAsync(1000)
  expect(b.small.pause.until).toBe(until)
})

test('where another server’s breaker is open, the first failure opens this one, and only then', async () => {
  vi.useFakeTimers()
  const shared = store()
  const [a, b] = [server(shared), server(shared)]
  for (let i = 0; i < 5; i++) a.breaker.enter().failed()
  expect(a.breaker.state).toBe('open')
  await vi.advanceTimersByTimeAsync(1000)
  expect(b.breaker.state).toBe('closed')
  b.breaker.enter().succeeded()
  expect(b.breaker.state).toBe('closed')
  b.breaker.enter().failed()
  expect(b.breaker.state).toBe('open')
})

test('a breaker that opened at a hint hints at nothing: servers do not keep each other’s open', async () => {
  vi.useFakeTimers()
  const shared = store()
  const [a, b] = [server(shared), server(shared)]
  for (let i = 0; i < 5; i++) a.breaker.enter().failed()
  await vi.advanceTimersByTimeAsync(1000)
  b.breaker.enter().failed()
  // a works again, and b still waits
  await vi.advanceTimersByTimeAsync(3500)
  a.breaker.enter().succeeded()
  expect([a.breaker.state, b.breaker.state]).toEqual(['closed', 'open'])
  a.breaker.enter().failed()
  expect(a.breaker.state).toBe('closed')
})

test('what no server has written is passed over', async () => {
  vi.useFakeTimers()
  const shared = store()
  const { small, clock } = server(shared)
  const far = Date.now() + 1e12
  for (const text of [
    '{',
    'null',
    '{"until": "x", "ms": 1}',
    `{"until": ${far}, "ms": 5, "kind": "x"}`,
  ]) {
    shared.kept.set('cooldown:model:one:s', text)
    await vi.advanceTimersByTimeAsync(1000)
    expect(small.pause.until).toBe(0)
  }
  shared.kept.set(
    'cooldown:model:one:s',
    `{"until": ${far}, "ms": 1e12, "kind": "rate_limited", "reason": ""}`,
  )
  await vi.advanceTimersByTimeAsync(1000)
  expect(small.pause.until - clock()).toBeLessThanOrEqual(600_000)
})
