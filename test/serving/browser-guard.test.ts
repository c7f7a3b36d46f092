import fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { weirRouter } from '../../serving/fastify.ts'
import { keyHash } from '../../serving/router/keys.ts'
import { buildApp } from '../../serving/server/app.ts'
import { listen } from '../../serving/server/run-server.ts'
import { loadSample, type SampleApp, sampleApp } from './sample-app.ts'

const PAGE = 'http://localhost:5173'
const CORS = { origins: [PAGE, 'https://App.example.com:443', 'chrome-extension://abc'] }
const KEY = { authorization: 'Bearer right' }

const opened: SampleApp[] = []
const open = async (config: object = {}): Promise<SampleApp> => {
  const app = await sampleApp({ config: () => config })
  opened.push(app)
  return app
}
let plain: SampleApp
let cors: SampleApp
let keyed: SampleApp
beforeAll(async () => {
  const keys = [{ name: 'k', sha256: keyHash('right') }]
  plain = await open()
  cors = await open({ cors: CORS, hosts: ['weir.internal', 'proxy:8443'] })
  keyed = await open({ cors: { origins: [PAGE] }, keys })
})
afterAll(async () => {
  for (const app of opened) await app.close()
})

const ask = (
  { app }: Pick<SampleApp, 'app'>,
  headers: Record<string, string> = {},
  url = '/route',
) => app.inject({ method: 'POST', url, headers, payload: { prompt: 'x' } })

const preflight = (
  { app }: Pick<SampleApp, 'app'>,
  url: string,
  origin: string,
  headers: Record<string, string> = {},
) =>
  app.inject({
    method: 'OPTIONS',
    url,
    headers: { origin, 'access-control-request-method': 'POST', ...headers },
  })

describe('a server on this machine without keys', () => {
  test('answers programs on it, by any of its names', async () => {
    const names = ['localhost', 'localhost:8080', 'LOCALHOST:1', '127.0.0.1:8080', '127.9.9.9']
    for (const host of [...names, '[::1]:8080', 'weir.localhost:8080', '']) {
      expect([host, (await ask(plain, { host })).statusCode]).toEqual([host, 200])
    }
  })

  test('refuses a foreign Host, whichever the endpoint', async () => {
    const foreign = ['attacker.example', 'attacker.example:8080', '127.0.0.1.nip.io', '10.0.0.1']
    for (const host of [
      ...foreign,
      'localhost.attacker.example',
      '0.0.0.0',
      '[::2]',
      'x localhost',
    ]) {
      for (const url of [
        '/route',
        '/route/batch',
        '/feedback',
        '/v1/chat/completions',
        '/nothing',
      ]) {
        const answer = await ask(plain, { host }, url)
        expect([host, url, answer.statusCode]).toEqual([host, url, 403])
        expect(answer.json().error.code).toBe('host_not_allowed')
      }
      const { statusCode } = await plain.app.inject({ url: '/metrics', headers: { host } })
      expect(statusCode).toBe(403)
    }
  })

  test('answers the names that its configuration lists', async () => {
    for (const host of ['weir.internal', 'weir.internal:9', 'Weir.Internal', 'proxy:8443']) {
      expect([host, (await ask(cors, { host })).statusCode]).toEqual([host, 200])
    }
    expect((await ask(cors, { host: 'proxy:8444' })).statusCode).toBe(403)
    expect((await ask(cors, { host: 'proxy' })).statusCode).toBe(403)
  })

  test('refuses every page that is not listed, and names what would list it', async () => {
    for (const origin of [
      'https://attacker.example',
      'null',
      'http://localhost:8080',
      `${PAGE}1`,
    ]) {
      for (const app of [plain, cors]) {
        const answer = await ask(app, { origin })
        expect([origin, answer.statusCode]).toEqual([origin, 403])
        expect(answer.json().error).toMatchObject({
          code: 'origin_not_allowed',
          message: expect.stringContaining('cors.origins'),
        })
        expect(answer.headers['access-control-allow-origin']).toBeUndefined()
        expect((await preflight(app, '/route', origin)).statusCode).toBe(403)
      }
    }
    expect((await ask(plain, { origin: PAGE })).statusCode).toBe(403)
  })

  test('has no limit without keys or with --insecure, whose server has names of its own', async () => {
    const insecure = buildApp(plain.services, { insecure: true })
    const answer = await ask({ app: insecure }, { host: 'weir.example' })
    expect(answer.statusCode).toBe(200)
    await insecure.close()
  })
})

