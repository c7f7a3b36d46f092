import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RECIPES, type Recipe } from '../../models/reading/recipe.ts'
import { readTranscript } from '../../models/reading/transcript.ts'
import { keyHash } from '../../serving/router/keys.ts'
import { withContextHeader } from '../../serving/server/context-header.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

/** The word encoder also finds its words in the fields of a reading: `prove` there asks for the strong model. */
const READS: Recipe = { ...RECIPES[0]!, context: ['feature', 'tenant'] }

let sample: SampleApp
beforeAll(async () => {
  sample = await sampleApp({
    bundles: [{ manifest: { recipe: READS } }],
    config: (root) => ({
      log: { folder: `${root}/log`, text: 'full' },
      context: { keys: ['surface'], trusted: ['tenant'] },
      keys: [
        { name: 'plain', sha256: keyHash('plain') },
        { name: 'acme', sha256: keyHash('acme'), context: { tenant: 'prove' } },
        { name: 'fixed', sha256: keyHash('fixed'), context: { feature: 'hello' } },
      ],
    }),
  })
})
afterAll(() => sample.close())

async function rate(
  metadata: unknown,
  headers: Record<string, string> = {},
  key = 'plain',
): Promise<number> {
  const response = await sample.app.inject({
    method: 'POST',
    url: '/route',
    headers: { authorization: `Bearer ${key}`, ...headers },
    payload: { prompt: 'integral', ...(metadata === undefined ? {} : { metadata }) },
  })
  expect(response.statusCode).toBe(200)
  return response.json().win_rate
}

test('declared context comes from metadata or from the header, which wins', async () => {
  const average = await rate(undefined)
  const hard = await rate({ feature: 'prove' })
  expect(hard).toBeGreaterThan(average)
  expect(await rate(undefined, { 'x-weir-context': 'feature=prove' })).toBe(hard)
  expect(
    await rate({ feature: 'hello' }, { 'x-weir-context': 'other=1, feature=%70rove;p=1' }),
  ).toBe(hard)
  // what cannot be read, and what no router reads, counts as not given
  for (const header of [
    '',
    '=',
    'feature',
    'feature=%',
    'x=prove',
    ','.repeat(500),
    `feature=${'a'.repeat(7900)}`,
  ]) {
    expect(await rate({ unread: { a: 1 }, feature: null }, { 'x-weir-context': header })).toBe(
      average,
    )
  }
})

test('a batch takes the header for each of its requests', async () => {
  const response = await sample.app.inject({
    method: 'POST',
    url: '/route/batch',
    headers: { authorization: 'Bearer plain', 'x-weir-context': 'feature=prove' },
    payload: {
      requests: [{ prompt: 'integral' }, { prompt: 'integral', metadata: { feature: 'x' } }, 7],
    },
  })
  const [one, two, three] = response.json().data
  expect(one.decision.win_rate).toBe(await rate({ feature: 'prove' }))
  expect(two.decision.win_rate).toBe(one.decision.win_rate)
  expect(three.error).toBeDefined()
})

test('a trusted key comes from the API key alone, and a key’s context wins over the request', async () => {
  const average = await rate(undefined)
  expect(await rate({ tenant: 'prove' })).toBe(average)
  expect(await rate(undefined, { 'x-weir-context': 'tenant=prove' })).toBe(average)
  const acme = await rate(undefined, {}, 'acme')
  expect(acme).toBeGreaterThan(average)
  expect(await rate({ tenant: 'hello' }, {}, 'acme')).toBe(acme)
  expect(await rate({ feature: 'prove' }, {}, 'fixed')).toBe(await rate({ feature: 'hello' }))
})

test('what is declared is logged with the text, also of keys that no router reads yet', async () => {
  await rate({ feature: 'first', surface: 'chat', secret: 'not this' })
  await sample.services.log!.flushed()
  const folder = `${sample.root}/log`
  const files = (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort()
  const lines = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))
  const last = JSON.parse(lines.join('').trim().split('\n').at(-1)!)
  expect(readTranscript(last.text).context).toEqual({ feature: 'first', surface: 'chat' })
  expect(lines.join('')).not.toContain('not this')
})

test.each([
  [{ keys: [{ name: 'a', sha256: keyHash('a'), context: { tenant: {} } }] }],
  [{ keys: [{ name: 'a', sha256: keyHash('a'), context: { 'a b': 'x' } }] }],
  [{ context: { trusted: 'tenant' } }],
  [{ context: { trust: ['tenant'] } }],
])('a server is refused the configuration %j', async (config) => {
  const { ServeConfig } = await import('../../serving/server/config.ts')
  const { Value } = await import('typebox/value')
  expect(Value.Check(ServeConfig, { routers: [{ path: 'x' }], ...config })).toBe(false)
})

test('a header’s values become metadata without touching the body’s', () => {
  const metadata = { a: 1 }
  expect(withContextHeader(metadata, undefined)).toBe(metadata)
  expect(withContextHeader(metadata, 'b=2')).toEqual({ a: 1, b: '2' })
  expect(withContextHeader(metadata, '__proto__=x, constructor=y')).toEqual({
    a: 1,
    constructor: 'y',
  })
  expect(metadata).toEqual({ a: 1 })
})
