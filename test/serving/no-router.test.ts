import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serveConfig } from '../../scripts/cli/serve-config.ts'
import { buildApp } from '../../serving/server/app.ts'
import { openServices, type Services } from '../../serving/server/services.ts'
import { type AnsweringUpstream, answeringUpstream } from './strategies/answering-upstream.ts'

const POLICY = `version: 1
models:
  big: {}
  small: {}
rules:
  - name: some
    when: { percent: 25 }
    route: big
default: small
`
let root: string
let upstream: AnsweringUpstream
const opened: { app: FastifyInstance; services: Services }[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-no-router-'))
  upstream = await answeringUpstream((body) => ({ text: `by ${body.model}` }))
  await writeFile(join(root, 'policy.yaml'), POLICY)
})
afterAll(async () => {
  for (const { app, services } of opened) {
    await app.close()
    await services.close()
  }
  await upstream.close()
  await rm(root, { recursive: true })
})

/** A server of a configuration file that names no router. */
async function started(gateway: object): Promise<FastifyInstance> {
  const file = join(root, 'weir.json')
  const model = { upstreams: [{ upstream: 'one' }] }
  const section = {
    upstreams: { one: { base_url: upstream.url } },
    models: { big: model, small: model },
    ...gateway,
  }
  await writeFile(file, JSON.stringify({ max_lag_ms: 60_000, gateway: section }))
  const services = await openServices(await serveConfig([], { config: file }), {
    environment: {},
    onBug: (error) => {
      throw error
    },
    onWarning: () => {},
  })
  const app = buildApp(services)
  opened.push({ app, services })
  return app
}

const chat = (app: FastifyInstance, model: string) =>
  app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model, messages: [{ role: 'user', content: `Hello ${model}` }] },
  })

test('a gateway without a trained router is ready, and answers for named models', async () => {
  const app = await started({})
  expect((await app.inject('/ready')).statusCode).toBe(200)
  expect((await chat(app, 'small')).json().choices[0].message.content).toBe('by small')
  const refused = await chat(app, 'weir')
  expect(refused.statusCode).toBe(404)
  expect(refused.json().error).toMatchObject({
    code: 'model_not_served',
    message: 'no model named weir; this gateway has: big, small',
  })
  const routed = await app.inject({ method: 'POST', url: '/route', payload: { prompt: 'x' } })
  expect(routed.statusCode).toBe(404)
  expect(routed.json().error.message).toContain('started without a trained router')
  const { data } = (await app.inject('/v1/models')).json() as { data: { id: string }[] }
  expect(data.map(({ id }) => id)).toEqual(['big', 'small'])
  expect((await app.inject('/metrics')).statusCode).toBe(200)
})

test('a policy routes by rules and a fixed share, with the propensity of each', async () => {
  const app = await started({ policy: join(root, 'policy.yaml') })
  const answers = await Promise.all(Array.from({ length: 60 }, () => chat(app, 'weir')))
  const big = answers.filter((answer) => answer.headers['x-weir-rule'] === 'some').length
  expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true)
  expect(big).toBeGreaterThan(2)
  expect(big).toBeLessThan(35)
})

test('neither a router nor a gateway is refused, and so are names of routers that are not there', async () => {
  await expect(serveConfig([], {})).rejects.toThrow(/routers: expected a bundle of weir train, or/)
  const config = { routers: [], default: 'demo', gateway: { upstreams: {}, models: {} } }
  await expect(
    openServices(config, { environment: {}, onBug: () => {}, onWarning: () => {} }),
  ).rejects.toThrow(/default: expected the name of a router/)
})
