import { afterEach, describe, expect, test } from 'vitest'
import type { EnsembleSettings } from '../../../serving/strategies/kinds/ensemble.ts'
import type { Asked, Reply } from './answering-upstream.ts'
import { ask, COST, type ModelName, type StrategyApp, strategyApp, stream } from './strategy-app.ts'

let app: StrategyApp
const ALL = [{ model: 'small' }, { model: 'big' }, { model: 'judge' }]
const open = async (
  settings: EnsembleSettings,
  replies: Partial<Record<ModelName, Reply>> = {},
  gateway: Parameters<typeof strategyApp>[1] = {},
): Promise<void> => {
  app = await strategyApp(settings, gateway)
  for (const [name, reply] of Object.entries(replies)) {
    app.upstreams[name as ModelName].reply = () => reply
  }
}
const strategyOf = (headers: Headers): string | null => headers.get('x-weir-strategy')

afterEach(async () => {
  expect(app.bugs).toEqual([])
  for (const { attempts } of app.served) {
    const answered = attempts.filter(({ outcome }) => outcome === 'answered')
    expect(attempts.filter(({ costUsd }) => costUsd !== undefined)).toEqual(answered)
  }
  // nothing is under way once the answer is there
  await expect
    .poll(() => Object.values(app.upstreams).reduce((sum, { open }) => sum + open, 0))
    .toBe(0)
  await app.close()
})

