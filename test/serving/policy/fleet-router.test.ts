import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRemote } from '../../../models/encoders/encoder.ts'
import { type FleetRouter, fleetRouter } from '../../../serving/policy/learned-router.ts'
import type { Fleet } from '../../../serving/router/fleet.ts'
import { EASY, HARD } from '../gateway/gateway-app.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'

let sample: SampleApp
let logged = 0
const routerOf = (fleet: Fleet, draws = false): FleetRouter =>
  fleetRouter({ decider: sample.services.decider, fleet, draws })
beforeAll(async () => {
  sample = await sampleApp({
    bundles: [{}, { name: 'other' }],
    config: () => ({
      aliases: { best: 'sample' },
      splits: {
        both: [
          { router: 'sample', weight: 1 },
          { router: 'other', weight: 1 },
        ],
      },
      shadows: [{ of: 'other', router: 'sample' }],
    }),
    services: { observers: [() => logged++] },
  })
})
afterAll(() => sample.close())

/** The same fleet, one router's encoder being an endpoint. */
function withRemote(name: string): Fleet {
  const { fleet } = sample.services
  const { router } = fleet.snapshot!.routers.get(name)!
  const encoder = { ...router.manifest.encoder, kind: 'openai' }
  const change = <T extends { router: typeof router }>(live: T): T =>
    live.router === router
      ? { ...live, router: { ...router, manifest: { ...router.manifest, encoder } } }
      : live
  const targets = new Map(
    [...fleet.snapshot!.targets].map(([key, target]) => [
      key,
      {
        ...target,
        arms: target.arms.map((arm) => ({ ...arm, live: change(arm.live) })),
        shadows: target.shadows.map(change),
      },
    ]),
  )
  return { ...fleet, snapshot: { ...fleet.snapshot!, targets } }
}

describe('the server’s routers, as policies see them', () => {
  it('are known by name, alias, split and the names of RouteLLM', () => {
    const router = routerOf(sample.services.fleet)
    for (const name of ['sample', 'best', 'both', 'router-sample-0.4']) {
      expect(router.has(name)).toBe(true)
    }
    expect(router.has('nobody')).toBe(false)
    expect(() => router.has('router-sample-2')).toThrow('its threshold from 0 to 1')
  })

  it('say what each of them picks between', () => {
    const router = routerOf(sample.services.fleet)
    expect(router.pairs('best')).toEqual([{ router: 'sample', strong: 'big', weak: 'small' }])
    expect(router.pairs('both')).toHaveLength(2)
    expect(router.pairs('nobody')).toEqual([])
  })

  it('are remote where any encoder behind the name is: of an arm, or of a shadow', () => {
    const local = routerOf(sample.services.fleet)
    for (const name of ['sample', 'other', 'both', undefined])
      expect(local.remote(name)).toBe(false)
    const one = routerOf(withRemote('other'))
    expect(one.remote('other')).toBe(true)
    expect(one.remote('both')).toBe(true)
    expect(one.remote('sample')).toBe(false)
    // `other` is decided beside by the shadow `sample`
    expect(routerOf(withRemote('sample')).remote('other')).toBe(true)
  })

  it('say beforehand what they would decide, and leave no trace', async () => {
    const router = routerOf(sample.services.fleet)
    const before = logged
    for (const prompt of [HARD, EASY]) {
      const preview = await router.preview!({ prompt, router: 'best' }, {})
      const decision = await router.route({ prompt, router: 'best' }, {})
      expect(preview).toMatchObject({ model: decision.model, win_rate: decision.win_rate })
    }
    // the two that were routed
    expect(logged - before).toBe(2)
    const certain = router.preview!({ prompt: EASY, router: 'router-sample-0' }, {})
    expect(await certain).toMatchObject({ model: 'big', threshold: 0 })
  })

  it('do not say so where chance has a part in it, or the key may not', async () => {
    const { fleet } = sample.services
    expect(await routerOf(fleet).preview!({ prompt: EASY, router: 'both' }, {})).toBeUndefined()
    expect(await routerOf(fleet, true).preview!({ prompt: EASY }, {})).toBeUndefined()
    const held = { routers: new Set(['other']) }
    await expect(routerOf(fleet).preview!({ prompt: EASY, router: 'best' }, held)).rejects.toThrow(
      'may not use the router',
    )
  })
})

it('an encoder is remote where it or a part of it is an endpoint', () => {
  const spec = { kind: 'lexical', options: {} }
  const part = { ...spec, id: 'x', dimension: 1, output: 'dense' as const, files: [] }
  expect(isRemote(spec)).toBe(false)
  expect(isRemote({ kind: 'openai', options: {} })).toBe(true)
  const joined = { kind: 'joined', options: { parts: [part, { ...part, kind: 'openai' }] } }
  expect(isRemote(joined)).toBe(true)
})
