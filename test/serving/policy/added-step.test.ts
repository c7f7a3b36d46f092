import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Type from 'typebox'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseSource } from '../../../core/yaml-source.ts'
import { readDecisionLog } from '../../../records/log-reader.ts'
import { STEP_NAMES } from '../../../serving/gateway/contracts.ts'
import { policyFaults } from '../../../serving/policy/check.ts'
import { type AddedStep, policySteps } from '../../../serving/policy/registry.ts'
import { skip } from '../../../serving/policy/step.ts'
import { describeStepContract } from '../../../testing/step-contract.ts'
import { type GatewayApp, gatewayApp, user } from '../gateway/gateway-app.ts'

const Shouting = Type.Object({ route: Type.String() }, { additionalProperties: false })

/** Whoever writes in capitals alone gets a route of their own. */
const shouting: AddedStep<typeof Shouting> = {
  name: 'shouting',
  before: 'rule',
  key: 'shouting',
  schema: Shouting,
  check: ({ route }, _, find) => find.oneOf(['shouting', 'route'], find.targets, route),
  reads: () => ({ text: 'shouting' }),
  step: ({ route }) => ({
    decide({ traits: { question }, ...state }) {
      if (!/[A-Z]/.test(question) || /[a-z]/.test(question)) return undefined
      return state.serve(state.route(route)!, { reason: 'capitals' }) ?? skip('models_closed')
    },
  }),
}
const STEPS = policySteps([shouting])

describeStepContract('a step from outside', {
  step: 'shouting',
  steps: STEPS,
  policy: 'default: weak\nshouting: { route: both }',
  decides: { text: 'HELP ME' },
})

const policy = (route: string, counted = 'shouting') => `
version: 1
models: { big: {}, small: {} }
shouting: { route: ${route} }
budgets:
  - { name: loud, usd: 5, per: day, of: { route: ${counted} }, then: stop }
default: small
`

describe('a step that is registered from outside', () => {
  test('is asked at its place, beside Weir’s own', () => {
    expect(STEPS.names).toEqual([
      ...STEP_NAMES.slice(0, STEP_NAMES.indexOf('rule')),
      'shouting',
      ...STEP_NAMES.slice(STEP_NAMES.indexOf('rule')),
    ])
  })

  test('has its section checked by line, its budgets by its name', () => {
    const faults = (text: string, steps = STEPS) =>
      policyFaults(parseSource(text, 'p.yaml', 'a policy'), steps).map(({ line, field, got }) => [
        line,
        field,
        got,
      ])
    expect(faults(policy('big'))).toEqual([])
    expect(faults(policy('huge'))).toEqual([[4, 'shouting.route', 'huge']])
    expect(faults(policy('1'))).toEqual([[4, 'shouting.route', '1']])
    expect(faults(policy('big', 'shuoting'))).toEqual([[6, 'budgets.0.of.route', 'shuoting']])
    // without it, the section is nobody's
    expect(faults(policy('big'), policySteps())).toEqual([[4, 'shouting', 'an object']])
  })

  test('takes no name and no section that another step has', () => {
    expect(() => policySteps([{ ...shouting, name: 'rule' }])).toThrow(/names.*rule twice/)
    expect(() => policySteps([{ ...shouting, key: 'models' }])).toThrow(/sections.*models twice/)
    expect(() => policySteps([shouting, { ...shouting, name: 'other' }])).toThrow(/shouting twice/)
  })
})

describe('a server with a step from outside', () => {
  let folder: string
  let gateway: GatewayApp
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-added-step-'))
    await writeFile(join(folder, 'policy.yaml'), policy('big'))
    const price = { input: 10, output: 20 }
    gateway = await gatewayApp(
      {
        policy: join(folder, 'policy.yaml'),
        models: {
          small: { upstreams: [{ upstream: 'little' }], price, context: 4000 },
          big: { upstreams: [{ upstream: 'large' }], price, context: 4000 },
        },
      },
      { log: { folder: join(folder, 'log') } },
      {},
      () => ({}),
      { policySteps: [shouting] },
    )
  })
  afterEach(async () => {
    await gateway.close()
    await rm(folder, { recursive: true })
  })

  test('serves by it, and names it in headers, metrics, the document, the log and budgets', async () => {
    const { app } = gateway
    const chat = (content: string) =>
      app.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        payload: { model: 'weir', max_tokens: 100, messages: user(content) },
      })
    expect((await chat('help me')).headers['x-weir-step']).toBe('default')
    const { headers } = await chat('HELP ME')
    expect(headers).toMatchObject({ 'x-weir-step': 'shouting', 'x-weir-model': 'big' })
    expect((await app.inject('/metrics')).body).toMatch(/decisions_total\{[^}]*step="shouting"/)
    expect((await app.inject('/openapi.json')).body).toContain('model_named, shouting, rule')
    const [loud] = (await gateway.services.budgets!.report()).budgets
    expect(loud!.spent_usd).toBeGreaterThan(0)
    await gateway.close()
    const steps: unknown[] = []
    for await (const { record } of readDecisionLog(join(folder, 'log'))) {
      if (record.object === 'gateway') steps.push(record.step)
    }
    expect(steps).toEqual(['default', 'shouting'])
  })
})