describe('a page that is listed', () => {
  const endpoints = [
    '/route',
    '/route/batch',
    '/feedback',
    '/v1/models',
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/embeddings',
  ]
  test.each(endpoints)('may ask %s with the headers of any client', async (url) => {
    for (const app of [cors, keyed]) {
      const asked = 'authorization,content-type,x-stainless-os,x-my-own'
      const answer = await preflight(app, url, PAGE, {
        'access-control-request-headers': asked,
        'access-control-request-private-network': 'true',
      })
      expect(answer.statusCode).toBe(204)
      expect(answer.body).toBe('')
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': PAGE,
        'access-control-allow-headers': asked,
        'access-control-allow-methods': 'GET, POST, OPTIONS',
        'access-control-allow-private-network': 'true',
        vary: 'Origin',
      })
    }
  })

  test('may read answers and refusals', async () => {
    for (const origin of [PAGE, 'https://app.example.com', 'chrome-extension://abc']) {
      const answer = await ask(cors, { origin })
      expect([origin, answer.statusCode]).toEqual([origin, 200])
      expect(answer.headers['access-control-allow-origin']).toBe(origin)
      expect(answer.headers['access-control-expose-headers']).toContain('x-weir-id')
    }
    const refused = await cors.app.inject({
      method: 'POST',
      url: '/route',
      headers: { origin: PAGE },
      payload: {},
    })
    expect(refused.statusCode).toBe(400)
    expect(refused.headers['access-control-allow-origin']).toBe(PAGE)
  })

  test('still needs a key where the server asks for one', async () => {
    const without = await ask(keyed, { origin: PAGE })
    expect([without.statusCode, without.headers['access-control-allow-origin']]).toEqual([
      401,
      PAGE,
    ])
    expect((await ask(keyed, { ...KEY, origin: PAGE })).statusCode).toBe(200)
    // another page has no key; a program behind one has
    const other = await ask(keyed, { ...KEY, origin: 'https://other.example' })
    expect(other.statusCode).toBe(200)
    expect(other.headers['access-control-allow-origin']).toBeUndefined()
    expect((await preflight(keyed, '/route', 'https://other.example')).statusCode).toBe(403)
  })

  test('reads answers that are written past the framework', async () => {
    const app = buildApp(cors.services)
    const url = await listen(app, { host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${url}/route`, {
      method: 'POST',
      headers: { origin: PAGE, 'content-type': 'application/json' },
      body: '{"prompt": "x"}',
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(await answer.json()).toMatchObject({ object: 'routing.decision' })
    await app.close()
  })
})

test('every page may be listed where there are keys, and not where there are none', async () => {
  await expect(open({ cors: { origins: ['*'] } })).rejects.toThrow(
    'cors.origins: expected origins one by one',
  )
  const keys = [{ name: 'k', sha256: keyHash('right') }]
  const everyone = await open({ cors: { origins: ['*'] }, keys })
  const answer = await ask(everyone, { ...KEY, origin: 'https://any.example' })
  expect([answer.statusCode, answer.headers['access-control-allow-origin']]).toEqual([200, '*'])
})

test.each([
  'app.example.com',
  'https://a.example/',
  'https://a.example/x',
  'https://*.example',
  '',
])('the origin %j is refused at the start', async (origin) => {
  await expect(open({ cors: { origins: [origin] } })).rejects.toThrow('cors.origins')
})

test('in a host application a listed page is answered, and the host decides about others', async () => {
  const host = fastify()
  const { config } = plain
  await host.register(weirRouter, {
    prefix: '/ai',
    config: { ...config, cors: { origins: [PAGE] } },
    load: loadSample,
  })
  expect((await preflight({ app: host }, '/ai/route', PAGE)).statusCode).toBe(204)
  const answer = await ask({ app: host }, { origin: PAGE }, '/ai/route')
  expect([answer.statusCode, answer.headers['access-control-allow-origin']]).toEqual([200, PAGE])
  const own = await ask(
    { app: host },
    { origin: 'http://shop.example', host: 'shop.example' },
    '/ai/route',
  )
  expect(own.statusCode).toBe(200)
  await host.close()
})
