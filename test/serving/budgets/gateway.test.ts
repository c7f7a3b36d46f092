import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { BudgetSettings } from '../../../serving/budgets/settings.ts'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import { keyHash } from '../../../serving/router/keys.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from '../gateway/gateway-app.ts'
import { budget } from './budget.ts'

let gateway: GatewayApp | undefined
afterEach(() => gateway?.close())

/** Answers count 1,000 + 500 tokens: $0.02 of the big model's, $0.002 of the small one's. */
const BIG = 0.02
const SMALL = 0.002

async function open(
  budgets: readonly BudgetSettings[],
  more: Partial<GatewayConfig> = {},
  config = {},
) {
  gateway = await gatewayApp(
    {
      models: {
        small: {
          upstreams: [{ upstream: 'little' }],
          price: { input: 1, output: 2 },
          context: 4000,
        },
        big: {
          upstreams: [{ upstream: 'large' }],
          price: { input: 10, output: 20 },
          context: 4000,
          output_tokens: 1500,
        },
      },
      budgets: [...budgets],
      retry_budget: 0,
      ...more,
    },
    // the sample's folder is known only inside
    config,
    {},
    (root) => ({ log: { folder: `${root}/log` } }),
  )
  return gateway
}

const ask = (content: string, more: object = {}) =>
  gateway!.client.chat.completions.create({
    model: 'weir',
    messages: user(content) as [{ role: 'user'; content: string }],
    ...more,
  })
/** enough words that an answer's 1,000 prompt tokens are within its bound */
const long = (text: string) => text.padEnd(1200, ' .')
const states = async () => (await gateway!.services.budgets!.report()).budgets

test('spending is what upstreams counted, once answers have ended', async () => {
  await open([budget()])
  await ask(long(HARD))
  await ask(long(EASY))
  expect(await states()).toMatchObject([{ spent_usd: BIG + SMALL, held_usd: 0, refused: 0 }])
})

