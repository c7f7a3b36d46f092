import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseSource } from '../../../core/yaml-source.ts'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import { policyFaults } from '../../../serving/policy/check.ts'
import { keyHash } from '../../../serving/router/keys.ts'
import { type GatewayApp, gatewayApp, user } from '../gateway/gateway-app.ts'
import { budget } from './budget.ts'

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

async function open(
  text: string,
  more: Partial<GatewayConfig> = {},
  served: Pick<GatewayConfig, 'policy' | 'policies'> = { policy: path() },
) {
  writeFileSync(path(), text)
  const price = { input: 1, output: 2 }
  gateway = await gatewayApp(
    {
      ...served,
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

test('an explanation asks budgets and changes nothing; the chat it explains is counted', async () => {
  await open(policy('  - { name: big, usd: 0.001, per: day, of: { model: big }, then: downgrade }'))
  const budgets = async () => (await gateway!.services.budgets!.report()).budgets
  const warnings = () => gateway!.warnings.filter((line) => line.startsWith('budget '))
  for (let i = 0; i < 3; i++) {
    const response = await fetch(`${gateway!.url}/route`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer key-shop' },
      body: JSON.stringify({ prompt: 'prove it', explain: true }),
    })
    const { explanation } = (await response.json()) as {
      explanation: { rules: { step: string; reason?: string }[] }
    }
    const told = explanation.rules.find(({ step }) => step === 'policy')
    expect(told?.reason).toMatch(/^would ask small/)
  }
  expect(await budgets()).toMatchObject([{ spent_usd: 0, held_usd: 0, refused: 0 }])
  expect(warnings()).toEqual([])
  for (let i = 0; i < 2; i++) {
    expect(await ask('shop')).toMatchObject({ model: 'small', step: 'default' })
  }
  expect(await budgets()).toMatchObject([{ spent_usd: 0, refused: 2 }])
  expect(warnings()).toEqual([
    expect.stringMatching(/^budget big: models that do not fit are closed/),
  ])
})

test('a chat is counted once, however many policies look at it', async () => {
  const text = policy(
    '  - { name: big, usd: 0.001, per: day, of: { model: big }, then: downgrade }',
  )
  const paths = ['a', 'b'].map((name) => join(folder, `${name}.yaml`))
  for (const each of paths) writeFileSync(each, text)
  const policies = paths.map((path, i) => ({ name: `p${i}`, path, weight: 1 }))
  await open(text, {}, { policies })
  for (let i = 0; i < 4; i++) expect(await ask('shop')).toMatchObject({ model: 'small' })
  expect((await gateway!.services.budgets!.report()).budgets).toMatchObject([{ refused: 4 }])
})

test('a cached decision counts for the step or rule that made it', async () => {
  const budgets = [
    '  - { name: learned, usd: 0.05, per: day, of: { route: learned }, then: stop }',
    '  - { name: all, usd: 5, per: day, then: alert }',
  ].join('\n')
  await open(policy(budgets, 'learned: {}\ncache: { minutes: 10 }'))
  const answers: Awaited<ReturnType<typeof ask>>[] = []
  // the router sends it to the big model, at $0.02 an answer
  for (let i = 0; i < 6; i++) answers.push(await ask('shop', 'integral'))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 402, 402, 402, 402])
  expect(answers.map(({ step }) => step).slice(0, 2)).toEqual(['learned', 'cache'])
  const { budgets: states, cells } = await gateway!.services.budgets!.report()
  expect(states).toMatchObject([{ spent_usd: 0.04 }, { spent_usd: 0.04 }])
  expect(cells.map(({ route, cost_usd }) => [route, cost_usd])).toEqual([['learned', 0.04]])
})

describe('a budget of the server whose route is nobody’s', () => {
  const budgets = (...route: string[]): Partial<GatewayConfig> => ({
    budgets: [budget({ name: 'server', of: { route } })],
  })
  const mine = policy('  - { name: all, usd: 5, per: day, then: alert }')

  test('is refused at the start, with the names there are', async () => {
    await expect(open(mine, budgets('hard', 'haard'))).rejects.toThrow(
      'gateway.budgets.0.of.route: expected one of hard, model_named, sessions, sticky, learned, default, fallback, big, small, got haard',
    )
    await expect(open(mine, budgets('cache'))).rejects.toThrow(
      /of\.route: expected the rule, route or step that decided first, as a cached decision counts for it: one of hard, .*, got cache/,
    )
    await open(mine, budgets('hard', 'default'))
    expect(await ask('shop')).toMatchObject({ model: 'big' })
    expect((await gateway!.services.budgets!.report()).budgets).toMatchObject([
      { name: 'server', spent_usd: 0.02 },
      { name: 'all' },
    ])
  })

  test('is refused where there is no policy', async () => {
    await expect(open(mine, budgets('laerned'), {})).rejects.toThrow(
      'gateway.budgets.0.of.route: expected one of model_named, learned, fallback, got laerned',
    )
    await open(mine, budgets('learned', 'model_named'), {})
  })

  test('keeps a policy from being loaded that takes the route away', async () => {
    await open(mine, budgets('hard'))
    writeFileSync(path(), mine.replace('name: hard', 'name: harder'))
    await expect(gateway!.services.policies!.reload('a test')).rejects.toThrow(
      /gateway\.budgets\.0\.of\.route: expected one of harder, .*, got hard/,
    )
    expect(await ask('shop')).toMatchObject({ rule: 'hard' })
  })
})

test('faults of budgets are told by line', () => {
  const text = policy(
    [
      '  - { name: a, usd: 1, per: day, of: { model: huge }, then: stop }',
      '  - { name: a, usd: 1, per: day, of: { tier: [free, gold] }, then: stop }',
      '  - { name: b, usd: 1, per: day, of: { route: herd }, then: stop }',
    ].join('\n'),
  )
  const faults = policyFaults(parseSource(text, 'p.yaml', 'a policy'))
  expect(faults.map(({ line, field, got }) => [line, field, got])).toEqual([
    [11, 'budgets.1.name', 'a'],
    [10, 'budgets.0.of.model', 'huge'],
    [11, 'budgets.1.of.tier.1', 'gold'],
    [12, 'budgets.2.of.route', 'herd'],
  ])
  const shape = policyFaults(
    parseSource(policy('  - { name: a, usd: 0, per: week, then: stop }'), 'p.yaml', 'a policy'),
  )
  expect(shape.map(({ line }) => line)).toEqual([10])
})
