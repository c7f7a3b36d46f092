import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Decision, RouteRequest } from '../../../models/decision.ts'
import type { GatewayRequest, Plan } from '../../../serving/gateway/plan.ts'
import { checkPolicy } from '../../../serving/policy/check.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'

const EXAMPLE = 'docs/examples/policy.yaml'
const text = await readFile(EXAMPLE, 'utf8')
const STRONG = 'gpt-4-1106-preview'
const WEAK = 'mixtral-8x7b'
let winRate = 0.9

const route = async ({ models }: RouteRequest): Promise<Decision> => {
  const pair = winRate >= 0.5 ? [STRONG, WEAK] : [WEAK, STRONG]
  const candidates = pair.map((model) => ({
    model,
    score: winRate,
    eligible: models?.includes(model) ?? true,
    reason: 'next',
    est_cost_usd: null,
    propensity: 1,
  }))
  return {
    id: 'd',
    object: 'routing.decision',
    created: 0,
    router: { name: 'r', version: 'v' },
    model: pair[0]!,
    win_rate: winRate,
    threshold: 0.5,
    calibrated: true,
    candidates,
    reason: winRate >= 0.5 ? 'win_rate_reached' : 'win_rate_below',
    fallback: false,
    fallback_reason: null,
    propensity: 1,
    timing_ms: 0,
    truncated: false,
  }
}
const policy = createPolicy(checkPolicy(text, EXAMPLE), {
  learned: { route, has: (name) => name === 'r', remote: () => false },
})
const ask = (content: string, more: Partial<GatewayRequest> = {}, model = 'auto'): Promise<Plan> =>
  policy.plan(
    {
      id: 'q',
      body: { model, messages: [{ role: 'user', content }] },
      caller: { name: 'key' },
      headers: {},
      hints: {},
      time: 0,
      ...more,
    },
    {
      signal: new AbortController().signal,
      send: () => Promise.reject(new Error('not asked here')),
    },
  )
const short = (plan: Plan) =>
  plan.kind === 'serve' ? [plan.deciding.step, plan.targets[0]?.model] : [plan.deciding.step]

describe('the policy of docs/examples', () => {
  it('asks the learned router where no rule holds', async () => {
    winRate = 0.9
    expect(short(await ask('Why is the sky blue?'))).toEqual(['learned', STRONG])
  })

  it('lets no score and no name past a hard limit', async () => {
    expect(short(await ask('Write to ann@example.org'))).toEqual(['fallback', 'llama-local'])
    expect(short(await ask('Write to ann@example.org', {}, STRONG))).toEqual(['hard_limit'])
    const tagged = { hints: { metadata: { tags: ['confidential'] } } }
    expect(short(await ask('hello', tagged))).toEqual(['fallback', 'llama-local'])
  })

  it('sends code to the specialist with its system prompt and parameters', async () => {
    const plan = await ask('def f(x): what does it do?')
    expect(short(plan)).toEqual(['rule', STRONG])
    expect(plan).toMatchObject({ targets: [{ parameters: { temperature: 0 } }, { model: WEAK }] })
  })

  it('refuses by a guardrail with its message', async () => {
    expect(await ask('Please diagnose me.')).toMatchObject({
      as: 'answer',
      message: 'Please ask a doctor.',
    })
  })

  it('keeps a session’s model near the threshold, and only there and only for its key', async () => {
    const session = { hints: { session_id: 's' } }
    winRate = 0.9
    await ask('first', session)
    winRate = 0.47
    expect(short(await ask('next', session))).toEqual(['sticky', STRONG])
    expect(short(await ask('next', { ...session, caller: { name: 'other' } }))).toEqual([
      'learned',
      WEAK,
    ])
    winRate = 0.3
    expect(short(await ask('next', session))).toEqual(['learned', WEAK])
  })
})

describe('checkPolicy', () => {
  const faulty = (from: string, to: string) => () => checkPolicy(text.replace(from, to), 'p.yaml')
  it('says the line of what is wrong', () => {
    expect(faulty('route: coder', 'route: codre')).toThrow(
      /^p\.yaml:21: rules\.0\.route: expected one of coder.*got codre/,
    )
    expect(faulty('margin: 0.05', 'margin: 5')).toThrow(/^p\.yaml:22: sticky\.margin/)
    expect(faulty('default: mixtral-8x7b', 'defualt: x')).toThrow(/p\.yaml/)
    expect(faulty('\\bdef ', '(?=x)')).toThrow(
      /^p\.yaml:20: rules\.0\.when\.regex\.0: expected an RE2/,
    )
    expect(faulty('version: 1', 'version: [')).toThrow(/^p\.yaml:\d+: expected YAML/)
  })
})

it('takes every policy under docs/examples', async () => {
  const { readdir } = await import('node:fs/promises')
  const names = (await readdir('docs/examples')).filter((name) => name.endsWith('.yaml'))
  for (const name of names) checkPolicy(await readFile(`docs/examples/${name}`, 'utf8'), name)
  expect(names.length).toBeGreaterThanOrEqual(2)
})
