import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serveConfig } from '../../../scripts/cli/serve-config.ts'
import { createReloader, type Reloader } from '../../../serving/server/reloader.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from '../gateway/gateway-app.ts'

const POLICY = `version: 1
models: { small: { private: true }, big: { tools: true } }
routes:
  shout: { models: [big], system: SHOUT, parameters: { temperature: 0 } }
privacy: { tags: [secret] }
guardrails:
  - { name: no-bombs, when: { keywords: [bomb] }, message: Not here. }
  - { name: no-poems, when: { keywords: [poem] }, message: No poems., as: answer }
rules:
  - { name: loud, when: { keywords: [shout] }, route: shout }
learned: {}
default: small
`
const notes: string[] = []
let noted = (): void => {}
let root: string
let path: string
let gateway: GatewayApp
let reloader: Reloader
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-policy-'))
  path = join(root, 'rules.yaml')
  await writeFile(path, POLICY)
  gateway = await gatewayApp({ policy: path })
  const { fleet, policies } = gateway.services
  reloader = createReloader({
    fleet,
    policies,
    onReload: () => {},
    onNote: (message, error) => {
      notes.push(`${message} ${(error as Error | undefined)?.message}`)
      noted()
    },
  })
})
beforeEach(() => {
  notes.length = 0
  gateway.small.received.length = 0
  gateway.big.received.length = 0
})
afterEach(() => expect(gateway.bugs).toEqual([]))
afterAll(async () => {
  await gateway.close()
  await rm(root, { recursive: true })
})

const ask = (content: string, weir: object = {}, model = 'weir') =>
  gateway.app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model, messages: user(content), weir },
  })

describe('a gateway with a policy', () => {
  it('sends what a rule matches to its specialist, and says which rule of which policy', async () => {
    const { headers } = await ask('shout it', { explain: true })
    expect(headers['x-weir-model']).toBe('big')
    expect(headers['x-weir-step']).toBe('rule')
    expect(headers['x-weir-rule']).toBe('loud')
    expect(headers['x-weir-policy']).toMatch(/^rules@[0-9a-f]{12}$/)
    expect(headers['x-weir-steps']).toBe('hard_limit, guardrail, model_named, rule=loud;matched')
    expect(gateway.big.received[0]!.body).toMatchObject({
      temperature: 0,
      messages: [{ role: 'system', content: 'SHOUT' }, { content: 'shout it' }],
    })
    expect((await ask('shout it')).headers['x-weir-steps']).toBeUndefined()
  })

  it('asks the learned router where no rule holds', async () => {
    expect((await ask(HARD)).headers['x-weir-model']).toBe('big')
    const easy = await ask(EASY)
    expect(easy.headers['x-weir-model']).toBe('small')
    expect(easy.headers['x-weir-step']).toBe('learned')
    expect(Number(easy.headers['x-weir-win-rate'])).toBeLessThan(0.5)
  })

  it('lets nothing sensitive out, whoever is named', async () => {
    const weir = { metadata: { tags: ['secret'] } }
    expect((await ask(HARD, weir)).headers['x-weir-model']).toBe('small')
    const named = await ask(HARD, weir, 'big')
    expect(named.statusCode).toBe(403)
    expect(named.json().error.message).toContain('big: sensitive, and the model is not private')
    expect(gateway.big.received).toEqual([])
  })

  it('holds what is not routed to the same limits', async () => {
    const pass = (url: string, payload: object) =>
      gateway.app.inject({ method: 'POST', url, payload, headers: { 'x-weir-tags': 'secret' } })
    const input = [{ role: 'user', content: [{ type: 'input_text', text: 'how to make a bomb' }] }]
    const responses = await pass('/v1/responses', { model: 'big', input })
    expect(responses.statusCode).toBe(403)
    expect(responses.json().error.message).toContain('big: sensitive')
    const small = await pass('/v1/responses', { model: 'small', input })
    expect(small.json().error.message).toBe('Not here.')
    expect((await pass('/v1/embeddings', { model: 'small', input: 'hello' })).statusCode).toBe(200)
    expect((await pass('/v1/embeddings', { model: 'big', input: 'hello' })).statusCode).toBe(403)
    expect(gateway.big.received).toEqual([])
  })

  it('refuses with the message of a guardrail, as an error or as an answer', async () => {
    const error = await ask('how to make a bomb')
    expect([error.statusCode, error.json().error.message]).toEqual([403, 'Not here.'])
    const answer = await ask('write a poem')
    expect(answer.statusCode).toBe(200)
    expect(answer.json().choices[0].message.content).toBe('No poems.')
  })

  it('lists what a request may name', async () => {
    const { data } = (await gateway.app.inject('/v1/models')).json()
    const names = data.map(({ id }: { id: string }) => id)
    expect(names).toEqual(['sample', 'default', 'weir', 'weir/shout', 'small', 'big'])
    for (const model of names) expect((await ask(EASY, {}, model)).statusCode).toBe(200)
  })

  it('counts decisions by policy, step and rule', async () => {
    const { body } = await gateway.app.inject('/metrics')
    expect(body).toContain('weir_policy_decisions_total{policy="rules",step="rule",code="ok"} 2')
    expect(body).toMatch(
      /weir_policy_decisions_total\{policy="rules",step="guardrail",code="policy_refused"\} 2/,
    )
    expect(body).toContain('weir_policy_rule_hits_total{policy="rules",step="rule",name="loud"} 2')
    expect(body).toMatch(/weir_policy_info\{policy="rules",hash="[0-9a-f]{12}"\} 1/)
    expect(body).toContain('weir_policy_cost_usd_total{policy="rules"}')
  })

  it('is read again by a reload, and a bad file is refused by line while the old one serves', async () => {
    const before = gateway.services.policies!.status[0]!.hash
    await writeFile(path, POLICY.replace('route: shout', 'route: shuot'))
    await expect(reloader.reload()).rejects.toThrow(
      `${path}:10: rules.0.route: expected one of shout`,
    )
    expect(notes[0]).toContain('reload refused, what was loaded serves on')
    expect((await ask('shout it')).headers['x-weir-policy']).toBe(`rules@${before}`)

    await writeFile(path, POLICY.replace('SHOUT', 'WHISPER'))
    const { policies } = await reloader.reload()
    expect(policies).toMatchObject([{ path, replaced: before, share: 1 }])
    await ask('shout it')
    expect(gateway.big.received.at(-1)!.body.messages).toContainEqual({
      role: 'system',
      content: 'WHISPER',
    })
    expect(notes.at(-1)).toContain(`serves now, in place of ${before}`)
  })

  it('is noticed when its file changes, or goes', async () => {
    const { policies } = gateway.services
    expect(await policies!.changed()).toEqual([])
    await writeFile(path, POLICY)
    expect(await policies!.changed()).toHaveLength(1)
    await policies!.reload('a policy changed')
    expect(await policies!.changed()).toEqual([])
    await rm(path)
    expect(await policies!.changed()).toEqual([`${path} is gone`])
    await expect(policies!.reload('a policy changed')).rejects.toMatchObject({
      code: 'file_not_found',
    })
    await writeFile(path, POLICY)
  })
})

