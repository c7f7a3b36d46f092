import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { GatewayRequest, Plan } from '../../../serving/gateway/contracts.ts'
import { assertPolicyFits, checkPolicy } from '../../../serving/policy/check.ts'

import { createPolicy } from '../../../serving/policy/pipeline.ts'
import { fakeRouter, HEAD, requestOf } from '../../../testing/step-contract.ts'

const EXAMPLE = 'docs/examples/policy.yaml'
const text = await readFile(EXAMPLE, 'utf8')
const STRONG = 'big-1'
const WEAK = 'small-1'
let winRate = 0.9

const policy = createPolicy(checkPolicy(text, EXAMPLE), {
  learned: fakeRouter({ strong: STRONG, weak: WEAK, winRate: () => winRate }),
})
const planning = {
  signal: new AbortController().signal,
  send: () => Promise.reject(new Error('not asked here')),
}
const ask = (content: string, more: Partial<GatewayRequest> = {}, model = 'auto'): Promise<Plan> =>
  policy.plan(requestOf({ text: content, model, ...more }), planning)
const short = (plan: Plan) =>
  plan.kind === 'serve' ? [plan.deciding.step, plan.targets[0]?.model] : [plan.deciding.step]

describe('the policy of docs/examples', () => {
  it('asks the learned router where no rule holds', async () => {
    winRate = 0.9
    expect(short(await ask('Why is the sky blue?'))).toEqual(['learned', STRONG])
  })

  it('lets no score and no name past a hard limit', async () => {
    expect(short(await ask('Write to ann@example.org'))).toEqual(['fallback', 'local-1'])
    expect(short(await ask('Write to ann@example.org', {}, STRONG))).toEqual(['hard_limit'])
    const tagged = { hints: { metadata: { tags: ['confidential'] } } }
    expect(short(await ask('hello', tagged))).toEqual(['fallback', 'local-1'])
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

describe('a policy with a learned router', () => {
  const planBy = (
    router: Parameters<typeof fakeRouter>[0],
    more: Parameters<typeof requestOf>[0],
  ) =>
    createPolicy(checkPolicy(`${HEAD}\nlearned: {}\ndefault: both`, 'p.yaml'), {
      learned: fakeRouter(router),
    }).plan(requestOf(more), planning)
  const secret = { metadata: { tags: ['secret'] } }

  it('goes on to the default where the router knows none of the models that are left', async () => {
    const plan = await planBy({}, { text: 'hello', hints: secret })
    expect(short(plan)).toEqual(['default', 'private'])
    expect(plan.steps).toContainEqual({
      step: 'learned',
      matched: false,
      reason: 'no_candidate_left',
    })
  })

  it('does not send what is sensitive to an encoder on another machine', async () => {
    const seen: unknown[] = []
    const router = { remote: true, weak: 'private', onRoute: (asked: unknown) => seen.push(asked) }
    const plan = await planBy(router, { text: 'hello', hints: secret })
    expect(short(plan)).toEqual(['default', 'private'])
    expect(plan.steps?.at(-2)?.reason).toBe('sensitive_and_encoder_remote')
    expect(seen).toEqual([])
    expect(short(await planBy(router, { text: 'hello' }))).toEqual(['learned', 'strong'])
    expect(seen).toHaveLength(1)
  })

  it('goes on to the default where there is no text to route on', async () => {
    expect(short(await planBy({}, {}))).toEqual(['default', 'strong'])
    expect((await planBy({}, {})).steps?.at(-2)?.reason).toBe('no_text')
  })

  it('says what each step said, in order', async () => {
    expect((await planBy({}, { text: 'hello' })).steps).toEqual([
      { step: 'hard_limit', matched: false },
      { step: 'model_named', matched: false },
      { step: 'learned', matched: true, reason: 'win_rate_reached' },
    ])
  })

  it('takes a router by its name, and no name that is nobody’s', async () => {
    const asked: unknown[] = []
    await planBy({ onRoute: ({ router }) => asked.push(router) }, { text: 'hi', model: 'weir/r' })
    expect(asked).toEqual(['r'])
    await expect(planBy({}, { text: 'hi', model: 'gpt-9' })).rejects.toMatchObject({
      code: 'model_not_served',
    })
  })

  it('lets no key that is held to routers name a model', async () => {
    const caller = { name: 'k', routers: new Set(['r']) }
    const plan = await planBy({}, { text: 'hi', model: 'strong', caller })
    expect(plan).toMatchObject({ kind: 'refuse', deciding: { reason: 'router_forbidden' } })
  })
})

describe('assertPolicyFits', () => {
  const policy = checkPolicy(`${HEAD}\nlearned: {}\ndefault: both`, 'p.yaml')
  const pairs = [{ router: 'r', strong: 'strong', weak: 'tiny' }]
  it('refuses a router whose models the policy does not know', () => {
    expect(() => assertPolicyFits(policy, { pairs })).toThrow(
      'p.yaml:7: learned: expected tiny, the weak model of the router r, among the models, got strong, weak, private',
    )
  })
  it('refuses a model that nobody answers for, and a router that is not served', () => {
    const models = ['strong', 'weak']
    expect(() => assertPolicyFits(policy, { models, pairs })).toThrow('models.private')
    expect(() => assertPolicyFits(policy, { pairs: [] })).toThrow('a router that is served')
  })
})

describe('checkPolicy', () => {
  const faulty = (from: string, to: string) => () => checkPolicy(text.replace(from, to), 'p.yaml')
  it('says the line of what is wrong', () => {
    expect(faulty('route: coder', 'route: codre')).toThrow(
      /^p\.yaml:21: rules\.0\.route: expected one of coder.*got codre/,
    )
    expect(faulty('margin: 0.05', 'margin: 5')).toThrow(/^p\.yaml:22: sticky\.margin/)
    expect(faulty('default: small-1', 'defualt: x')).toThrow(/p\.yaml/)
    expect(faulty('\\bdef ', '(?=x)')).toThrow(
      /^p\.yaml:20: rules\.0\.when\.regex\.0: expected an RE2/,
    )
    expect(() => checkPolicy('', 'p.yaml')).toThrow('p.yaml:1: the file: expected object, got null')
    expect(faulty('coder:', 'auto:')).toThrow(/^p\.yaml:8: routes\.auto: expected a name that does/)
    expect(faulty("regex: ['", "characters: { min: 9, max: 2 }, regex: ['")).toThrow(
      /^p\.yaml:20: rules\.0\.when\.characters: expected min of at most max, got 9 and 2/,
    )
    expect(faulty('version: 1', 'version: [')).toThrow(/^p\.yaml:\d+: expected a policy in YAML/)
  })
})

it('takes every policy under docs/examples', async () => {
  const { readdir } = await import('node:fs/promises')
  const names = (await readdir('docs/examples')).filter((name) => name.endsWith('.yaml'))
  for (const name of names) checkPolicy(await readFile(`docs/examples/${name}`, 'utf8'), name)
  expect(names.length).toBeGreaterThanOrEqual(2)
})
