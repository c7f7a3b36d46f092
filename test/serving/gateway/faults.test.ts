import { APIError, type OpenAI } from 'openai'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ANSWER_TOKENS, type Behaviour } from '../upstreams/scripted-upstream.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from './gateway-app.ts'

/** Short enough for tests, and with time to spare for a busy machine. */
const DEADLINE_MS = 3_000
const upstreamLimits = {
  answer_timeout_ms: 200,
  first_token_timeout_ms: 200,
  idle_timeout_ms: 200,
}

let gateway: GatewayApp
const open = async (
  more: Parameters<typeof gatewayApp>[0] = {},
  limits: Parameters<typeof gatewayApp>[2] = upstreamLimits,
): Promise<GatewayApp> => {
  gateway = await gatewayApp({ deadline_ms: DEADLINE_MS, attempts: 2, ...more }, {}, limits)
  return gateway
}
beforeEach(() => open())
afterEach(async () => {
  expect(gateway.bugs).toEqual([])
  // one answer is billed at most, whatever was tried
  for (const { attempts } of gateway.served) {
    expect(attempts.filter(({ outcome }) => outcome === 'answered').length).toBeLessThanOrEqual(1)
    expect(attempts.filter(({ costUsd }) => costUsd !== undefined).length).toBeLessThanOrEqual(1)
  }
  await gateway.close()
})

const ask = (model: string, content: string) =>
  gateway.client.chat.completions.create({ model, messages: user(content) } as never).withResponse()

