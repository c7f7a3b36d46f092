import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { DecisionIds } from '../../serving/router/decision-ids.ts'
import { keyHash } from '../../serving/router/keys.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
afterEach(() => sample?.close())

const keys = [
  { name: 'ann', sha256: keyHash('a'), rate_per_minute: 100_000 },
  { name: 'bob', sha256: keyHash('b'), rate_per_minute: 100_000 },
  { name: 'judge', sha256: keyHash('j'), feedback: 'any' as const, rate_per_minute: 100_000 },
]
const open = (): Promise<SampleApp> =>
  sampleApp({
    config: (root) => ({
      keys,
      log: { folder: join(root, 'log') },
      alarms: { run_length: 200, quality: { reference: 0.9, shift: 0.2 }, rollback: true },
    }),
  })
const post = (url: string, key: string, payload: object) =>
  sample.app.inject({ method: 'POST', url, payload, headers: { authorization: `Bearer ${key}` } })
const decide = async (key: string): Promise<string> =>
  (await post('/route', key, { prompt: 'prove it' })).json().id
const rate = async (key: string, decision_id: string, more: object = {}): Promise<number> =>
  (await post('/feedback', key, { decision_id, score: 0, ...more })).statusCode

test('feedback belongs to the key that made the decision, or to one with that role', async () => {
  sample = await open()
  const id = await decide('a')
  expect(await rate('b', id)).toBe(403)
  expect(await rate('a', id)).toBe(200)
  expect(await rate('j', id)).toBe(200)
  const last = id.endsWith('A') ? 'B' : 'A'
  for (const invented of [
    'x',
    `${id.slice(0, -1)}${last}`,
    '0b8b7c4e-6a44-4a3e-9c9e-0d2b7b1a9f00',
  ]) {
    expect(await rate('a', invented)).toBe(404)
  }
})

test('one key rates a decision by a bounded number of sources', async () => {
  sample = await open()
  const id = await decide('a')
  const said: number[] = []
  for (let i = 0; i < 100; i++) said.push(await rate('a', id, { source: `s${i}` }))
  expect(said.filter((status) => status === 200)).toHaveLength(16)
  expect(await rate('a', id, { source: 's3' })).toBe(200)
  // a hundred opinions on one decision are the opinion of one
  expect(sample.services.alarms!.raised.size).toBe(0)
})

test('one key of several cannot make production roll back', async () => {
  sample = await open()
  for (let i = 0; i < 80; i++) expect(await rate('a', await decide('a'))).toBe(200)
  await sample.services.alarms!.settled()
  expect(sample.services.alarms!.raised.size).toBe(1)
  expect(sample.warnings.some((text) => text.includes('no rollback'))).toBe(true)
})

test('any process with the secret knows whose an id is; the file is readable by its owner alone', async () => {
  sample = await open()
  const { mode } = await stat(join(sample.root, 'log', 'id-secret'))
  expect(mode & 0o777).toBe(0o600)
  const make = (secret: string) => new DecisionIds({ secret, now: Date.now })
  const id = make('s').next('ann')
  expect(id.length).toBeLessThan(60)
  expect(await make('s').ownerOf(id, 'ann')).toBe('own')
  expect(await make('s').ownerOf(id, 'bob')).toBe('other')
  expect(await make('t').ownerOf(id, 'ann')).toBe('nobody')
})

test('no changed or invented id is accepted, and ids differ', async () => {
  const ids = new DecisionIds({ secret: 's', now: Date.now })
  const made = Array.from({ length: 3000 }, () => ids.next('ann'))
  expect(new Set(made).size).toBe(made.length)
  const id = made[0]!
  for (let at = 0; at < id.length; at++) {
    for (const other of ['A', 'b', '-', '+', '/', '=', 'é']) {
      if (id[at] === other) continue
      const changed = id.slice(0, at) + other + id.slice(at + 1)
      expect(await ids.ownerOf(changed, 'ann')).toBe('nobody')
    }
  }
  // the key's tag of one id does not fit into another's
  const bob = ids.next('bob')
  const mixed = id.slice(0, -24) + bob.slice(-24, -16) + id.slice(-16)
  expect(await ids.ownerOf(mixed, 'bob')).toBe('nobody')
  expect(await ids.ownerOf(id.slice(0, -1), 'ann')).toBe('nobody')
  expect(await ids.ownerOf(`${id}A`, 'ann')).toBe('nobody')
})

test('the time in an id is that of its decision', () => {
  let now = 1_700_000_000_000
  const ids = new DecisionIds({ secret: 's', now: () => now })
  const time = () => Buffer.from(ids.next('ann').slice(3, 11), 'base64url').readUIntBE(0, 6)
  expect(time()).toBe(now)
  expect(time()).toBe(now++)
  expect(time()).toBe(now)
})
