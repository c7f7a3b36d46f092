import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import type { Encoder } from '../../../models/encoders/encoder.ts'
import type { Plan } from '../../../serving/gateway/contracts.ts'
import type { FleetRouter } from '../../../serving/policy/learned-router.ts'
import {
  type LivePolicies,
  type LivePoliciesOptions,
  openPolicies,
  type PolicyLoaded,
  type PolicyRefused,
} from '../../../serving/policy/live-policies.ts'
import { EncoderPool } from '../../../serving/policy/text-readers.ts'

import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const MODELS = 'version: 1\nmodels: { strong: {}, weak: {} }\n'
const LEARNED = `${MODELS}learned: {}\ndefault: weak\n`
const RULES = `${MODELS}default: weak\n`
const SEMANTIC = `${MODELS}default: weak
semantic:
  encoder: letters
  routes:
    - { name: a, route: strong, examples: [aa, aaa] }
    - { name: b, route: weak, examples: [bb, bbb] }
`

let root: string
let open: LivePolicies | undefined
const encoders = { opened: 0, closed: 0 }
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-live-'))
  Object.assign(encoders, { opened: 0, closed: 0 })
})
afterEach(async () => {
  await open?.close()
  open = undefined
  await rm(root, { recursive: true })
})

/** Counts of the letters a and b. */
async function letters(): Promise<Encoder> {
  encoders.opened++
  return {
    spec: { kind: 'letters', id: 'letters', dimension: 2, output: 'dense', files: [], options: {} },
    async encode(prompts) {
      const values = Float32Array.from(
        prompts.flatMap((text) => [text.split('a').length - 1, text.split('b').length - 1]),
      )
      const embeddings = { kind: 'dense' as const, rows: prompts.length, dimension: 2, values }
      return { embeddings, truncated: new Uint8Array(prompts.length) }
    },
    async close() {
      encoders.closed++
    },
  }
}

const router = (winRate = 0.9, more: Partial<FleetRouter> = {}): FleetRouter => {
  const learned = fakeRouter({ winRate: () => winRate })
  return {
    ...learned,
    preview: async (request, caller) => learned.route(request, caller),
    pairs: () => [{ router: 'r', strong: 'strong', weak: 'weak' }],
    ...more,
  }
}

async function policies(
  texts: Readonly<Record<string, string>>,
  options: Partial<LivePoliciesOptions> = {},
): Promise<LivePolicies> {
  const sources = []
  for (const [name, text] of Object.entries(texts)) {
    const path = join(root, `${name}.yaml`)
    await writeFile(path, text)
    sources.push({ name, path, weight: 1 })
  }
  open = await openPolicies({
    sources,
    models: ['strong', 'weak'],
    learned: router(),
    encoders: new EncoderPool(letters),
    now: () => 1000,
    ...options,
  })
  return open
}

const planning = {
  signal: new AbortController().signal,
  send: () => Promise.reject(new Error('asked a model')),
}
const ask = (live: LivePolicies, more: Parameters<typeof requestOf>[0] = {}): Promise<Plan> =>
  live.plan(requestOf({ text: 'hello', ...more }), planning)
const first = (plan: Plan): string =>
  plan.kind === 'serve' ? plan.targets[0]!.model : plan.message

