import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { keyHash } from '../../serving/router/keys.ts'
import { buildAdminApp, localBackend } from '../../serving/server/admin.ts'
import { ENDPOINTS } from '../../serving/server/console/contract.ts'
import { serverHandlers } from '../../serving/server/console/handlers.ts'
import { Sessions } from '../../serving/server/console/sessions.ts'
import { Traffic } from '../../serving/server/console/traffic.ts'
import { createReloader, type Reloader } from '../../serving/server/reloader.ts'
import { adminConsole } from '../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

const TOKEN = 'a-token-of-the-test'
const KEYS = { vera: 'key-of-a-viewer', nobody: 'key-without-a-role' }
const HOST = '127.0.0.1:8081'
const OWN = { host: HOST, origin: `http://${HOST}` }

let sample: SampleApp
let app: FastifyInstance
let reloader: Reloader
let folder: string
let traffic: Traffic
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-console-'))
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Weir</title>')
  traffic = new Traffic({ texts: 'full', now: Date.now })
  sample = await sampleApp({
    services: { observers: [traffic.observe] },
    config: () => ({
      keys: [
        { name: 'vera', sha256: keyHash(KEYS.vera), console: 'viewer' as const },
        { name: 'nobody', sha256: keyHash(KEYS.nobody) },
      ],
    }),
  })
  const { services, config } = sample
  reloader = createReloader({ fleet: services.fleet, onReload: () => {}, onNote: () => {} })
  const console = adminConsole(config, serverHandlers(services, config, traffic), Date.now)
  app = buildAdminApp(
    localBackend(services.fleet, reloader, async () => ''),
    services,
    TOKEN,
    { ...console, folder },
  )
})
afterEach(async () => {
  reloader.close()
  await app.close()
  await sample.close()
  await rm(folder, { recursive: true })
})

async function signIn(key: string): Promise<{ cookie: string; csrf: string; status: number }> {
  const payload = { key }
  const answer = await app.inject({
    method: 'POST',
    url: '/console/api/sign-in',
    headers: OWN,
    payload,
  })
  const [cookie = ''] = String(answer.headers['set-cookie'] ?? '').split(';')
  return { cookie, csrf: answer.json().csrf, status: answer.statusCode }
}

test('keys with a role and the admin token sign in, others do not', async () => {
  expect((await signIn(KEYS.vera)).status).toBe(200)
  expect((await signIn(TOKEN)).status).toBe(200)
  expect((await signIn(KEYS.nobody)).status).toBe(401)
  expect((await signIn('wrong')).status).toBe(401)
  const payload = { key: KEYS.vera }
  const answer = await app.inject({
    method: 'POST',
    url: '/console/api/sign-in',
    headers: OWN,
    payload,
  })
  expect(answer.headers['set-cookie']).toMatch(/HttpOnly; SameSite=Strict/)
  expect(answer.json()).toMatchObject({ name: 'vera', role: 'viewer', mode: 'server' })
})

