import { expect, it } from 'vitest'
import type { GatewayRequest, Plan } from '../../../serving/gateway/contracts.ts'
import { checkPolicy } from '../../../serving/policy/check.ts'
import type { LearnedRouter } from '../../../serving/policy/learned-router.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const planning = {
  signal: new AbortController().signal,
  send: () => Promise.reject(new Error('asked a model')),
}
const START = 1_700_000_000_000

/** A router whose mind changes with every question. */
function fickle(): { readonly learned: LearnedRouter; readonly asked: () => number } {
  let asked = 0
  const learned = fakeRouter({ winRate: () => (asked % 2 ? 0.9 : 0.1), onRoute: () => asked++ })
  return { learned, asked: () => asked }
}

function cached(entries: number) {
  const { learned, asked } = fickle()
  const file = `version: 1
models: { strong: {}, weak: {} }
rules: [{ name: loud, when: { keywords: [shout] }, route: strong }]
cache: { minutes: 5, entries: ${entries} }
learned: {}
default: weak`
  const policy = createPolicy(checkPolicy(file, 'p.yaml'), { learned })
  const ask = (text: string, more: Partial<GatewayRequest> = {}): Promise<Plan> =>
    policy.plan(requestOf({ text, time: START, ...more }), planning)
  return { ask, asked }
}

const model = (plan: Plan) => (plan.kind === 'serve' ? plan.targets[0]!.model : '')

it('decides the same request as before for so many minutes, and says who did', async () => {
  const { ask, asked } = cached(10)
  const first = await ask('hello')
  const again = await ask('hello', { time: START + 299_000, id: 'another' })
  expect(again).toMatchObject({ deciding: { step: 'cache', reason: 'learned' } })
  expect(model(again)).toBe(model(first))
  expect(asked()).toBe(1)
  const later = await ask('hello', { time: START + 300_000 })
  expect(later.deciding.step).toBe('learned')
  expect(model(later)).not.toBe(model(first))
})

it('tells apart what decisions depend on', async () => {
  const { ask, asked } = cached(100)
  await ask('hello')
  const others: Partial<GatewayRequest>[] = [
    { caller: { name: 'another' } },
    { hints: { models: ['strong'] } },
    { hints: { threshold: 0.9 } },
    { hints: { session_id: 's' } },
    { headers: { 'x-weir-tags': 'x' } },
    { body: { model: 'weir/r', messages: [{ role: 'user', content: 'hello' }] } },
    { body: { model: 'weir', messages: [{ role: 'system', content: 'hello' }] } },
    {
      body: {
        model: 'weir',
        messages: [{ role: 'user', content: 'hello' }],
        metadata: { tenant: 'x' },
      },
    },
  ]
  for (const [i, more] of others.entries()) {
    expect((await ask('hello', more)).deciding.step).toBe('learned')
    expect(asked()).toBe(i + 2)
  }
  expect((await ask('hello', { hints: { explain: true } })).deciding.step).toBe('cache')
})

it('keeps what later steps decide, no rule’s word, and no more than it may', async () => {
  const { ask } = cached(2)
  for (const text of ['one', 'two', 'one', 'three']) await ask(text)
  expect((await ask('one')).deciding.step).toBe('cache')
  expect((await ask('two')).deciding.step).toBe('learned')
  await ask('shout')
  expect((await ask('shout')).deciding.step).toBe('rule')
})