it('policies that share the requests are told apart in headers, metrics and what is logged', async () => {
  const sources = []
  for (const [name, text] of Object.entries({
    learned: POLICY,
    rules: POLICY.replace('learned: {}\n', ''),
  })) {
    const file = join(root, `${name}.yaml`)
    await writeFile(file, text)
    sources.push({ name, path: file, weight: 1 })
  }
  const app = await gatewayApp({ policies: sources })
  try {
    const seen = new Map<string, number>()
    for (let i = 0; i < 12; i++) {
      const { headers } = await app.app.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        payload: { model: 'weir', messages: user(HARD), weir: { session_id: `s${i}` } },
      })
      const name = String(headers['x-weir-policy']).split('@')[0]!
      seen.set(name, (seen.get(name) ?? 0) + 1)
      expect(headers['x-weir-model']).toBe(name === 'learned' ? 'big' : 'small')
    }
    expect([...seen.keys()].sort()).toEqual(['learned', 'rules'])
    for (const { plan } of app.served) expect(plan).toMatchObject({ propensity: 0.5 })
    const { body } = await app.app.inject('/metrics')
    for (const [name, step] of [
      ['learned', 'learned'],
      ['rules', 'default'],
    ] as const) {
      expect(body).toContain(
        `weir_policy_decisions_total{policy="${name}",step="${step}",code="ok"} ${seen.get(name)}`,
      )
    }
    expect(app.bugs).toEqual([])
  } finally {
    await app.close()
  }
})

it('a watched file is taken as it changes, a bad one refused once and said so', async () => {
  const said = (text: string): Promise<void> =>
    new Promise((resolve) => {
      noted = () => {
        if (notes.some((note) => note.includes(text))) resolve()
      }
    })
  notes.length = 0
  const bad = said('rules.yaml:1: version: expected 1, got 2')
  // whole at once, as editors do
  const write = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text)
    await rename(`${path}.new`, path)
  }
  reloader.watch(5)
  await write(POLICY.replace('version: 1', 'version: 2'))
  await bad
  const tries = notes.length
  const good = said('serves now')
  await write(`${POLICY}# watched\n`)
  await good
  reloader.close()
  expect(notes.filter((note) => note.includes('reload refused'))).toHaveLength(1)
  expect(tries).toBe(2)
})

describe('a gateway is not started', () => {
  const start = (text: string) => async () => {
    const file = join(root, 'bad.yaml')
    await writeFile(file, text)
    return gatewayApp({ policy: file }).then((app) => app.close())
  }
  it('with a policy that asks for a model nobody serves', async () => {
    await expect(start(POLICY.replace('big: {', 'huge: {}, big: {'))()).rejects.toThrow(
      /bad\.yaml:2: models\.huge: expected one of gateway\.models \(small, big\)/,
    )
  })
  it('with a policy and policies, or two of one name', async () => {
    const one = { name: 'a', path, weight: 1 }
    await expect(gatewayApp({ policy: path, policies: [one] })).rejects.toThrow(
      'expected either policy or policies, got both',
    )
    await expect(gatewayApp({ policies: [one, one] })).rejects.toThrow('a twice')
  })
  it('with a policy that does not know what its router picks', async () => {
    const text = 'version: 1\nmodels: { small: {} }\nlearned: {}\ndefault: small\n'
    await expect(start(text)()).rejects.toThrow(
      /bad\.yaml:3: learned: expected big, the strong model of the router sample/,
    )
  })
})

it('weir serve --policy is the gateway’s policy, and refused without a gateway', async () => {
  await expect(serveConfig(['bundles/a'], { policy: 'p.yaml' })).rejects.toThrow('--policy')
  const config = join(root, 'weir.json')
  const gatewaySection = { upstreams: {}, models: {}, policies: [] }
  await writeFile(config, JSON.stringify({ gateway: { ...gatewaySection, policies: undefined } }))
  const { gateway: section } = await serveConfig(['bundles/a'], { config, policy: 'p.yaml' })
  expect(section?.policy).toBe('p.yaml')
})
