import { describe, expect, it } from 'vitest'
import type {
  Answer,
  GatewayRequest,
  Plan,
  Planning,
  SendOptions,
  Target,
} from '../../../serving/gateway/contracts.ts'

import { checkPolicy } from '../../../serving/policy/check.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import { UpstreamError } from '../../../serving/upstreams/failure.ts'
import { requestOf } from '../../../testing/step-contract.ts'

const POLICY = `
version: 1
models: { tiny: { private: true }, small: { private: true }, big: {} }
privacy: { tags: [secret] }
routes:
  code: { models: [big], description: writing and repairing programs }
  chat: { models: [small], description: small talk }
  spare: { models: [small, big] }
decide_by_model: { model: tiny, timeout_ms: 100, characters: 200, cache: 2 }
default: spare
`
interface Asked {
  readonly target: Target
  readonly body: NonNullable<SendOptions['body']>
}
const asked: Asked[] = []
type Says = (asked: Asked, signal: AbortSignal | undefined) => Promise<string>

const sending =
  (says: Says): Planning['send'] =>
  async (target, { body, signal }) => {
    asked.push({ target, body })
    const content = await says({ target, body }, signal)
    const answer = { choices: [{ message: { content } }] }
    const complete = { kind: 'complete', body: answer, text: undefined, usage: undefined } as const
    return { target, upstream: 'one', answer: complete } satisfies Answer
  }
const always =
  (text: string): Says =>
  async () =>
    text
const planner = (text = POLICY) => {
  asked.length = 0
  const policy = createPolicy(checkPolicy(text, 'p.yaml'), {})
  return (request: GatewayRequest, says: Says): Promise<Plan> =>
    policy.plan(request, { signal: new AbortController().signal, send: sending(says) })
}
const short = (plan: Plan): string =>
  plan.kind === 'serve'
    ? `${plan.deciding.step} ${plan.deciding.name ?? ''} ${plan.targets.map(({ model }) => model)}`
    : plan.message
const verdict = (plan: Plan): string | undefined =>
  plan.steps?.find(({ step }) => step === 'decide_by_model')?.reason
const question = requestOf({ text: 'my program crashes' })

describe('a model that decides', () => {
  it('picks a route by its name, as JSON or bare', async () => {
    const plan = planner()
    expect(short(await plan(question, always('{"route": "code"}')))).toBe(
      'decide_by_model code big',
    )
    expect(short(await planner()(question, always(' chat\n')))).toBe('decide_by_model chat small')
  })

  it('is told the described routes, and quoted the conversation', async () => {
    await planner()(question, always('code'))
    const [{ target, body }] = asked as [Asked]
    expect(target).toEqual({ model: 'tiny' })
    const [system, user] = body.messages as { content: string }[]
    expect(system!.content).toContain('- code: writing and repairing programs')
    expect(system!.content).not.toContain('spare')
    expect(JSON.parse(user!.content)).toEqual({
      conversation: [{ role: 'user', text: 'my program crashes' }],
    })
    expect(body.response_format).toMatchObject({
      json_schema: {
        strict: true,
        schema: { properties: { route: { enum: ['code', 'chat', 'none'] } } },
      },
    })
  })

  const useless = [
    'code.',
    'Code',
    'The route is code',
    '{"route": "code", "why": "x"}',
    '{"route": "spare"}',
    '{"route": ["code"]}',
    '["code"]',
    '"code"',
    'code chat',
    '',
    'null',
    'constructor',
  ]
  for (const text of useless) {
    it(`decides nothing by ${JSON.stringify(text)}`, async () => {
      const plan = await planner()(question, always(text))
      expect(short(plan)).toBe('default  small,big')
      expect(verdict(plan)).toBe('answer_malformed')
    })
  }

  it('decides nothing where no route fits, where it fails, and where it is late', async () => {
    const plan = await planner()(question, always('none'))
    expect([short(plan), verdict(plan)]).toEqual(['default  small,big', 'no_route_fits'])
    const failing: Says = () =>
      Promise.reject(new UpstreamError('server_error', { upstream: 'one', reason: 'oh no' }))
    expect(verdict(await planner()(question, failing))).toBe('model_failed')
    const hanging: Says = (_, signal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    expect(verdict(await planner()(question, hanging))).toBe('model_failed')
  })

  it('asks again without a schema where the upstream refuses one', async () => {
    const refusing: Says = async ({ body }) => {
      if (!body.response_format) return 'code'
      throw new UpstreamError('rejected', { upstream: 'one', reason: 'no schemas', status: 400 })
    }
    const plan = planner()
    expect(short(await plan(question, refusing))).toBe('decide_by_model code big')
    await plan(requestOf({ text: 'and another' }), refusing)
    expect(asked.map(({ body }) => 'response_format' in body)).toEqual([true, false, false])
  })

  it('remembers conversations, the last ones', async () => {
    const plan = planner()
    const ask = (text: string) => plan(requestOf({ text }), always('code'))
    for (const text of ['a', 'b', 'a', 'c', 'a']) expect(short(await ask(text))).toContain('code')
    expect(asked).toHaveLength(3)
    await ask('b')
    expect(asked).toHaveLength(4)
  })

  it('does not remember what was no answer', async () => {
    const plan = planner()
    await plan(question, always('hm'))
    expect(short(await plan(question, always('code')))).toContain('decide_by_model')
  })

  it('reads the end of a long conversation', async () => {
    await planner()(requestOf({ text: `${'x'.repeat(1000)} fix my program` }), always('code'))
    const user = (asked[0]!.body.messages as { content: string }[])[1]!
    const { conversation } = JSON.parse(user.content) as { conversation: { text: string }[] }
    expect(conversation[0]!.text).toHaveLength(200)
    expect(conversation[0]!.text.endsWith('fix my program')).toBe(true)
  })
})

describe('over a hard limit', () => {
  const secret = requestOf({ text: 'my program', hints: { metadata: { tags: ['secret'] } } })

  it('is offered only what is open, and cannot pick what is not', async () => {
    const plan = await planner()(secret, always('{"route": "code"}'))
    expect(short(plan)).toBe('default  small')
    const [system] = asked[0]!.body.messages as { content: string }[]
    expect(system!.content).not.toContain('- code')
  })

  it('is not asked where it may not see the request itself', async () => {
    const plan = planner(POLICY.replace('tiny: { private: true }', 'tiny: {}'))
    expect(verdict(await plan(secret, always('chat')))).toBe('model_closed')
    expect(asked).toEqual([])
  })
})

describe('checkPolicy', () => {
  const faulty = (from: string, to: string) => () => checkPolicy(POLICY.replace(from, to), 'p.yaml')
  it('says the line of what is wrong', () => {
    expect(faulty('model: tiny', 'model: tinny')).toThrow(
      /^p\.yaml:9: decide_by_model\.model: expected one of tiny, small, big, got tinny/,
    )
    expect(faulty('timeout_ms', 'routes: [code, spare], timeout_ms')).toThrow(
      /^p\.yaml:9: decide_by_model\.routes\.1: expected one of code, chat, got spare/,
    )
    expect(faulty(', description: small talk', '')).toThrow(/two routes or more/)
    expect(faulty('chat:', 'none:')).toThrow(/routes\.none: expected another name/)
  })
})
