import { afterEach, describe, expect, test } from 'vitest'
import { keyHash } from '../../serving/router/keys.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { assertReachable } from '../../serving/server/run-server.ts'
import { RateLimit } from '../../serving/state/rate-limit.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp | undefined
afterEach(async () => {
  await sample?.close()
  sample = undefined
})

const post = (headers: Record<string, string> = {}, payload: object = { prompt: 'why' }) =>
  sample!.app.inject({ method: 'POST', url: '/route', headers, payload })
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

describe('keys', () => {
  const config = (): Partial<ServeConfig> => ({
    keys: [
      { name: 'app', sha256: keyHash('app-secret') },
      { name: 'narrow', sha256: keyHash('narrow-secret'), routers: ['b'], rate_per_minute: 2 },
    ],
  })
  const open = async () => {
    sample = await sampleApp({ bundles: [{ name: 'a' }, { name: 'b' }], config })
  }

  test('let in who has one, and nobody else', async () => {
    await open()
    expect((await post(bearer('app-secret'))).statusCode).toBe(200)
    for (const [headers, code] of [
      [{}, 'key_missing'],
      [{ authorization: 'Basic app-secret' }, 'key_missing'],
      [bearer('app-secre'), 'key_unknown'],
      [bearer(keyHash('app-secret')), 'key_unknown'],
    ] as const) {
      const response = await post(headers)
      expect(response.statusCode).toBe(401)
      expect(response.headers['www-authenticate']).toBe('Bearer')
      expect(response.json().error).toMatchObject({ code, type: 'authentication_error' })
      expect(response.body).not.toContain('secre')
    }
  })

  test('guard the metrics and the model list, not the probes and the docs', async () => {
    await open()
    const status = async (url: string) => (await sample!.app.inject(url)).statusCode
    expect([await status('/metrics'), await status('/v1/models')]).toEqual([401, 401])
    for (const url of ['/health', '/ready', '/openapi.json', '/docs'])
      expect(await status(url)).toBe(200)
  })

  test('keep to the routers they are for', async () => {
    await open()
    const refused = await post(bearer('narrow-secret'), { prompt: 'why', router: 'a' })
    expect(refused.statusCode).toBe(403)
    expect(refused.json().error).toMatchObject({
      code: 'router_forbidden',
      type: 'permission_error',
    })
    expect((await post(bearer('narrow-secret'), { prompt: 'why', router: 'b' })).statusCode).toBe(
      200,
    )
    const list = await sample!.app.inject({ url: '/v1/models', headers: bearer('narrow-secret') })
    expect(list.json().data.map(({ id }: { id: string }) => id)).toEqual(['b'])
  })

  test('have a rate of their own, and say when to come back', async () => {
    await open()
    const ask = () => post(bearer('narrow-secret'), { prompt: 'why', router: 'b' })
    expect([(await ask()).statusCode, (await ask()).statusCode]).toEqual([200, 200])
    const refused = await ask()
    expect(refused.statusCode).toBe(429)
    expect(refused.headers['retry-after']).toBe('30')
    expect(refused.json().error).toMatchObject({ code: 'rate_limited', type: 'rate_limit_error' })
    expect((await post(bearer('app-secret'))).statusCode).toBe(200)
  })
})

test('a rate limit refills steadily', () => {
  let now = 0
  const limit = new RateLimit(() => now)
  const take = () => limit.take('x', 60)
  for (let i = 0; i < 60; i++) take()
  expect(take).toThrow(expect.objectContaining({ code: 'rate_limited', retryAfter: 1 }))
  now = 1000
  take()
  expect(take).toThrow('60 requests a minute')
})

test('a server that others can reach needs keys or --insecure', () => {
  const config: ServeConfig = { routers: [{ path: 'x' }] }
  const keys = [{ name: 'app', sha256: keyHash('x') }]
  for (const host of ['127.0.0.1', '127.8.8.8', '::1', 'localhost'])
    assertReachable(config, { host })
  assertReachable({ ...config, keys }, { host: '0.0.0.0' })
  assertReachable(config, { host: '0.0.0.0', insecure: true })
  for (const host of ['0.0.0.0', '::', '10.0.0.7', '127.0.0.1.example.com']) {
    expect(() => assertReachable(config, { host })).toThrow(
      expect.objectContaining({ code: 'keys_needed' }),
    )
  }
})

describe('load', () => {
  test('past the limit of requests under way is refused with 503 and Retry-After', async () => {
    let go: (() => void) | undefined
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    sample = await sampleApp({
      config: () => ({ max_in_flight: 2, deadline_ms: 0 }),
    })
    const { router } = sample
    const score = router.score
    Object.assign(router, { score: async (prompts: string[]) => gate.then(() => score(prompts)) })
    const held = [post(), post()]
    await expect.poll(() => sample!.services.gate.inFlight).toBe(2)
    const refused = await post()
    expect(refused.statusCode).toBe(503)
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.json().error).toMatchObject({ code: 'overloaded', type: 'server_error' })
    go!()
    for (const response of await Promise.all(held)) expect(response.statusCode).toBe(200)
    expect((await post()).statusCode).toBe(200)
  })

  test('is refused while the event loop is far behind, the probes are not', async () => {
    sample = await sampleApp()
    sample.services.gate.lagMs = 100_000
    expect((await post()).json().error.code).toBe('overloaded')
    expect((await sample.app.inject('/health')).statusCode).toBe(200)
  })
})

test('JSON nested too deep is refused before it is parsed', async () => {
  sample = await sampleApp()
  const deep = `${'['.repeat(100)}${']'.repeat(100)}`
  const response = await sample.app.inject({
    method: 'POST',
    url: '/route',
    headers: { 'content-type': 'application/json' },
    payload: `{"prompt": "x", "metadata": {"a": ${deep}}}`,
  })
  expect(response.json().error).toMatchObject({ code: 'too_deep' })
  const brackets = { prompt: `quote \\" and ${'[{'.repeat(500)}` }
  expect((await post({}, brackets)).statusCode).toBe(200)
})