const stream = async (model: string, content: string): Promise<string> => {
  const chunks = await gateway.client.chat.completions.create({
    model,
    messages: user(content),
    stream: true,
  } as OpenAI.ChatCompletionCreateParamsStreaming)
  let text = ''
  for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

const timed = async <T>(work: Promise<T>): Promise<{ value?: T; error?: unknown; ms: number }> => {
  const started = performance.now()
  const settled = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  return { ...settled, ms: performance.now() - started }
}

const WHOLE: Behaviour[] = [
  'reset',
  'hang',
  'slow',
  'rate_limit',
  'error_500',
  'unauthorized',
  'redirect',
  'wrong_json',
  'no_choices',
  'html',
]
const STREAMED: Behaviour[] = [
  'reset',
  'hang',
  'slow',
  'hang_stream',
  'rate_limit',
  'error_500',
  'cut_early',
  'malformed_sse',
  'wrong_json',
  'html',
]

describe('one upstream that fails for good: a clear error within the deadline', () => {
  for (const behaviour of WHOLE) {
    test(`${behaviour}, whole`, async () => {
      gateway.big.otherwise = behaviour
      const { error, ms } = await timed(ask('big', HARD))
      expect(error).toBeInstanceOf(APIError)
      expect(String((error as APIError).code)).toMatch(/^(upstream_|gateway_deadline)/)
      expect(ms).toBeLessThan(DEADLINE_MS + 300)
      expect(gateway.served).toHaveLength(1)
      expect(gateway.served[0]!.costUsd).toBeUndefined()
    })
  }
  for (const behaviour of STREAMED) {
    test(`${behaviour}, streamed`, async () => {
      gateway.big.otherwise = behaviour
      const { error, ms } = await timed(stream('big', HARD))
      expect(error).toBeInstanceOf(APIError)
      expect(String((error as APIError).code)).toMatch(/^(upstream_|gateway_deadline)/)
      expect(ms).toBeLessThan(DEADLINE_MS + 300)
    })
  }

  test('nobody listening', async () => {
    await gateway.big.close()
    const { error } = await timed(ask('big', HARD))
    expect(error).toMatchObject({ status: 502, code: 'upstream_unreachable' })
  })

  test("a refusal of the request itself comes back in the upstream's own words, asked once", async () => {
    gateway.big.otherwise = 'bad_request'
    const { error } = await timed(ask('big', HARD))
    expect(error).toMatchObject({ status: 400 })
    expect(String(error)).toContain('max_tokens is too large')
    expect(gateway.big.received).toHaveLength(1)
  })

  test("the upstream's words on our key stay with us", async () => {
    gateway.big.otherwise = 'unauthorized'
    const { error } = await timed(ask('big', HARD))
    expect(error).toMatchObject({ status: 502, code: 'upstream_misconfigured' })
    expect(String(error)).not.toContain('sk-')
  })

  test('429 passes on when to come back', async () => {
    gateway.big.otherwise = 'rate_limit'
    const { error } = await timed(ask('big', HARD))
    expect(error).toMatchObject({ status: 429, code: 'upstream_rate_limited' })
    expect((error as APIError).headers!.get('retry-after')).toBe('30')
    expect(gateway.big.received).toHaveLength(1)
    const again = await timed(ask('big', HARD))
    expect(again.error).toMatchObject({ status: 429, code: 'upstream_rate_limited' })
    expect(gateway.big.received).toHaveLength(1)
  })
})

describe('the weak model fails: the strong one answers', () => {
  for (const behaviour of WHOLE) {
    test(`${behaviour}, whole`, async () => {
      gateway.small.otherwise = behaviour
      const { value, ms } = await timed(ask('weir', EASY))
      expect(value!.response.headers.get('x-weir-model')).toBe('big')
      expect(value!.response.headers.get('x-weir-failover-from')).toBe('small')
      expect(ms).toBeLessThan(DEADLINE_MS + 300)
      // 1000 tokens at $10 and 500 at $20 a million, once
      expect(gateway.served[0]!.costUsd).toBeCloseTo(0.02, 10)
    })
  }
  for (const behaviour of STREAMED) {
    test(`${behaviour}, streamed, before the first token`, async () => {
      gateway.small.otherwise = behaviour
      expect(await stream('weir', EASY)).toBe(ANSWER_TOKENS.join(''))
      expect(gateway.served[0]!.model).toBe('big')
      expect(gateway.served[0]!.costUsd).toBeCloseTo(0.02, 10)
    })
  }
})

describe('the strong model fails', () => {
  test('the weak one does not answer in its place', async () => {
    gateway.big.otherwise = 'error_500'
    const { error } = await timed(ask('weir', HARD))
    expect(error).toMatchObject({ status: 502, code: 'upstream_failed' })
    expect(gateway.small.received).toHaveLength(0)
  })

  test('unless that is allowed', async () => {
    await gateway.close()
    await open({ allow_down: true })
    gateway.big.otherwise = 'error_500'
    const { value } = await timed(ask('weir', HARD))
    expect(value!.response.headers.get('x-weir-model')).toBe('small')
  })
})

describe('a stream that breaks after its first token', () => {
  for (const behaviour of ['cut_late', 'stall_late', 'error_late', 'malformed_late'] as const) {
    test(`${behaviour}: what came, then an error; never a second answer`, async () => {
      gateway.small.otherwise = behaviour
      const { error } = await timed(stream('weir', EASY))
      expect(error).toBeInstanceOf(APIError)
      expect((error as APIError).code).toBe('upstream_broken')
      expect(gateway.big.received).toHaveLength(0)
      expect(gateway.served[0]).toMatchObject({ status: 200, code: 'upstream_broken' })
      expect(gateway.served[0]!.attempts[0]!.outcome).toBe('broken')
    })
  }
})

describe('retries', () => {
  test('a failure that passes is tried again, under the same idempotency key', async () => {
    gateway.big.script.push('error_500')
    const { value } = await timed(ask('big', HARD))
    expect(value!.response.headers.get('x-weir-attempts')).toBe('2')
    const keys = gateway.big.received.map(({ headers }) => headers['idempotency-key'])
    expect(keys[0]).toBeDefined()
    expect(keys[1]).toBe(keys[0])
  })

  test('no more than the budget allows, however much fails', async () => {
    await gateway.close()
    await open({ breaker: { failures: 10_000, share: 1 } })
    gateway.big.otherwise = 'error_500'
    for (let i = 0; i < 60; i++) await timed(ask('big', HARD))
    // ten saved up, and one for every five requests
    expect(gateway.big.received.length).toBeGreaterThan(60)
    expect(gateway.big.received.length).toBeLessThanOrEqual(60 + 10 + 12)
  })
})

describe('the circuit breaker', () => {
  const breaker = { failures: 3, open_ms: 100 }
  const state = () => gateway.services.gateway!.breakers.get('large')!.state

  test('opens, spares the upstream, lets one try, and closes', async () => {
    await gateway.close()
    await open({ breaker, attempts: 1 })
    gateway.big.otherwise = 'error_500'
    for (let i = 0; i < 3; i++) await timed(ask('big', HARD))
    expect(state()).toBe('open')
    const { error } = await timed(ask('big', HARD))
    expect(error).toMatchObject({ status: 503, code: 'upstream_unavailable' })
    expect(gateway.big.received).toHaveLength(3)
    gateway.big.otherwise = 'answer'
    await expect.poll(state).toBe('half_open')
    expect((await timed(ask('big', HARD))).error).toBeUndefined()
    expect(state()).toBe('closed')
  })

  test('counts streams that break in the middle', async () => {
    await gateway.close()
    await open({ breaker, attempts: 1 })
    gateway.big.otherwise = 'cut_late'
    for (let i = 0; i < 3; i++) await timed(stream('big', HARD))
    expect(state()).toBe('open')
  })

  test('does not hold a bad request against the upstream', async () => {
    await gateway.close()
    await open({ breaker, attempts: 1 })
    gateway.big.otherwise = 'bad_request'
    for (let i = 0; i < 5; i++) await timed(ask('big', HARD))
    expect(state()).toBe('closed')
  })
})

describe('hedging', () => {
  test('a silent first is overtaken by the next, given up and not billed', async () => {
    await gateway.close()
    await open({ hedge_after_ms: 30 })
    gateway.small.otherwise = 'hang'
    const cut = gateway.small.cutByClient()
    const { value } = await timed(ask('weir', EASY))
    expect(value!.response.headers.get('x-weir-model')).toBe('big')
    await cut
    expect(gateway.served[0]!.costUsd).toBeCloseTo(0.02, 10)
  })

  test('nobody else is asked where the first answers in time', async () => {
    await gateway.close()
    await open({ hedge_after_ms: 300 })
    await ask('weir', EASY)
    expect(gateway.big.received).toHaveLength(0)
  })
})

test('an upstream that is silent for longer than its time leaves the next one time to answer', async () => {
  await gateway.close()
  // no limit of its own is shorter than the deadline
  await open({ deadline_ms: 1_500 }, { answer_timeout_ms: 5_000, first_token_timeout_ms: 5_000 })
  gateway.small.otherwise = 'hang'
  const { value, ms } = await timed(ask('weir', EASY))
  expect(value!.response.headers.get('x-weir-model')).toBe('big')
  expect(ms).toBeGreaterThan(800)
  expect(ms).toBeLessThan(1_500)
})

test('a first byte that is slow but in time is waited for', async () => {
  await gateway.close()
  await open({}, { answer_timeout_ms: 2_000, first_token_timeout_ms: 2_000 })
  gateway.big.otherwise = 'slow'
  expect((await timed(ask('big', HARD))).error).toBeUndefined()
  expect(await stream('big', HARD)).toBe(ANSWER_TOKENS.join(''))
  expect(gateway.big.received).toHaveLength(2)
})

test('an upstream that closes its connection after every answer costs no answer', async () => {
  gateway.big.otherwise = 'answer_and_close'
  for (let i = 0; i < 20; i++) expect((await timed(ask('big', HARD))).error).toBeUndefined()
  for (const { attempts } of gateway.served) {
    expect(attempts.filter(({ costUsd }) => costUsd !== undefined)).toHaveLength(1)
  }
})

test('streams that end well are read to their last byte, so that their connection serves the next', async () => {
  for (let i = 0; i < 5; i++) {
    expect(await stream('big', HARD)).toBe(ANSWER_TOKENS.join(''))
    await expect.poll(() => gateway.served.length).toBe(i + 1)
  }
  expect(gateway.big.connections).toBe(1)
})

test('a deadline of the request is kept, whatever the configuration says', async () => {
  gateway.big.otherwise = 'hang'
  const { error, ms } = await timed(
    gateway.client.chat.completions.create({
      model: 'big',
      messages: user(HARD),
      weir: { deadline_ms: 60 },
    } as never),
  )
  expect(error).toMatchObject({ status: 504 })
  expect(ms).toBeLessThan(300)
})

test('200 requests over every fault leave no socket and no request behind', async () => {
  await gateway.close()
  await open(
    { breaker: { failures: 10_000, share: 1 }, deadline_ms: 15_000 },
    { answer_timeout_ms: 800, first_token_timeout_ms: 800, idle_timeout_ms: 800 },
  )
  const faults = [...new Set([...WHOLE, ...STREAMED])].filter((fault) => fault !== 'rate_limit')
  for (const upstream of [gateway.small, gateway.big]) {
    for (let i = 0; i < 60; i++) upstream.script.push(faults[i % faults.length]!)
  }
  const settled = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      timed<unknown>(
        i % 2 ? ask('weir', i % 3 ? EASY : HARD) : stream('weir', i % 3 ? EASY : HARD),
      ),
    ),
  )
  expect(Math.max(...settled.map(({ ms }) => ms))).toBeLessThan(16_000)
  expect(settled.filter(({ error }) => error === undefined).length).toBeGreaterThan(80)
  await expect.poll(() => gateway.served.length).toBe(200)
  expect(gateway.services.gate.inFlight).toBe(0)
  for (const { backends } of gateway.services.gateway!.dispatcher.models.values()) {
    for (const { inFlight } of backends) expect(inFlight).toBe(0)
  }
  await gateway.services.gateway!.close()
  await expect.poll(() => gateway.small.sockets.size + gateway.big.sockets.size).toBe(0)
})