describe('a policy that is reloaded', () => {
  it('serves on for a request that has begun, its encoder open until the end', async () => {
    let release: () => void = () => {}
    const waiting = new Promise<void>((resolve) => {
      release = resolve
    })
    const asked = { first: () => {} }
    const begun = new Promise<void>((resolve) => {
      asked.first = resolve
    })
    const learned = fakeRouter()
    const live = await policies(
      { only: `${SEMANTIC}learned: {}\n` },
      {
        learned: router(0.9, {
          route: async (request, caller) => {
            asked.first()
            await waiting
            return learned.route(request, caller)
          },
        }),
      },
    )
    const before = live.status[0]!.hash
    const running = ask(live, { text: 'hello' })
    await begun
    await writeFile(join(root, 'only.yaml'), RULES)
    await live.reload('a policy changed')
    expect(encoders).toEqual({ opened: 1, closed: 0 })
    expect((await ask(live)).policy?.hash).not.toBe(before)
    release()
    expect(await running).toMatchObject({ policy: { hash: before }, deciding: { step: 'learned' } })
    expect(encoders).toEqual({ opened: 1, closed: 1 })
  })

  it('opens an encoder once for all its texts', async () => {
    const live = await policies({ one: SEMANTIC, two: SEMANTIC })
    expect(first(await ask(live, { text: 'aaaa' }))).toBe('strong')
    await writeFile(join(root, 'one.yaml'), `${SEMANTIC}# changed\n`)
    await live.reload('admin')
    expect(encoders).toEqual({ opened: 1, closed: 0 })
    await live.close()
    expect(encoders).toEqual({ opened: 1, closed: 1 })
  })

  it('is told of, with what it takes the place of; one that must not serve is refused', async () => {
    const loaded: PolicyLoaded[] = []
    const refused: PolicyRefused[] = []
    const live = await policies(
      { one: RULES },
      {
        hooks: {
          admit({ text }) {
            if (text.includes('learned')) throw new WeirError('policy_refused', { message: 'no' })
          },
          onPolicyLoaded: (event) => void loaded.push(event),
          onPolicyRefused: (event) => void refused.push(event),
        },
      },
    )
    const path = join(root, 'one.yaml')
    expect(loaded).toMatchObject([{ path, text: RULES, previousHash: undefined, why: 'start' }])
    await live.reload('admin')
    expect(loaded).toHaveLength(1)
    await writeFile(path, `${RULES}# two\n`)
    await live.reload('SIGHUP')
    expect(loaded[1]).toMatchObject({
      text: `${RULES}# two\n`,
      previousText: RULES,
      previousHash: loaded[0]!.hash,
      at: 1000,
      why: 'SIGHUP',
    })
    await writeFile(path, LEARNED)
    await expect(live.reload('admin')).rejects.toThrow('no')
    expect(refused).toMatchObject([{ path, why: 'admin' }])
    expect(live.status[0]!.hash).toBe(loaded[1]!.hash)
  })

  it('takes all of several files, or none', async () => {
    const live = await policies({ one: RULES, two: RULES })
    await writeFile(join(root, 'one.yaml'), LEARNED)
    await writeFile(join(root, 'two.yaml'), 'version: 2')
    await expect(live.reload('admin')).rejects.toThrow('two.yaml:1: version')
    expect(new Set(live.status.map(({ hash }) => hash)).size).toBe(1)
  })
})

describe('policies that share the requests', () => {
  const split = (
    texts: Readonly<Record<string, string>>,
    more: Partial<LivePoliciesOptions> = {},
  ) => policies(texts, more)

  it('get their shares, and each session always the same one', async () => {
    const live = await split({ learned: LEARNED, rules: RULES })
    const seen = new Map<string, number>()
    for (let i = 0; i < 400; i++) {
      const hints = { session_id: `session ${i}` }
      const { policy } = await ask(live, { hints, id: `a${i}` })
      seen.set(policy!.name, (seen.get(policy!.name) ?? 0) + 1)
      if (i < 20) expect((await ask(live, { hints, id: `b${i}` })).policy).toEqual(policy)
    }
    // three standard deviations of a fair coin thrown 400 times
    expect(Math.abs(seen.get('learned')! - 200)).toBeLessThan(30)
  })

  it('split by the key where there is no session, and by the request where there is none either', async () => {
    const live = await split({ learned: LEARNED, rules: RULES })
    const names = async (caller: string) => {
      const plans = Array.from({ length: 30 }, (_, i) =>
        ask(live, { id: `r${i}`, caller: { name: caller } }),
      )
      return new Set((await Promise.all(plans)).map(({ policy }) => policy!.name)).size
    }
    expect(await names('team')).toBe(1)
    expect(await names('anyone')).toBe(2)
  })

  it('give a model the chance that all of them together give it', async () => {
    const chance = async (texts: Readonly<Record<string, string>>, winRate: number) => {
      const live = await split(texts, { learned: router(winRate) })
      const found = new Map<string, number>()
      for (let i = 0; i < 40; i++) {
        const plan = await ask(live, { id: `r${i}`, caller: { name: 'anyone' } })
        if (plan.kind === 'serve') found.set(first(plan), plan.propensity)
      }
      await live.close()
      return Object.fromEntries(found)
    }
    expect(await chance({ learned: LEARNED, rules: RULES }, 0.9)).toEqual({
      strong: 0.5,
      weak: 0.5,
    })
    expect(await chance({ learned: LEARNED, rules: RULES }, 0.1)).toEqual({ weak: 1 })
    expect(await chance({ a: RULES, b: `${RULES}# b\n`, c: LEARNED }, 0.9)).toEqual({
      weak: expect.closeTo(2 / 3, 10),
      strong: expect.closeTo(1 / 3, 10),
    })
  })
})
