import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Decision } from '../../../models/decision/decision.ts'
import { type GatewayApp, gatewayApp, HARD } from '../gateway/gateway-app.ts'

const POLICY = `
version: 1
models: {small: {}, big: {}}
routes:
  code: {models: [big]}
guardrails:
  - {name: secrets, when: {keywords: [password]}, message: not here}
rules:
  - {name: code, when: {keywords: [code]}, route: code}
sticky: {margin: 1}
learned: {}
default: small
`

let folder: string
let app: GatewayApp
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-preview-'))
  await writeFile(join(folder, 'policy.yaml'), POLICY)
  app = await gatewayApp({ policy: join(folder, 'policy.yaml') })
})
afterEach(async () => {
  expect(app.bugs).toEqual([])
  await app.close()
  await rm(folder, { recursive: true })
})

const route = async (body: object): Promise<Decision> =>
  (await app.app.inject({ method: 'POST', url: '/route', payload: body })).json()
const rules = async (body: object) => (await route({ ...body, explain: true })).explanation!.rules!
const chat = (content: string, weir: object) =>
  app.app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model: 'weir', messages: [{ role: 'user', content }], weir },
  })

test('POST /route with explain says what the policy would do with the request as a chat', async () => {
  const code = await rules({ prompt: 'hello code' })
  expect(code.find(({ step }) => step === 'rule')).toEqual({
    step: 'rule',
    matched: true,
    name: 'code',
    reason: 'matched',
  })
  expect(code.at(-1)!.name).toMatch(/^policy@[0-9a-f]{12}$/)
  expect(code.at(-1)!.reason).toBe('would ask big, by rule code (matched)')
  const refused = await rules({ prompt: 'my password' })
  expect(refused.at(-1)!.reason).toMatch(/would refuse a chat: not here, by guardrail secrets/)
  const learned = await rules({ prompt: HARD })
  expect(learned.at(-1)!.reason).toBe('would ask big, then small, by learned (win_rate_reached)')
})

test('it is what a chat then gets, and asking leaves no trace in sessions', async () => {
  const weir = { session_id: 's' }
  await rules({ prompt: HARD, ...weir })
  // had the preview been remembered, the session would keep to big
  const first = await chat('hello', weir)
  expect(first.headers['x-weir-model']).toBe('small')
  const said = await rules({ prompt: HARD, ...weir })
  expect(said.at(-1)!.reason).toMatch(/^would ask small.*, by sticky/)
  const second = await chat(HARD, weir)
  expect(second.headers['x-weir-model']).toBe('small')
  expect(second.headers['x-weir-step']).toBe('sticky')
})

test('the decision itself stays the router’s, and without explain nothing is said', async () => {
  expect((await route({ prompt: 'hello code', explain: true })).model).toBe(
    (await route({ prompt: 'hello code' })).model,
  )
  expect(await route({ prompt: 'hello code' })).not.toHaveProperty('explanation')
})
