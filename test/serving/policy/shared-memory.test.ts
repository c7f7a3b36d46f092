import { expect, test } from 'vitest'
import type { GatewayRequest } from '../../../serving/gateway/contracts.ts'
import { sessionKey } from '../../../serving/gateway/sessions.ts'
import { checkPolicy } from '../../../serving/policy/check.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import { SharedMemory } from '../../../serving/policy/shared-memory.ts'
import type { HotStore } from '../../../serving/state/hot-store.ts'
import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const START = 1_700_000_000_000

/** A store that says the same for every key, or what was set. */
function storeOf(said?: string) {
  const asked: string[] = []
  const kept = new Map<string, string>()
  const shared: HotStore = {
    async get(key) {
      asked.push(key)
      return said ?? kept.get(key)
    },
    set: (key, value) => void kept.set(key, value),
  }
  return { shared, asked, kept }
}

const memoryOf = (shared: HotStore | undefined, changes: boolean) =>
  new SharedMemory<string>({
    ...{ prefix: 'p:', entries: 10, lifetimeMs: 1000, shared, changes },
    isValue: (value) => typeof value === 'string',
  })
const at = (time: number): GatewayRequest => requestOf({ time })

test('a process remembers for its time, and other servers go on from what it says', async () => {
  const { shared, asked } = storeOf()
  const [alone, one, two] = [
    memoryOf(undefined, true),
    memoryOf(shared, true),
    memoryOf(shared, true),
  ]
  alone.set(at(START), 'k', 'a')
  expect(alone.get(at(START + 999), 'k')).toBe('a')
  expect(alone.get(at(START + 1000), 'k')).toBeUndefined()
  one.set(at(START), 'k', 'a')
  const request = at(START + 1)
  expect(await two.get(request, 'k')).toBe('a')
  two.set(request, 'k', 'b')
  expect(await one.get(at(START + 2), 'k')).toBe('b')
  // a request is decided more than once, and the store is asked once
  asked.length = 0
  const again = at(START + 3)
  await Promise.all([one.get(again, 'k'), one.get(again, 'k')])
  expect(asked).toEqual(['p:k'])
  await one.get(again, 'other')
  expect(asked).toEqual(['p:k', 'p:other'])
  // what never changes is not asked for again
  const plans = memoryOf(shared, false)
  plans.set(at(START), 'k', 'c')
  expect(plans.get(at(START + 1), 'k')).toBe('c')
})

test.each(['null', '5', '{', '[]', '{"kind":"serve"}', '{"model":"strong"}', '"nobody"'])(
  'a request is decided whatever the store says: %s',
  async (said) => {
    for (const section of ['cache: { minutes: 5 }', 'sticky: { margin: 1 }', 'sessions: {}']) {
      const { shared, asked } = storeOf(said)
      const file = `version: 1
models: { strong: {}, weak: {} }
${section}
learned: {}
default: weak`
      const learned = fakeRouter({ winRate: () => 0.9 })
      const policy = createPolicy(checkPolicy(file, 'p.yaml'), { learned, shared })
      const plan = await policy.plan(
        requestOf({ text: 'hello', time: START, hints: { session_id: 's' } }),
        {
          signal: new AbortController().signal,
          send: () => Promise.reject(new Error('asked a model')),
        },
      )
      expect(asked.length).toBeGreaterThan(0)
      expect(plan).toMatchObject({ kind: 'serve', targets: [{ model: 'strong' }, {}] })
    }
  },
)

test('a session is known by its key and its id, or by its beginning', () => {
  const turns = (...texts: string[]) => texts.map((content) => ({ role: 'user', content }))
  const key = (name: string, session_id: string | undefined, ...texts: string[]): string =>
    sessionKey(
      requestOf({
        caller: { name },
        hints: session_id === undefined ? {} : { session_id },
        body: { model: 'weir', messages: turns(...texts) },
      }),
    )
  expect(key('ann', 's', 'a')).toBe(key('ann', 's', 'b'))
  expect(key('ann', 's', 'a')).not.toBe(key('bob', 's', 'a'))
  expect(key('ann', undefined, 'a')).toBe(key('ann', undefined, 'a', 'b'))
  expect(key('ann', undefined, 'a')).not.toBe(key('ann', undefined, 'b'))
  expect(key('ann', undefined, 'a')).not.toBe(key('bob', undefined, 'a'))
  // of a long text the length and both ends count
  const long = 'x'.repeat(100_000)
  expect(key('ann', undefined, long)).toBe(key('ann', undefined, long, 'b'))
  for (const other of [`${long}x`, `y${long.slice(1)}`, `${long.slice(1)}y`]) {
    expect(key('ann', undefined, long)).not.toBe(key('ann', undefined, other))
  }
})