test('the pages need no session, load nothing from elsewhere and run no inline script', async () => {
  const page = await app.inject({ url: '/console/', headers: { host: HOST } })
  expect(page.statusCode).toBe(200)
  const policy = String(page.headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
  expect(policy).not.toMatch(/unsafe|https?:|\*/)
  const rebound = await app.inject({ url: '/console/', headers: { host: 'attacker.example' } })
  expect(rebound.statusCode).toBe(403)
})

describe('a request', () => {
  const playground = { method: 'POST', url: '/console/api/playground' } as const
  const payload = { request: { prompt: 'hello' } }

  test('of a session needs its origin and its token', async () => {
    const { cookie, csrf } = await signIn(KEYS.vera)
    const ask = async (headers: Record<string, string>): Promise<[number, string | undefined]> => {
      const answer = await app.inject({ ...playground, payload, headers: { cookie, ...headers } })
      return [answer.statusCode, answer.json().error?.code]
    }
    expect(await ask({ ...OWN, 'x-weir-csrf': csrf })).toEqual([200, undefined])
    expect(await ask(OWN)).toEqual([403, 'csrf_missing'])
    expect(await ask({ ...OWN, 'x-weir-csrf': 'guessed' })).toEqual([403, 'csrf_missing'])
    const foreign = { host: HOST, 'x-weir-csrf': csrf }
    for (const origin of ['https://attacker.example', 'null', 'http://127.0.0.1:8080']) {
      expect(await ask({ ...foreign, origin })).toEqual([403, 'origin_not_allowed'])
    }
    expect(await ask({ ...foreign, 'sec-fetch-site': 'cross-site' })).toEqual([
      403,
      'origin_not_allowed',
    ])
  })

  test('without a session is refused at every endpoint', async () => {
    for (const [name, endpoint] of Object.entries(ENDPOINTS)) {
      const method = 'body' in endpoint ? 'POST' : 'GET'
      const answer = await app.inject({
        method,
        url: `/console/api/${name}`,
        headers: { host: HOST },
      })
      expect([401, 404], name).toContain(answer.statusCode)
    }
  })

  test('of a viewer may not do what needs an operator', async () => {
    const { cookie, csrf } = await signIn(KEYS.vera)
    const headers = { ...OWN, cookie, 'x-weir-csrf': csrf }
    const asked = { router: 'sample', threshold: 0.5 }
    const url = '/console/api/propose_threshold'
    const answer = await app.inject({ method: 'POST', url, headers, payload: asked })
    expect([answer.statusCode, answer.json().error.code]).toEqual([403, 'role_needed'])
    const text = await app.inject({ ...playground, headers, payload: { ...payload, policy: 'x' } })
    expect(text.json().error.code).toBe('role_needed')
  })

  test('ends with signing out', async () => {
    const { cookie, csrf } = await signIn(KEYS.vera)
    const headers = { ...OWN, cookie, 'x-weir-csrf': csrf }
    await app.inject({ method: 'POST', url: '/console/api/sign-out', headers, payload: {} })
    const after = await app.inject({ url: '/console/api/overview', headers: { ...OWN, cookie } })
    expect(after.json().error.code).toBe('session_needed')
  })

  test('of a program bears the key', async () => {
    const headers = { host: HOST, authorization: `Bearer ${KEYS.vera}` }
    const answer = await app.inject({ url: '/console/api/decisions?limit=5', headers })
    expect(answer.json()).toMatchObject({ rows: [], seen: 0, more: false })
    const bad = await app.inject({ url: '/console/api/decisions?limit=many', headers })
    expect(bad.statusCode).toBe(400)
  })
})

test('a playground decision is explained, and neither counted nor shown', async () => {
  const headers = { host: HOST, authorization: `Bearer ${KEYS.vera}` }
  const payload = { request: { prompt: 'prove it' } }
  const url = '/console/api/playground'
  const { decision } = (await app.inject({ method: 'POST', url, headers, payload })).json()
  expect(decision.explanation).toBeDefined()
  expect(traffic.rowsAfter(0, 10).seen).toBe(0)
})

test('decisions are counted exactly and sampled in rows', async () => {
  const { decider } = sample.services
  for (let i = 0; i < 300; i++) await decider.route({ prompt: `prompt ${i}` }, {})
  const { totals } = traffic.counts()
  expect(totals.decisions).toBe(300)
  const { rows, seen, next } = traffic.rowsAfter(0, 1000)
  expect(seen).toBe(300)
  // at most 25 of each second, and these take less than five
  expect(rows.length).toBeGreaterThan(20)
  expect(rows.length).toBeLessThan(130)
  expect(traffic.rowsAfter(next, 1000).rows).toEqual([])
})

test('a session ends when it is idle and after twelve hours, and an invitation is used once', () => {
  let now = 0
  const sessions = new Sessions(() => now)
  const cookie = sessions.start({ name: 'vera', role: 'viewer' })
  now += 59 * 60_000
  expect(sessions.of(cookie)?.name).toBe('vera')
  now += 61 * 60_000
  expect(sessions.of(cookie)).toBeUndefined()
  const code = sessions.invite({ name: 'admin', role: 'operator' })
  expect(sessions.accept(code)?.name).toBe('admin')
  expect(sessions.accept(code)).toBeUndefined()
  const late = sessions.invite({ name: 'admin', role: 'operator' })
  now += 16 * 60_000
  expect(sessions.accept(late)).toBeUndefined()
})

test('/openapi.json has each endpoint that is answered, as the table says, and no other', async () => {
  const { paths } = (await app.inject({ url: '/openapi.json', headers: { host: HOST } })).json()
  for (const [path, methods] of Object.entries(paths as Record<string, object>)) {
    for (const method of Object.keys(methods)) {
      expect(app.hasRoute({ method: method.toUpperCase() as 'GET', url: path }), path).toBe(true)
    }
  }
  const routed = Object.entries(ENDPOINTS).filter(([name, endpoint]) =>
    app.hasRoute({ method: 'body' in endpoint ? 'POST' : 'GET', url: `/console/api/${name}` }),
  )
  expect(routed.length).toBeGreaterThan(4)
  for (const [name, endpoint] of routed) {
    const { get, post } = paths[`/console/api/${name}`]
    const { summary, responses, requestBody, parameters = [] } = get ?? post
    const plain = (schema: unknown) => JSON.parse(JSON.stringify(schema))
    expect(summary).toBe(endpoint.summary)
    expect(responses[200].content['application/json'].schema).toEqual(plain(endpoint.answer))
    const body = 'body' in endpoint ? plain(endpoint.body) : undefined
    expect(requestBody?.content['application/json'].schema).toEqual(body)
    const query = 'query' in endpoint ? Object.keys(endpoint.query.properties) : []
    expect(parameters.map((each: { name: string }) => each.name)).toEqual(query)
  }
})
