import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseSource } from '../../../core/yaml-source.ts'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import { policyFaults } from '../../../serving/policy/check.ts'
import { keyHash } from '../../../serving/router/keys.ts'
import { type GatewayApp, gatewayApp, user } from '../gateway/gateway-app.ts'

let folder: string
let gateway: GatewayApp | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-policy-budget-'))
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  rmSync(folder, { recursive: true, force: true })
})

const policy = (budgets: string, more = '') => `
version: 1
models: { big: {}, small: {} }
keys:
  shop: { tier: free }
  lab: { tier: paid }
rules:
  - { name: hard, when: { keywords: [prove] }, route: big }
budgets:
${budgets}
${more}
default: small
`

const path = () => join(folder, 'policy.yaml')

async function open(text: string, more: Partial<GatewayConfig> = {}) {
  writeFileSync(path(), text)
  const price = { input: 1, output: 2 }
  gateway = await gatewayApp(
    {
      policy: path(),
      models: {
        small: { upstreams: [{ upstream: 'little' }], price, context: 4000 },
        big: {
          upstreams: [{ upstream: 'large' }],
          price: { input: 10, output: 20 },
          context: 4000,
        },
      },
      retry_budget: 0,
      ...more,
    },
    {
      log: { folder: join(folder, 'log') },
      keys: ['shop', 'lab'].map((name) => ({ name, sha256: keyHash(`key-${name}`) })),
    },
  )
}

/** Asks for 600 tokens at most, and is answered with 500; tells which model, or what went wrong. */
async function ask(key: string, content = 'prove it') {
  const response = await fetch(`${gateway!.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer key-${key}` },
    body: JSON.stringify({
      model: 'weir',
      max_tokens: 600,
      messages: user(content.padEnd(1200, ' .')),
    }),
  })
  const body = (await response.json()) as { error?: { message: string } }
  const { headers, status } = response
  return {
    status,
    model: headers.get('x-weir-model'),
    rule: headers.get('x-weir-rule'),
    step: headers.get('x-weir-step'),
    retryAfter: headers.get('retry-after'),
    message: body.error?.message,
  }
}

test('a model that a budget has closed is closed before any step decides', async () => {
  await open(
    policy(
      '  - { name: free, usd: 0.03, per: day, of: { tier: free, model: big }, then: downgrade }',
    ),
  )
  expect(await ask('shop')).toMatchObject({ model: 'big', rule: 'hard' })
  // the rule's own route has nothing left, so that the default decides
  expect(await ask('shop')).toMatchObject({ model: 'small', step: 'default' })
  // another tier has its own money
  expect(await ask('lab')).toMatchObject({ model: 'big', rule: 'hard' })
})

test('where budgets leave no model the request is refused with 402 until the period ends', async () => {
  await open(policy('  - { name: all, usd: 0.03, per: day, then: downgrade }'))
  expect(await ask('shop')).toMatchObject({ model: 'big' })
  for (let i = 0; i < 3; i++) expect(await ask('shop')).toMatchObject({ model: 'small' })
  const refused = await ask('shop', `prove ${'it '.repeat(3000)}`)
  expect(refused).toMatchObject({ status: 402 })
  expect(refused.message).toContain('the budget all of $0.03 a day has too little left')
  expect(Number(refused.retryAfter)).toBeGreaterThan(0)
})

test('a budget that stops is not worked around', async () => {
  await open(policy('  - { name: big, usd: 0.03, per: month, of: { route: hard }, then: stop }'))
  expect(await ask('shop')).toMatchObject({ model: 'big' })
  expect(await ask('shop')).toMatchObject({ status: 402 })
  expect(await ask('shop', 'hello')).toMatchObject({ model: 'small', step: 'default' })
})

test('nor is one that stops a model alone', async () => {
  await open(policy('  - { name: big, usd: 0.03, per: total, of: { model: big }, then: stop }'))
  expect(await ask('shop')).toMatchObject({ model: 'big' })
  expect(await ask('shop')).toMatchObject({ status: 402, model: null, retryAfter: null })
})

test('a reload changes budgets and keeps what they have spent; one that cannot be served is refused', async () => {
  await open(policy('  - { name: all, usd: 0.03, per: day, of: { model: big }, then: downgrade }'))
  await ask('shop')
  expect(await ask('shop')).toMatchObject({ model: 'small' })
  writeFileSync(
    path(),
    policy('  - { name: all, usd: 0.06, per: day, of: { model: big }, then: downgrade }'),
  )
  await gateway!.services.policies!.reload('a test')
  expect(await ask('shop')).toMatchObject({ model: 'big' })
  writeFileSync(
    path(),
    policy('  - { name: all, usd: 9, per: day, webhook: "http://169.254.169.254/", then: stop }'),
  )
  await expect(gateway!.services.policies!.reload('a test')).rejects.toThrow(
    /policy policy: budgets\.0\.webhook: expected no link-local/,
  )
  expect((await gateway!.services.budgets!.report()).budgets).toMatchObject([
    { name: 'all', usd: 0.06, spent_usd: 0.04 },
  ])
})

test('faults of budgets are told by line', () => {
  const text = policy(
    [
      '  - { name: a, usd: 1, per: day, of: { model: huge }, then: stop }',
      '  - { name: a, usd: 1, per: day, of: { tier: [free, gold] }, then: stop }',
      '  - { name: b, usd: 1, per: day, of: { route: herd }, then: stop }',
    ].join('\n'),
  )
  const faults = policyFaults(parseSource(text, 'p.yaml'))
  expect(faults.map(({ line, field, got }) => [line, field, got])).toEqual([
    [11, 'budgets.1.name', 'a'],
    [10, 'budgets.0.of.model', 'huge'],
    [11, 'budgets.1.of.tier.1', 'gold'],
    [12, 'budgets.2.of.route', 'herd'],
  ])
  const shape = policyFaults(
    parseSource(policy('  - { name: a, usd: 0, per: week, then: stop }'), 'p.yaml'),
  )
  expect(shape.map(({ line }) => line)).toEqual([10])
})