test('a budget that stops refuses with 402 before anything is asked, and says until when', async () => {
  await open([budget({ usd: 0.05 })])
  await ask(long(HARD), { max_tokens: 600 })
  await expect(ask(long(HARD), { max_tokens: 1500 })).rejects.toMatchObject({
    status: 402,
    code: 'budget_spent',
    type: 'insufficient_quota',
    message: expect.stringContaining('the budget all of $0.05 a day has too little left'),
  })
  const response = await fetch(`${gateway!.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'big', messages: user(long(HARD)) }),
  })
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(gateway!.big.received.length).toBe(1)
  // what costs less still fits
  await ask(long(HARD), { max_tokens: 600 })
  expect(await states()).toMatchObject([{ spent_usd: 2 * BIG, refused: 2 }])
})

test.each([
  { fixed: { max_tokens: 1500 } },
  { fixed: { n: 100 } },
  { clamp: { max_tokens: { min: 1500 } } },
  { rename: { max_tokens: 'max_completion_tokens' }, fixed: { max_completion_tokens: 1500 } },
])('a budget bounds an answer by what the rules %j make of it', async (parameters) => {
  const price = { input: 10, output: 20 }
  const big = { upstreams: [{ upstream: 'large' }], price, context: 4000, parameters }
  const small = { ...big, upstreams: [{ upstream: 'little' }], parameters: { default: { n: 1 } } }
  await open([budget({ usd: 0.03 })], { models: { small, big } })
  await expect(ask('hi', { model: 'big', max_tokens: 20 })).rejects.toMatchObject({ status: 402 })
  await expect(ask('hi', { model: 'small', max_tokens: 20 })).resolves.toBeDefined()
})

test('a budget that downgrades closes the model; a cheaper one answers, though it is no better', async () => {
  await open([budget({ usd: 0.03, of: { model: 'big' }, action: 'downgrade' })])
  // 1,000 tokens of prompt and 600 of answer are bounded by 0.0245 or so
  const first = await ask(long(HARD), { max_tokens: 600 }).withResponse()
  expect(first.response.headers.get('x-weir-model')).toBe('big')
  const second = await ask(long(HARD), { max_tokens: 600 }).withResponse()
  expect(second.response.headers.get('x-weir-model')).toBe('small')
  expect(second.response.headers.get('x-weir-failover-from')).toBe('big')
  await expect(ask(long(HARD), { model: 'big' })).rejects.toMatchObject({
    status: 402,
    code: 'model_over_budget',
  })
})

test('a budget that only tells refuses nothing', async () => {
  await open([budget({ usd: 0.01, action: 'alert', alert_at: [0.5, 1] })])
  for (let i = 0; i < 3; i++) await ask(long(HARD))
  expect(await states()).toMatchObject([{ spent_usd: 3 * BIG, refused: 0 }])
  expect(gateway!.warnings.filter((line) => line.startsWith('budget all'))).toEqual([
    expect.stringMatching(/^budget all: 50% is reached \(\$0\.0200 of \$0\.01 spent in \d/),
    expect.stringContaining('100% is reached'),
  ])
})

test('a budget counts keys, models and deciding steps, as told', async () => {
  await open(
    [
      budget({ name: 'of-a', of: { key: 'a' } }),
      budget({ name: 'of-big', of: { model: 'big' } }),
      budget({ name: 'of-a-or-b-small', of: { key: ['a', 'b'], model: ['small'] } }),
      budget({ name: 'of-learned', of: { route: 'learned' } }),
    ],
    {},
    {
      keys: [
        { name: 'a', sha256: keyHash('key-a') },
        { name: 'b', sha256: keyHash('key-b') },
      ],
    },
  )
  await gateway!.client
    .withOptions({ apiKey: 'key-a' })
    .chat.completions.create({ model: 'weir', messages: user(long(HARD)) as never })
  await gateway!.client
    .withOptions({ apiKey: 'key-b' })
    .chat.completions.create({ model: 'small', messages: user(long(HARD)) as never })
  expect((await states()).map(({ name, spent_usd }) => [name, spent_usd])).toEqual([
    ['of-a', BIG],
    ['of-big', BIG],
    ['of-a-or-b-small', SMALL],
    ['of-learned', BIG],
  ])
})

describe('an attempt that fails', () => {
  test('or never goes out, as a circuit breaker is open, holds nothing', async () => {
    await open([budget()], { breaker: { failures: 1, open_ms: 60_000 } })
    gateway!.big.otherwise = 'error_500'
    await expect(ask(long(HARD))).rejects.toMatchObject({ status: 502 })
    await expect(ask(long(HARD))).rejects.toMatchObject({ status: 503 })
    expect(await states()).toMatchObject([{ spent_usd: 0, held_usd: 0 }])
  })

  for (const behaviour of ['error_500', 'rate_limit', 'bad_request', 'unauthorized'] as const) {
    test(`is given back where the upstream did no work: ${behaviour}`, async () => {
      await open([budget()])
      gateway!.big.otherwise = behaviour
      await expect(ask(long(HARD))).rejects.toThrow()
      expect(await states()).toMatchObject([{ spent_usd: 0, held_usd: 0 }])
    })
  }

  for (const behaviour of ['reset', 'wrong_json', 'html'] as const) {
    test(`counts at its upper bound where it may have been billed: ${behaviour}`, async () => {
      await open([budget()])
      gateway!.big.otherwise = behaviour
      await expect(ask(long(HARD), { max_tokens: 1000 })).rejects.toThrow()
      const [state] = await states()
      // 1,000 tokens of answer at 20, and 1,200 bytes and a bit of prompt at 10
      expect(state!.spent_usd).toBeGreaterThan(0.02 + 0.012)
      expect(state!.spent_usd).toBeLessThan(0.02 + 0.015)
      expect(state!.held_usd).toBe(0)
    })
  }
})

describe('a stream', () => {
  const read = async (more: object = {}) => {
    const stream = await gateway!.client.chat.completions.create({
      model: 'weir',
      messages: user(long(HARD)) as [{ role: 'user'; content: string }],
      stream: true,
      max_tokens: 1000,
      ...more,
    })
    for await (const _ of stream as AsyncIterable<unknown>);
  }

  test('is settled at what was counted in its last event', async () => {
    await open([budget()])
    await read()
    expect(await states()).toMatchObject([{ spent_usd: BIG, held_usd: 0 }])
  })

  test('that was cut counts at its upper bound', async () => {
    await open([budget()])
    gateway!.big.script.push('cut_late')
    await expect(read()).rejects.toThrow()
    const [state] = await states()
    expect(state!.spent_usd).toBeGreaterThan(0.02 + 0.012)
    expect(state!.held_usd).toBe(0)
  })

  test('is held while it lasts', async () => {
    await open([budget({ usd: 0.05 })])
    gateway!.big.script.push('stall_late')
    const stopped = new AbortController()
    const stream = await gateway!.client.chat.completions.create(
      {
        model: 'weir',
        messages: user(long(HARD)) as [{ role: 'user'; content: string }],
        stream: true,
        max_tokens: 1000,
      },
      { signal: stopped.signal },
    )
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    expect((await states())[0]!.held_usd).toBeGreaterThan(0.03)
    await expect(ask(long(HARD), { max_tokens: 1000 })).rejects.toMatchObject({
      status: 402,
      headers: expect.anything(),
      message: expect.stringContaining('is taken up by answers under way'),
    })
    stopped.abort()
    await expect.poll(async () => (await states())[0]!.held_usd).toBe(0)
    expect((await states())[0]!.spent_usd).toBeGreaterThan(0.03)
  })
})

test('many at once never pass the budget, and their costs add up', async () => {
  await open([budget({ usd: 0.3, per: 'total' })])
  const results = await Promise.allSettled(
    Array.from({ length: 40 }, () => ask(long(HARD), { max_tokens: 600 })),
  )
  const answered = results.filter(({ status }) => status === 'fulfilled').length
  expect(answered).toBeGreaterThan(5)
  expect(answered).toBeLessThanOrEqual(0.3 / BIG)
  expect(gateway!.big.received.length).toBe(answered)
  const [state] = await states()
  expect(state!.spent_usd).toBeCloseTo(answered * BIG, 9)
  expect(state!.refused).toBe(40 - answered)
})

test('a cost above its bound is counted whole and told', async () => {
  await open([budget()])
  // 1,000 tokens of prompt are counted where 5 bytes were sent
  await ask(EASY, { max_tokens: 500 })
  expect(await states()).toMatchObject([{ spent_usd: SMALL }])
  expect(gateway!.warnings).toContainEqual(expect.stringContaining('small was billed $0.002'))
})

test('metrics show each budget', async () => {
  await open([budget({ name: 'day', usd: 0.04 })])
  await ask(long(HARD), { max_tokens: 600 })
  await expect(ask(long(HARD))).rejects.toThrow()
  const text = await gateway!.services.metrics!.registry.metrics()
  expect(text).toContain('weir_budget_used_ratio{budget="day"} 0.5')
  expect(text).toContain('weir_budget_refused_total{budget="day"} 1')
})

describe('a webhook', () => {
  /** A receiver that fails so many times first. */
  async function receiver(failures: number) {
    const bodies: Record<string, unknown>[] = []
    let left = failures
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const part of request) text += String(part)
      if (left-- > 0) {
        response.writeHead(503).end()
        return
      }
      bodies.push(JSON.parse(text))
      response.writeHead(204).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}/hook?token=t`,
      bodies,
      close: () => new Promise((resolve) => server.close(resolve)),
    }
  }

  test('is told of each level once, and that requests are refused', async () => {
    const hook = await receiver(0)
    await open([budget({ usd: 0.04, alert_at: [0.4], webhook: hook.url })])
    await ask(long(HARD), { max_tokens: 600 })
    await expect(ask(long(HARD))).rejects.toThrow()
    await expect(ask(long(HARD))).rejects.toThrow()
    await expect.poll(() => hook.bodies.length).toBe(2)
    expect(hook.bodies.map(({ level }) => level).sort()).toEqual([0.4, 'refusing'])
    expect(hook.bodies[0]).toMatchObject({
      object: 'budget.alert',
      budget: 'all',
      per: 'day',
      usd: 0.04,
      spent_usd: 0.02,
      action: 'stop',
    })
    await hook.close()
  })

  test('on a link-local address, or a host that is not allowed, stops the start', async () => {
    await expect(open([budget({ webhook: 'http://169.254.169.254/x' })])).rejects.toThrow(
      /gateway\.budgets\.0\.webhook: expected no link-local address/,
    )
    await expect(
      open([budget({ webhook: 'https://evil.test/x' })], { allow_hosts: ['127.0.0.1'] }),
    ).rejects.toThrow('a host of allow_hosts')
  })
})

describe('what cannot be kept stops the start', () => {
  test('a model without a price or context', async () => {
    const models = {
      small: { upstreams: [{ upstream: 'little' }] },
      big: { upstreams: [{ upstream: 'large' }] },
    }
    await expect(open([budget()], { models })).rejects.toThrow(
      /gateway\.models\.small\.price: expected it, as the budget all counts this model/,
    )
  })

  test('names that nobody has, and one name twice', async () => {
    await expect(open([budget({ of: { model: 'huge' } })])).rejects.toThrow(
      /gateway\.budgets\.0\.of\.model: expected one of small, big, got huge/,
    )
    await expect(open([budget({ of: { tier: 'gold' } })])).rejects.toThrow('got gold')
    await expect(open([budget(), budget()])).rejects.toThrow('a name of its own')
  })
})
