import { request } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  chunk,
  completion,
  JSON_TYPE,
  type RawAnswer,
  type RawUpstream,
  rawUpstream,
  SSE,
  sse,
} from '../upstreams/raw-upstream.ts'
import { type GatewayApp, gatewayApp, user } from './gateway-app.ts'

let upstream: RawUpstream
let gateway: GatewayApp
beforeAll(async () => {
  upstream = await rawUpstream()
})
beforeEach(async () => {
  upstream.received.length = 0
  // a new one for each test: what an upstream said holds for a while
  gateway = await gatewayApp({
    upstreams: { raw: { base_url: upstream.url } },
    models: {
      big: { upstreams: [{ upstream: 'raw' }], price: { input: 1, output: 2 } },
      small: { upstreams: [{ upstream: 'raw' }], price: { input: 1, output: 2 } },
    },
    retry_budget: 1,
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await gateway.close()
})
afterAll(() => upstream.close())

const ask = (more: object = {}): Promise<Response> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: JSON.stringify({ model: 'big', messages: user('hi'), ...more }),
  })
const refusing =
  (
    status: number,
    headers: Record<string, string> = {},
    error: object = { message: 'no' },
  ): RawAnswer =>
  (response) =>
    response.writeHead(status, { ...JSON_TYPE, ...headers }).end(JSON.stringify({ error }))
const fine: RawAnswer = (response) =>
  response.writeHead(200, JSON_TYPE).end(JSON.stringify(completion('ok')))

describe('whether a client should ask again is said', () => {
  test.each<[string, RawAnswer, object, number, number, string | null]>([
    ['no: its request is refused', refusing(400), {}, 400, 1, 'false'],
    ['no: our key is refused', refusing(401), {}, 502, 1, 'false'],
    [
      'no: our account has no credit',
      refusing(429, {}, { message: 'no', code: 'insufficient_quota' }),
      {},
      502,
      1,
      'false',
    ],
    ['no: we have asked three times', refusing(500), {}, 502, 3, 'false'],
    ['no: its deadline has passed', () => {}, { weir: { deadline_ms: 150 } }, 504, 1, 'false'],
    ['yes, later: a rate limit', refusing(429, { 'retry-after': '30' }), {}, 429, 1, null],
  ])('%s', async (_, answer, more, status, calls, said) => {
    upstream.answer = answer
    const response = await ask(more)
    expect(response.status).toBe(status)
    expect(response.headers.get('x-should-retry')).toBe(said)
    expect(upstream.received).toHaveLength(calls)
    expect(response.headers.get('x-weir-attempts')).toBe(String(calls))
  })
})

describe('a rate limit', () => {
  const once =
    (headers: Record<string, string>): RawAnswer =>
    (response, its, nth) =>
      (nth === 1 ? refusing(429, headers) : fine)(response, its, nth)

  test('that passes soon is waited for', async () => {
    upstream.answer = once({ 'retry-after-ms': '300' })
    const started = performance.now()
    expect((await ask()).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThan(290)
    expect(upstream.received).toHaveLength(2)
  })

  test('is not waited for by a client without patience', async () => {
    upstream.answer = once({ 'retry-after-ms': '900' })
    const response = await ask({ weir: { rate_limit_wait_ms: 0 } })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '1'])
    expect(upstream.received).toHaveLength(1)
  })

  test('is told to all who come before it has passed, with the time that is left', async () => {
    upstream.answer = refusing(429, { 'retry-after': '30' })
    expect((await ask()).headers.get('retry-after')).toBe('30')
    const real = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => real() + 20_000)
    const later = await ask()
    expect(later.status).toBe(429)
    expect(Number(later.headers.get('retry-after'))).toBeLessThanOrEqual(10)
    expect(Number(later.headers.get('retry-after'))).toBeGreaterThan(5)
    expect(upstream.received).toHaveLength(1)
  })
})

test('a stream tells its cost in a trailer', async () => {
  const usage = { prompt_tokens: 1000, completion_tokens: 500 }
  upstream.answer = (response) =>
    response
      .writeHead(200, SSE)
      .end(sse(chunk({ content: 'a' }), chunk({}, 'stop'), chunk({}, null, { usage }), '[DONE]'))
  const trailers = await new Promise<NodeJS.Dict<string>>((resolve, reject) => {
    const asked = request(
      `${gateway.url}/v1/chat/completions`,
      { method: 'POST', headers: JSON_TYPE },
      (answer) => {
        expect(answer.headers.trailer).toBe('x-weir-cost-usd')
        answer.resume().on('end', () => resolve(answer.trailers))
      },
    )
    asked.on('error', reject)
    asked.end(JSON.stringify({ model: 'big', stream: true, messages: user('hi') }))
  })
  expect(trailers).toEqual({ 'x-weir-cost-usd': '0.00200000' })
})

test('after ten seconds of nothing but comments the client gets them', async () => {
  const real = performance.now.bind(performance)
  let ahead = 0
  vi.spyOn(performance, 'now').mockImplementation(() => real() + ahead)
  let write: (text: string) => void = () => {}
  const asked = new Promise<void>((resolve) => {
    upstream.answer = (response) => {
      response.writeHead(200, SSE).write(': one\n\n')
      write = (text) => response.write(text)
      resolve()
    }
  })
  let answered = false
  const answer = ask({ stream: true }).finally(() => {
    answered = true
  })
  await asked
  write(': two\n\n')
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(answered).toBe(false)
  ahead = 10_500
  write(': three\n\n')
  const reader = (await answer).body!.getReader()
  expect(Buffer.from((await reader.read()).value!).toString()).toBe(': one\n\n: two\n\n: three\n\n')
  write(sse(chunk({ content: 'a' }), chunk({}, 'stop'), '[DONE]'))
  let rest = ''
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    rest += Buffer.from(next.value).toString()
  }
  expect(rest).toContain('"content":"a"')
  expect(upstream.received).toHaveLength(1)
})
