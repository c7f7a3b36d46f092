import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { GatewayRecord } from '../../../records/decision-record.ts'
import { readDecisionLog } from '../../../records/log-reader.ts'
import { keyHash } from '../../../serving/router/keys.ts'
import { EASY, type GatewayApp, gatewayApp, user } from './gateway-app.ts'

let app: GatewayApp
let folder: string
afterEach(async () => {
  await app.close()
  await rm(folder, { recursive: true })
})

const keys = [
  { name: 'app', sha256: keyHash('app-secret') },
  { name: 'narrow', sha256: keyHash('narrow-secret'), routers: ['other'] },
  { name: 'embeds', sha256: keyHash('embeds-secret'), routers: ['other'], models: ['big'] },
]

async function open(policy?: string): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'weir-refused-'))
  const path = join(folder, 'policy.yaml')
  if (policy !== undefined) await writeFile(path, policy)
  app = await gatewayApp(policy === undefined ? {} : { policy: path }, {
    keys,
    log: { folder: join(folder, 'log'), text: 'full' },
    aliases: { other: 'sample' },
  })
}

const post = (url: string, payload: object, key = 'app-secret') =>
  app.app.inject({ method: 'POST', url, payload, headers: { authorization: `Bearer ${key}` } })

/** The metric of gateway requests; then the log's lines, once the server is closed. */
async function told(): Promise<{ metric: string[]; lines: GatewayRecord[] }> {
  const headers = { authorization: 'Bearer app-secret' }
  const metrics = (await app.app.inject({ url: '/metrics', headers })).body
  const metric = metrics.split('\n').filter((row) => row.startsWith('weir_gateway_requests_total{'))
  await app.close()
  const lines: GatewayRecord[] = []
  for await (const { record } of readDecisionLog(join(folder, 'log'))) {
    if (record.object === 'gateway') lines.push(record)
  }
  return { metric, lines }
}

const counted = (endpoint: string, step: string, code: string, n = 1): string =>
  `weir_gateway_requests_total{endpoint="${endpoint}",model="none",step="${step}",code="${code}"} ${n}`

describe('a request that is refused while it is planned has one log line and one count, with the reason:', () => {
  test.each([
    ['a model that nobody serves', { model: 'nobody' }, 404, 'model_not_served', 'app-secret'],
    [
      'a router that the key may not use',
      { model: 'weir/sample' },
      403,
      'router_forbidden',
      'narrow-secret',
    ],
    [
      'a model, by a key that is held to routers',
      { model: 'big' },
      403,
      'router_forbidden',
      'narrow-secret',
    ],
    [
      'a stream of a model that nobody serves',
      { model: 'nobody', stream: true },
      404,
      'model_not_served',
      'app-secret',
    ],
  ])('%s', async (_, body, status, code, key) => {
    await open()
    const asked = { messages: user(EASY), ...body }
    expect((await post('/v1/chat/completions', asked, key)).statusCode).toBe(status)
    const { metric, lines } = await told()
    expect(metric).toEqual([counted('chat', 'none', code)])
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      endpoint: 'chat',
      asked: asked.model,
      key: key.split('-')[0],
      step: 'none',
      reason: code,
      strategy: 'refuse',
      targets: [],
      model: null,
      attempts: [],
      status,
      code,
    })
    // what was too long to be read is not kept either
    expect(JSON.stringify(lines[0]).length).toBeLessThan(1000)
    expect(app.bugs).toEqual([])
  })

  test('a name that a policy file does not know', async () => {
    await open('version: 1\nmodels: { small: {}, big: {} }\ndefault: small\n')
    const body = { model: 'nobody', messages: user(EASY) }
    expect((await post('/v1/chat/completions', body)).statusCode).toBe(404)
    const { metric, lines } = await told()
    expect(metric).toEqual([counted('chat', 'none', 'model_not_served')])
    expect(lines.map(({ status, code }) => [status, code])).toEqual([[404, 'model_not_served']])
  })

  test('what a policy file refuses', async () => {
    const guardrails = '[{ name: no-bombs, when: { keywords: [bomb] }, message: Not here. }]'
    await open(
      `version: 1\nmodels: { small: {}, big: {} }\nguardrails: ${guardrails}\ndefault: small\n`,
    )
    const body = { model: 'weir', messages: user('a bomb') }
    expect((await post('/v1/chat/completions', body)).statusCode).toBe(403)
    const { metric, lines } = await told()
    expect(metric).toEqual([counted('chat', 'guardrail', 'policy_refused')])
    expect(lines.map(({ step, rule, code }) => [step, rule, code])).toEqual([
      ['guardrail', 'no-bombs', 'policy_refused'],
    ])
  })

  test.each(['embeddings', 'responses'])(
    '%s of a key that is held to routers',
    async (endpoint) => {
      await open()
      const body = { model: 'big', input: 'x' }
      expect((await post(`/v1/${endpoint}`, body, 'narrow-secret')).statusCode).toBe(403)
      const { metric, lines } = await told()
      expect(metric).toEqual([counted(endpoint, 'none', 'router_forbidden')])
      expect(lines).toEqual([
        expect.objectContaining({ endpoint, key: 'narrow', status: 403, code: 'router_forbidden' }),
      ])
    },
  )
})

test('a key that is held to routers may name the models that it lists, and no others', async () => {
  await open()
  const status = async (path: string, body: object): Promise<number> =>
    (await post(path, body, 'embeds-secret')).statusCode
  expect(await status('/v1/embeddings', { model: 'big', input: 'x' })).toBe(200)
  expect(await status('/v1/chat/completions', { model: 'big', messages: user(EASY) })).toBe(200)
  expect(await status('/v1/embeddings', { model: 'small', input: 'x' })).toBe(403)
})

test.each([
  ['no key', {}, { model: 'weir', messages: user(EASY) }, 401],
  ['a field of the wrong kind', { authorization: 'Bearer app-secret' }, { model: 1 }, 400],
])(
  'what is refused before it is planned has an id too: %s',
  async (_, headers, payload, status) => {
    await open()
    const url = '/v1/chat/completions'
    const answer = await app.app.inject({ method: 'POST', url, payload, headers })
    expect(answer.statusCode).toBe(status)
    const { 'x-weir-id': id, 'x-request-id': other } = answer.headers
    expect(id).toMatch(/^\S{16,}$/)
    expect(other).toBe(id)
  },
)