describe('majority', () => {
  const settings = { kind: 'ensemble', mode: 'majority' } as const

  test('the answer that most models gave, whoever they are, and all of them are billed', async () => {
    await open(settings, {
      small: { text: 'Forty-one' },
      big: { text: '42' },
      judge: { text: 'It is 42.' },
    })
    app.plan = { targets: ALL }
    app.upstreams.judge.reply = () => ({ text: ' 42. ' })
    const { text, headers } = await ask(app)
    expect(text).toBe('42')
    expect(headers.get('x-weir-model')).toBe('big')
    expect(strategyOf(headers)).toBe('ensemble; mode=majority; agreement=2/3')
    const [served] = app.served
    expect(served!.attempts.filter(({ outcome }) => outcome === 'cancelled').length).toBeLessThan(2)
    const cost = served!.attempts.reduce((sum, { model, outcome }) => {
      return outcome === 'answered' ? sum + COST[model as ModelName] : sum
    }, 0)
    expect(Number(headers.get('x-weir-cost-usd'))).toBeCloseTo(cost, 8)
  })

  test('samples of one model, compared by what a pattern captures', async () => {
    await open({ ...settings, samples: 5, temperature: 0.9, pattern: '(\\d+)' })
    app.plan = { targets: [{ model: 'small' }] }
    const texts = ['it is 41', '42 it is', 'maybe 42', 'so 42', 'no idea']
    app.upstreams.small.reply = (_, nth) => ({ text: texts[nth - 1]! })
    const { text, headers } = await ask(app)
    expect(text).toContain('42')
    expect(strategyOf(headers)).toContain('agreement=3/5')
    expect(app.upstreams.small.asked.every((body) => body.temperature === 0.9)).toBe(true)
  })

  test('as many samples as there may be, without a warning of leaks', async () => {
    const warnings: Error[] = []
    const hear = (warning: Error): void => void warnings.push(warning)
    process.on('warning', hear)
    await open({ ...settings, samples: 32 }, {}, { attempts: 2 })
    app.plan = { targets: [{ model: 'small' }] }
    app.upstreams.small.reply = (_, nth) => (nth % 3 === 0 ? { status: 500 } : { text: `${nth}` })
    const { headers } = await ask(app)
    expect(strategyOf(headers)).toContain('agreement=1/32')
    process.off('warning', hear)
    expect(warnings).toEqual([])
  })

  test('who could not change it any more is given up', async () => {
    await open(settings, { small: { text: 'yes' }, big: { text: 'Yes!' }, judge: { hang: true } })
    app.plan = { targets: ALL }
    const { text } = await ask(app)
    expect(text).toBe('yes')
    await expect.poll(() => app.upstreams.judge.cut).toBe(1)
    expect(app.served[0]!.attempts.map(({ outcome }) => outcome).sort()).toEqual([
      'answered',
      'answered',
      'cancelled',
    ])
  })

  test('of answers that as many gave, the earlier model’s', async () => {
    await open(settings, { small: { text: 'a' }, big: { text: 'b' } })
    const { text, headers } = await ask(app)
    expect(text).toBe('a')
    expect(strategyOf(headers)).toContain('agreement=1/2')
  })

  test('members that fail are done without, down to the quorum', async () => {
    await open(settings, { small: { status: 500 }, big: { text: 'b' }, judge: { text: 'c' } })
    app.plan = { targets: ALL }
    expect((await ask(app)).text).toBe('b')
    app.upstreams.big.reply = () => ({ status: 500 })
    await expect(ask(app)).rejects.toMatchObject({ status: 502, code: 'answers_too_few' })
  })

  test('of two one will do, unless more are asked for', async () => {
    await open(settings, { small: { status: 500 }, big: { text: 'b' } })
    expect((await ask(app)).text).toBe('b')
    await app.close()
    await open({ ...settings, quorum: 2 }, { small: { status: 500 }, big: { text: 'b' } })
    await expect(ask(app)).rejects.toMatchObject({ status: 502, code: 'answers_too_few' })
  })

  test('where all fail, the client is told how', async () => {
    await open(settings, { small: { status: 429 }, big: { status: 429 } })
    await expect(ask(app)).rejects.toMatchObject({ status: 429, code: 'upstream_rate_limited' })
    expect(app.served[0]!.costUsd).toBeUndefined()
  })

  test('who is late has failed', async () => {
    await open(
      { ...settings, timeout_ms: 1000, quorum: 1 },
      { small: { hang: true }, big: { text: 'b' } },
    )
    expect((await ask(app)).text).toBe('b')
    expect(app.served[0]!.attempts.map(({ outcome }) => outcome).sort()).toEqual([
      'answered',
      'timeout',
    ])
  })

  test('calls of tools are votes: arguments in another order are the same', async () => {
    await open(settings, {
      small: { text: 'no tool' },
      big: { tool: { name: 'f', arguments: '{"a":1,"b":2}' } },
      judge: { tool: { name: 'f', arguments: '{ "b": 2, "a": 1 }' } },
    })
    app.plan = { targets: ALL }
    const { body } = await ask(app)
    expect(body.choices[0]!.message.tool_calls).toHaveLength(1)
  })

  test('a streaming client gets the answer as a stream', async () => {
    await open(settings, { small: { text: 'yes' }, big: { text: 'yes' } })
    const { text, headers } = await stream(app)
    expect(text).toBe('yes')
    expect(headers.get('x-weir-attempts')).toBe('2')
    expect(app.served[0]!.costUsd).toBeCloseTo(COST.small + COST.big, 8)
  })

  test('one member alone is not held back: it streams', async () => {
    await open(settings, { small: { text: 'yes' } })
    app.plan = { targets: [{ model: 'small' }] }
    expect((await stream(app)).text).toBe('yes')
    expect(app.upstreams.small.asked[0]).toMatchObject({ stream: true })
  })
})

