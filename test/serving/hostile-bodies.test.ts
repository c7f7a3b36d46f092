import { afterAll, beforeAll, expect, test } from 'vitest'
import { BODY_LIMIT } from '../../core/json/body.ts'
import { HOSTILE_BODIES } from '../../scripts/bench/fuzz/bodies.ts'
import { keyHash } from '../../serving/router/keys.ts'
import { WRONG_KEYS_PER_MINUTE } from '../../serving/server/app.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
beforeAll(async () => {
  sample = await sampleApp()
})
afterAll(() => sample.close())

test.each([2_000_000, 4_000_000])(
  'a body of another length than it says (%i) is refused',
  async (said) => {
    const { statusCode, body } = await sample.app.inject({
      method: 'POST',
      url: '/route',
      headers: { 'content-type': 'application/json', 'content-length': String(said) },
      payload: JSON.stringify({ prompt: 'x'.repeat(3_000_000) }),
    })
    expect(statusCode).toBe(400)
    expect(body).toContain('as content-length says')
  },
)

test.each(Object.entries(HOSTILE_BODIES))('8 MB of %s are refused at once', async (_, make) => {
  const payload = make()
  expect(payload.length).toBeGreaterThan(BODY_LIMIT * 0.92)
  const ask = async (): Promise<number> => {
    const before = process.cpuUsage()
    const { statusCode } = await sample.app.inject({
      method: 'POST',
      url: '/route',
      headers: { 'content-type': 'application/json' },
      payload,
    })
    const { user, system } = process.cpuUsage(before)
    expect(statusCode).toBeGreaterThanOrEqual(400)
    expect(statusCode).toBeLessThan(500)
    return (user + system) / 1000
  }
  // the least of up to six: a busy machine adds time to any one
  let spent = await ask()
  for (let more = 0; more < 5 && spent >= 150; more++) spent = Math.min(spent, await ask())
  expect(spent).toBeLessThan(150)
})

test.each([
  ['messages', '{"a":null}'],
  ['prompt', '[null,{"a":null},null]'],
])(
  '50 lists in each other, with a null inside, as %s are refused at once',
  async (field, inner) => {
    const payload = `{"${field}":${'['.repeat(50)}${inner}${']'.repeat(50)}}`
    for (const url of ['/route', '/route/batch']) {
      const body = url === '/route' ? payload : `{"requests":[${payload}]}`
      const headers = { 'content-type': 'application/json' }
      const before = process.cpuUsage()
      const answer = await sample.app.inject({ method: 'POST', url, headers, payload: body })
      expect(process.cpuUsage(before).user / 1000).toBeLessThan(150)
      expect(answer.body).toContain('request_invalid')
    }
  },
)

test('a body that is not UTF-8 is refused, not read as another one', async () => {
  const payload = Buffer.concat([
    Buffer.from('{"prompt":"a'),
    Buffer.from([0xff, 0xc3]),
    Buffer.from('b"}'),
  ])
  const headers = { 'content-type': 'application/json' }
  const answer = await sample.app.inject({ method: 'POST', url: '/route', headers, payload })
  expect(answer.statusCode).toBe(400)
  expect(answer.json().error.message).toBe('body: expected UTF-8, got other bytes')
})

test('a fault is still told by its field', async () => {
  const faultOf = async (payload: object): Promise<string> =>
    (await sample.app.inject({ method: 'POST', url: '/route', payload })).json().error.message
  const sound = { role: 'user', content: 'x' }
  expect(await faultOf({ messages: [sound, { role: 'user', content: [{ type: 1 }] }] })).toBe(
    'messages.1.content.0.type: expected string, got 1',
  )
  expect(await faultOf({ messages: [sound, { content: 'x' }] })).toBe(
    'messages.1.role: expected a value, got nothing',
  )
  expect(await faultOf({ prompt: 'x', colour: 1 })).toBe('colour: expected no such field, got 1')
})

test('wrong keys from one address are told to wait; the right one is served', async () => {
  const keyed = await sampleApp({
    config: () => ({ keys: [{ name: 'k', sha256: keyHash('right') }] }),
  })
  try {
    const ask = (key: string, remoteAddress: string) =>
      keyed.app.inject({
        method: 'POST',
        url: '/route',
        remoteAddress,
        headers: { authorization: `Bearer ${key}` },
        payload: { prompt: 'x' },
      })
    for (let i = 0; i < WRONG_KEYS_PER_MINUTE; i++) {
      expect((await ask(`wrong${i}`, '10.0.0.1')).statusCode).toBe(401)
    }
    const late = await ask('wrong', '10.0.0.1')
    expect([late.statusCode, late.headers['retry-after']]).toEqual([429, expect.any(String)])
    expect((await ask('wrong', '10.0.0.2')).statusCode).toBe(401)
    expect((await ask('right', '10.0.0.1')).statusCode).toBe(200)
  } finally {
    await keyed.close()
  }
})
