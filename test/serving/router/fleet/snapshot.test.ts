import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { readDecisionLog } from '../../../../records/log-reader.ts'
import { type SampleApp, type SampleAppOptions, sampleApp } from '../../sample-app.ts'

let opened: SampleApp | undefined
afterEach(async () => {
  await opened?.close()
  opened = undefined
})

const post = async (body: object) =>
  opened!.app.inject({ method: 'POST', url: '/route', payload: { prompt: 'why', ...body } })
const open = async (options: SampleAppOptions) => {
  opened = await sampleApp(options)
}

describe('router names', () => {
  test('a request picks by name, by alias, and gets the default without one', async () => {
    await open({
      bundles: [{ name: 'a' }, { name: 'b' }],
      config: () => ({ default: 'b', aliases: { cheap: 'a' } }),
    })
    const name = async (router?: string) =>
      (await post(router ? { router } : {})).json().router.name
    expect([await name(), await name('default'), await name('a'), await name('cheap')]).toEqual([
      'b',
      'b',
      'a',
      'a',
    ])
    const { data } = (await opened!.app.inject('/v1/models')).json()
    expect(data.map(({ id }: { id: string }) => id).sort()).toEqual(['a', 'b', 'cheap', 'default'])
    expect(data[0]).toMatchObject({
      object: 'model',
      owned_by: 'weir',
      created: expect.any(Number),
    })
  })

  test.each([
    ['router-sample-0.116', 0.116],
    ['router-sample-1', 1],
    ['router-classifier-.5', 0.5],
  ])('understands %s as RouteLLM does', async (router, threshold) => {
    await open({})
    expect((await post({ router })).json()).toMatchObject({ threshold, router: { name: 'sample' } })
  })

  test.each([
    'router-sample',
    'router-sample-',
    'router-sample-x',
    'router-sample-1.5',
    'router-sample-1e-3',
    'router--0.5',
  ])('refuses the malformed %s with 400', async (router) => {
    await open({})
    const response = await post({ router })
    expect(response.statusCode).toBe(400)
    expect(response.json().error.code).toBe('router_name_invalid')
  })

  test('does not know a router of a family that is not served', async () => {
    await open({})
    expect((await post({ router: 'router-mf-0.5' })).json().error.code).toBe('router_unknown')
  })
})

describe('splits', () => {
  const split = {
    splits: {
      default: [
        { router: 'a', weight: 3 },
        { router: 'b', weight: 1 },
      ],
    },
  }

  test('share sessions by weight, each session always with the same router', async () => {
    await open({ bundles: [{ name: 'a' }, { name: 'b', threshold: 0.9 }], config: () => split })
    const count = { a: 0, b: 0 }
    for (let i = 0; i < 400; i++) {
      const first = (await post({ session_id: `s${i}` })).json().router.name as 'a' | 'b'
      count[first]++
      if (i % 40 === 0) expect((await post({ session_id: `s${i}` })).json().router.name).toBe(first)
    }
    // binomial with n = 400, p = .75: four standard errors are 35
    expect(Math.abs(count.a - 300)).toBeLessThan(35)
  })

  test('give a model the probability of the arms that choose it', async () => {
    await open({
      bundles: [{ name: 'a' }, { name: 'b', threshold: 0.999 }],
      config: () => split,
    })
    const decision = (await post({ prompt: 'prove it', router: 'default' })).json()
    const of = Object.fromEntries(
      decision.candidates.map((c: { model: string; propensity: number }) => [
        c.model,
        c.propensity,
      ]),
    )
    // a sends it strong at .5, b sends it weak at .999
    expect(of).toEqual({ big: 0.75, small: 0.25 })
    expect(decision.propensity).toBe(of[decision.model])
    const agreed = (await post({ prompt: 'hello hello' })).json()
    expect(agreed).toMatchObject({ model: 'small', propensity: 1 })
  })
})

test('a shadow decides beside its router, is logged and never answered with', async () => {
  await open({
    bundles: [{ name: 'a' }, { name: 'b', threshold: 0.999 }],
    config: (root) => ({ shadows: [{ of: 'a', router: 'b' }], log: { folder: join(root, 'log') } }),
  })
  const decision = (await post({ prompt: 'prove it' })).json()
  expect(decision).toMatchObject({ model: 'big', router: { name: 'a' } })
  await new Promise((resolve) => setTimeout(resolve, 0))
  await opened!.services.log!.flushed()
  const lines = []
  for await (const { record } of readDecisionLog(join(opened!.root, 'log'))) lines.push(record)
  expect(lines.slice(1)).toMatchObject([
    { id: decision.id, router: 'a', model: 'big' },
    { id: decision.id, router: 'b', model: 'small', shadow: true },
  ])
})

test.each([
  [{ default: 'nobody' }, 'default'],
  [{ aliases: { x: 'nobody' } }, 'aliases.x'],
  [
    {
      splits: {
        x: [
          { router: 'nobody', weight: 1 },
          { router: 'sample', weight: 1 },
        ],
      },
    },
    'splits.x',
  ],
  [{ shadows: [{ of: 'nobody', router: 'sample' }] }, 'shadows'],
  [{ aliases: { sample: 'sample' } }, 'sample'],
])('refuses a configuration that names nothing: %j', async (config, where) => {
  await expect(sampleApp({ config: () => config })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(where),
  })
})