describe('best of, by a judge', () => {
  const settings = {
    kind: 'ensemble',
    mode: 'best_of',
    judge: { model: 'judge' },
  } as const
  /** Picks what is said to be good, wherever it stands. */
  const picky = (body: Asked): Reply => {
    const { answers } = JSON.parse(body.messages.at(-1)!.content) as {
      answers: { number: number; answer: string }[]
    }
    return { text: `{"best": ${answers.find(({ answer }) => answer.includes('good'))!.number}}` }
  }

  test('the answer that it picks, in whatever order it saw them', async () => {
    await open(settings, { small: { text: 'bad' }, big: { text: 'good' } })
    app.upstreams.judge.reply = picky
    const orders = new Set<string>()
    for (let i = 0; i < 12; i++) {
      const { text, headers } = await ask(app)
      expect(text).toBe('good')
      expect(strategyOf(headers)).toBe('ensemble; mode=best_of; answers=2/2; judge=picked')
      expect(Number(headers.get('x-weir-cost-usd'))).toBeCloseTo(0.026, 8)
      orders.add(app.upstreams.judge.asked.at(-1)!.messages.at(-1)!.content)
    }
    expect(orders.size).toBe(2)
  })

  const silent: [string, Reply, string][] = [
    ['hangs', { hang: true }, 'judge_failed'],
    ['says words', { text: 'The first one is best' }, 'judge_malformed'],
    ['picks what is not there', { text: '{"best": 3}' }, 'judge_malformed'],
    ['picks none', { text: '0' }, 'judge_malformed'],
    ['picks between two', { text: '{"best": 1.5}' }, 'judge_malformed'],
  ]
  for (const [what, reply, reason] of silent) {
    test(`one that ${what}: the first model’s answer`, async () => {
      const patience = reply.hang ? { timeout_ms: 200 } : {}
      const its = { ...settings, judge: { ...settings.judge, ...patience } }
      await open(its, { small: { text: 'a' }, big: { text: 'b' }, judge: reply })
      const { text, headers } = await ask(app)
      expect(text).toBe('a')
      expect(strategyOf(headers)).toContain(`judge=${reason}`)
    })
  }

  test('is not asked where there is nothing to choose', async () => {
    await open(settings, { small: { status: 500 }, big: { text: 'b' } })
    expect(strategyOf((await ask(app)).headers)).toContain('answers=1/2; judge=not_needed')
    app.upstreams.small.reply = () => ({ text: 'B.' })
    await ask(app)
    expect(app.upstreams.judge.asked).toEqual([])
  })

  test('the members leave it time', async () => {
    await open(settings, { small: { text: 'good' }, big: { hang: true } }, { deadline_ms: 1200 })
    expect((await ask(app)).text).toBe('good')
    expect(app.served[0]).toMatchObject({ status: 200 })
  })
})

describe('first good', () => {
  const settings = {
    kind: 'ensemble',
    mode: 'first_good',
    checks: [{ kind: 'regex', pattern: 'good' }],
  } as const

  test('the first answer that passes; the others are given up', async () => {
    await open(
      { ...settings, checks: [...settings.checks] },
      {
        small: { text: 'bad' },
        big: { text: 'good' },
        judge: { hang: true },
      },
    )
    app.plan = { targets: ALL }
    const { text, headers } = await ask(app)
    expect(text).toBe('good')
    expect(strategyOf(headers)).toContain('ended=passed')
    await expect.poll(() => app.upstreams.judge.cut).toBe(1)
  })

  test('where none passes, the first model’s, or an error where only checked answers will do', async () => {
    await open(
      { ...settings, checks: [...settings.checks] },
      { small: { text: 'a' }, big: { text: 'b' } },
    )
    const { text, headers } = await ask(app)
    expect(text).toBe('a')
    expect(strategyOf(headers)).toContain('ended=none_passed')
    await app.close()
    await open({ ...settings, checks: [...settings.checks], best_so_far: false })
    await expect(ask(app)).rejects.toMatchObject({ status: 502, code: 'answer_unchecked' })
  })
})

test('a client that goes takes every question of an ensemble with it', async () => {
  await open(
    { kind: 'ensemble', mode: 'majority', samples: 2 },
    { small: { hang: true }, big: { hang: true }, judge: { hang: true } },
  )
  app.plan = { targets: ALL }
  const leaving = new AbortController()
  const answer = app.client.chat.completions.create(
    { model: 'auto', messages: [{ role: 'user', content: 'x' }], stream: true },
    { signal: leaving.signal },
  )
  const under = () => Object.values(app.upstreams).reduce((sum, { open }) => sum + open, 0)
  await expect.poll(under).toBe(6)
  leaving.abort()
  await expect(answer).rejects.toThrow()
  await expect.poll(under).toBe(0)
  await expect.poll(() => app.served.length).toBe(1)
  expect(app.served[0]).toMatchObject({ code: 'cancelled', costUsd: undefined })
})

test('the deadline ends an ensemble whose members hang, within it', async () => {
  await open(
    { kind: 'ensemble', mode: 'majority' },
    { small: { hang: true }, big: { hang: true } },
    { deadline_ms: 300 },
  )
  await expect(ask(app)).rejects.toMatchObject({ status: 504 })
})
