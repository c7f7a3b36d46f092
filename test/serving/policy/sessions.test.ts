import { describe, expect, test } from 'vitest'
import {
  chooseAmongInSession,
  chooseInSession,
  type SessionState,
  sessionTurnCost,
  turnCost,
} from '../../../models/decision/session-cost.ts'
import type { GatewayRequest, Plan } from '../../../serving/gateway/contracts.ts'
import { stuckSigns, withSession } from '../../../serving/gateway/sessions.ts'

import { checkPolicy } from '../../../serving/policy/check.ts'
import type { LearnedRouter } from '../../../serving/policy/learned-router.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import type { PolicyServices } from '../../../serving/policy/step.ts'
import type { ChatTurn } from '../../../serving/upstreams/upstream.ts'
import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const SONNET = { input: 3, output: 15, cached_input: 0.3, cache_write: 3.75 }
const HAIKU = { input: 1, output: 5, cached_input: 0.1, cache_write: 1.25 }

describe('the price of switching', () => {
  test('is what must be read again, by the rates of the provider’s cache', () => {
    // 8,000 tokens at 0.30, 2,000 at 3.75 and 100 at 15 dollars a million
    expect(turnCost(SONNET, 10_000, 100, 8000)).toBeCloseTo(0.0024 + 0.0075 + 0.0015, 10)
    // too short for a cache: neither read nor written
    expect(turnCost(SONNET, 1000, 0, 900)).toBeCloseTo(0.003, 10)
    // a cache that has expired is none
    const turn = {
      promptTokens: 10_000,
      answerTokens: 0,
      growthTokens: 0,
      turns: 1,
      lifetimeMs: 300_000,
    }
    expect(sessionTurnCost(HAIKU, { tokens: 10_000, ageMs: 299_000 }, turn)).toBeCloseTo(0.001, 10)
    expect(sessionTurnCost(HAIKU, { tokens: 10_000, ageMs: 300_000 }, turn)).toBeCloseTo(0.0125, 10)
    // and its cost is spread over the turns that read it
    expect(sessionTurnCost(HAIKU, undefined, { ...turn, turns: 10 })).toBeCloseTo(
      (0.0125 + 9 * 0.001) / 10,
      10,
    )
  })

  const state = (more: Partial<SessionState> = {}): SessionState => ({
    winRate: 0.5,
    meanWinRate: 0.5,
    threshold: 0.5,
    last: 'weak',
    switchLoss: 0,
    strong: { price: SONNET, warm: undefined },
    weak: { price: HAIKU, warm: { tokens: 20_000, ageMs: 1000 } },
    turn: {
      promptTokens: 21_000,
      answerTokens: 300,
      growthTokens: 1000,
      turns: 10,
      lifetimeMs: 300_000,
    },
    ...more,
  })

  test('keeps a session where it is while the other model is cold', () => {
    const near = { winRate: 0.6, meanWinRate: 0.6 }
    expect(chooseInSession(state(near))).toBe('weak')
    expect(chooseInSession(state({ winRate: 0.95, meanWinRate: 0.95 }))).toBe('strong')
    const warmStrong = { price: SONNET, warm: { tokens: 20_000, ageMs: 1000 } }
    const coldWeak = { price: HAIKU, warm: undefined }
    const strong = { last: 'strong', strong: warmStrong, weak: coldWeak } as const
    expect(chooseInSession(state({ ...strong, winRate: 0.4, meanWinRate: 0.4 }))).toBe('strong')
    expect(chooseInSession(state({ ...strong, winRate: 0.05, meanWinRate: 0.05 }))).toBe('weak')
  })

  test('is the threshold’s own where both are warm, or both cold', () => {
    const both = { strong: { price: SONNET, warm: { tokens: 20_000, ageMs: 1 } } }
    expect(chooseInSession(state({ ...both, winRate: 0.51, meanWinRate: 0.51 }))).toBe('strong')
    expect(chooseInSession(state({ ...both, winRate: 0.49, meanWinRate: 0.49 }))).toBe('weak')
    const cold = { weak: { price: HAIKU, warm: { tokens: 20_000, ageMs: 400_000 } } }
    expect(chooseInSession(state({ ...cold, winRate: 0.51, meanWinRate: 0.51 }))).toBe('strong')
    expect(chooseInSession(state({ ...cold, winRate: 0.49, meanWinRate: 0.49 }))).toBe('weak')
  })

  test('counts a session as a whole: one turn alone does not move it', () => {
    const both = { strong: { price: SONNET, warm: { tokens: 20_000, ageMs: 1 } } }
    expect(chooseInSession(state({ ...both, winRate: 0.9, meanWinRate: 0.3 }))).toBe('weak')
  })
})

describe('a policy with sessions', () => {
  const ask = (more: string, winRates: readonly number[]) => {
    let asked = -1
    const file = `version: 1
models: { strong: { tools: true }, weak: { tools: true } }
sessions: { ${more} }
learned: {}
default: weak`
    const priceOf = (model: string) => (model === 'strong' ? SONNET : HAIKU)
    const learned = fakeRouter({ winRate: () => winRates[asked] ?? 0.5 })
    const policy = createPolicy(checkPolicy(file, 'p.yaml'), { learned, priceOf })
    const planning = {
      signal: new AbortController().signal,
      send: () => Promise.reject(new Error('asked a model')),
    }
    let time = 1_700_000_000_000
    return async (
      messages: readonly ChatTurn[],
      minutes = 0.1,
      more: Partial<GatewayRequest> = {},
    ) => {
      time += minutes * 60_000
      asked++
      const body = { model: 'weir', messages }
      const request = {
        ...requestOf({}),
        body,
        time,
        id: String(time),
        hints: { session_id: 's' },
        ...more,
      }
      const plan = await policy.plan(request, planning)
      // what is remembered is stored after the decision
      await new Promise((resolve) => setImmediate(resolve))
      return said(plan)
    }
  }
  const said = (plan: Plan): string =>
    plan.kind === 'serve'
      ? `${plan.deciding.step} ${plan.deciding.reason} ${plan.targets[0]!.model}`
      : 'refused'
  const text = (role: string, content: string): ChatTurn => ({ role, content })
  const LONG = text('user', 'word '.repeat(8000))
  const CALL: ChatTurn = {
    role: 'assistant',
    tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }],
  }

  test('keeps the model inside a loop of tools, and weighs a switch outside', async () => {
    const turn = ask('', [0.3, 0.5, 0.62])
    expect(await turn([LONG])).toBe('learned win_rate_below weak')
    const loop = [LONG, CALL, { role: 'tool', tool_call_id: 'a', content: 'done' }]
    expect(await turn(loop)).toBe('sessions tool_loop weak')
    const more = [...loop, text('assistant', 'ok'), text('user', 'and now?')]
    expect(await turn(more)).toBe('sessions switch_too_dear weak')
  })

  test('switches where it is worth the price', async () => {
    const turn = ask('turns: 1', [0.3, 0.99])
    await turn([LONG])
    const next = [LONG, text('assistant', 'x'), text('user', 'prove it')]
    // an hour later nothing is warm
    expect(await turn(next, 30)).toBe('sessions worth_switching strong')
  })

  test('asks the better model for the rest of a session that is stuck', async () => {
    const turn = ask('stuck: { correction: 0.7 }', [0.3, 0.3, 0.3])
    await turn([LONG])
    const wrong = [LONG, text('assistant', 'x'), text('user', 'No, that is wrong.')]
    expect(await turn(wrong)).toBe('sessions stuck_correction strong')
    const rest = [...wrong, text('assistant', 'y'), text('user', 'and the tests?')]
    expect(await turn(rest)).toMatch(/^sessions \w+ strong$/)
  })

  test('begins anew where a session was forgotten, whatever step decides meanwhile', async () => {
    const turn = ask('minutes: 10', [0.3, 0.3, 0.99])
    await turn([LONG])
    // an hour later nothing is left of it
    const next = [LONG, text('assistant', 'x'), text('user', 'No, that is wrong.')]
    expect(await turn(next, 60)).toBe('learned win_rate_below weak')
    const more = [...next, text('assistant', 'y'), text('user', 'and the tests?')]
    expect(await turn(more, 1)).toMatch(/^sessions (worth_switching|session_as_a_whole|switch)/)
  })

  test('knows a session by the beginning of its conversation', async () => {
    const turn = ask('', [0.3, 0.62, 0.62])
    const none = { hints: {} }
    await turn([LONG], 0.1, none)
    const next = [LONG, text('assistant', 'x'), text('user', 'more')]
    expect(await turn(next, 0.1, none)).toBe('sessions switch_too_dear weak')
    const other = [text('user', 'another'), text('assistant', 'x'), text('user', 'more')]
    expect(await turn(other, 0.1, none)).toMatch(/^learned /)
  })
})

describe('sessions of a router among several models', () => {
  const OPUS = { input: 5, output: 25, cached_input: 0.5, cache_write: 6.25 }
  const PRICES: Record<string, typeof OPUS> = {
    'opus-high': OPUS,
    opus: OPUS,
    sonnet: SONNET,
    haiku: HAIKU,
  }
  const MODELS = Object.keys(PRICES)
  /** Asks turn by turn; `qualities` of each turn are in the order of the models. */
  const ask = (
    qualities: readonly (readonly number[])[],
    lambda: number,
    services: Partial<PolicyServices> = {},
    waits: Readonly<Record<string, number>> = {},
  ) => {
    let turn = -1
    const file = `version: 1
models: { ${MODELS.map((name) => `${name}: {}`).join(', ')} }
sessions: { switch_loss: 0.01, stuck: { correction: 0.2 } }
learned: {}
default: haiku`
    const learned: LearnedRouter = {
      has: () => false,
      remote: () => false,
      route: async ({ models: open = MODELS }) => {
        const scores = qualities[turn]!
        const ranked = MODELS.map((model, i) => ({
          model,
          score: scores[i]!,
          eligible: open.includes(model),
          reason: 'next',
          est_cost_usd: null,
          propensity: 1,
          ...(waits[model] !== undefined && { wait_usd: waits[model] }),
        })).sort((a, b) => Number(b.eligible) - Number(a.eligible) || b.score - a.score)
        const decision = await fakeRouter().route({ prompt: 'x' }, { name: 'k' })
        return {
          ...decision,
          model: ranked[0]!.model,
          candidates: ranked,
          reason: 'best_value',
          choice: { kind: 'best-value', lambda },
        }
      },
    }
    const priceOf = (model: string) => PRICES[model]
    const policy = createPolicy(checkPolicy(file, 'p.yaml'), { learned, priceOf, ...services })
    let time = 1_700_000_000_000
    return async (messages: readonly ChatTurn[], minutes = 0.1) => {
      turn++
      time += minutes * 60_000
      const body = { model: 'weir', messages }
      const request = { ...requestOf({}), body, time, id: String(time), hints: { session_id: 's' } }
      const signal = new AbortController().signal
      const plan = await policy.plan(request, { signal, send: () => Promise.reject(new Error()) })
      await new Promise((resolve) => setImmediate(resolve))
      if (plan.kind !== 'serve') throw new Error('refused')
      const { step, reason } = plan.deciding
      return `${step} ${reason} ${plan.targets.map(({ model }) => model).join(' ')}`
    }
  }
  const LONG: ChatTurn = { role: 'user', content: 'word '.repeat(16_000) }
  const said = (n: number, last = 'and now?'): ChatTurn[] => [
    LONG,
    ...Array.from({ length: n }, (): ChatTurn[] => [
      { role: 'assistant', content: 'x' },
      { role: 'user', content: last },
    ]).flat(),
  ]

  test('weigh quality against what each of them must read again', async () => {
    // sonnet is warm after the first turn; opus would gain .05, and costs .12 dollars more to read 20,000 tokens anew
    const turn = ask(
      [
        [0.7, 0.7, 0.8, 0.6],
        [0.85, 0.85, 0.8, 0.78],
      ],
      2,
    )
    expect(await turn(said(0))).toMatch(/^learned best_value sonnet/)
    expect(await turn(said(1))).toMatch(/^sessions switch_too_dear sonnet/)
    // an hour later nothing is warm, and the same question goes to the cheapest
    const cold = ask(
      [
        [0.7, 0.7, 0.8, 0.79],
        [0.85, 0.85, 0.8, 0.79],
      ],
      2,
    )
    await cold(said(0))
    expect(await cold(said(1), 30)).toMatch(/^sessions session_as_a_whole haiku/)
    // where quality is worth more, the best one takes over, and the others are its fallbacks
    const dear = ask(
      [
        [0.79, 0.79, 0.8, 0.6],
        [0.99, 0.95, 0.5, 0.5],
      ],
      0.1,
    )
    await dear(said(0))
    expect(await dear(said(1))).toMatch(
      /^sessions worth_switching opus-high opus (sonnet haiku|haiku sonnet)$/,
    )
    // and not where its answers take so long that waiting for them counts as a dollar
    const slow = ask(
      [
        [0.79, 0.79, 0.8, 0.6],
        [0.99, 0.95, 0.5, 0.5],
      ],
      0.1,
      {},
      { 'opus-high': 1 },
    )
    await slow(said(0))
    expect(await slow(said(1))).toMatch(/^sessions session_as_a_whole opus opus-high/)
  })

  test('know that one model at two efforts has one cache, and takes its own session over', async () => {
    const cacheOf = (model: string) => (model.startsWith('opus') ? 'claude-opus' : model)
    const qualities = [
      [0.79, 0.8, 0.3, 0.3],
      [0.95, 0.82, 0.3, 0.3],
    ]
    const answerTokensOf = (model: string) => (model === 'opus-high' ? 900 : 300)
    const apart = ask(qualities, 0.5, { answerTokensOf })
    await apart(said(0))
    expect(await apart(said(1))).toMatch(/^sessions switch_too_dear opus /)
    const together = ask(qualities, 0.5, { cacheOf, answerTokensOf })
    await together(said(0))
    expect(await together(said(1))).toMatch(/^sessions worth_switching opus-high/)
    // what it thinks is counted: with ten times as many tokens it is not worth it
    const long = ask(qualities, 0.5, {
      cacheOf,
      answerTokensOf: (model) => (model === 'opus-high' ? 9000 : 300),
    })
    await long(said(0))
    expect(await long(said(1))).toMatch(/^sessions switch_too_dear opus /)
  })

  test('go to a better model when stuck, and stay with what the session as a whole asks for', async () => {
    const qualities = Array.from({ length: 3 }, () => [0.6, 0.62, 0.55, 0.5])
    const turn = ask(qualities, 1.2)
    expect(await turn(said(0))).toMatch(/^learned best_value opus/)
    const low = ask(
      Array.from({ length: 3 }, () => [0.5, 0.52, 0.49, 0.55]),
      1.2,
    )
    expect(await low(said(0))).toMatch(/^learned best_value haiku/)
    expect(await low(said(1))).toMatch(/^sessions kept haiku/)
  })

  test('are decided by the other rule too: the cheapest within a loss', () => {
    const turn = {
      promptTokens: 20_000,
      answerTokens: 300,
      growthTokens: 500,
      turns: 5,
      lifetimeMs: 300_000,
    }
    const warm = { tokens: 20_000, ageMs: 1000 }
    const candidates = [
      { price: OPUS, warm, quality: 0.9 },
      { price: SONNET, warm: undefined, quality: 0.89 },
      { price: HAIKU, warm: undefined, quality: 0.6 },
    ]
    const among = (loss: number) =>
      chooseAmongInSession({ kind: 'cheapest-within', loss }, candidates, turn)
    // what the best one has read makes it the cheaper one for now
    expect(among(0)).toBe(0)
    expect(among(0.05)).toBe(0)
    expect(
      chooseAmongInSession({ kind: 'cheapest-within', loss: 0.05 }, candidates, {
        ...turn,
        lifetimeMs: 1,
      }),
    ).toBe(1)
    expect(among(0.5)).toBe(2)
  })
})

test.each([
  ['ours', { 'x-weir-session': 'a' }, { prompt_cache_key: 'b' }, 'a'],
  ['Claude Code’s', { 'x-claude-code-session-id': 'c' }, {}, 'c'],
  ['Codex’s', { 'session-id': 'd' }, { prompt_cache_key: 'b' }, 'd'],
  ['the key of a prompt cache', {}, { prompt_cache_key: 'b' }, 'b'],
  ['JSON in user_id', {}, { metadata: { user_id: '{"session_id":"e"}' } }, 'e'],
  [
    'the end of user_id',
    {},
    { metadata: { user_id: 'user_1_account__session_8c8a4ed3-7750-4d17-8dd5-9f413d7ad311' } },
    '8c8a4ed3-7750-4d17-8dd5-9f413d7ad311',
  ],
  ['nobody', { 'session-id': '' }, { metadata: { user_id: '{broken' } }, undefined],
  ['too long', { 'session-id': 'x'.repeat(1001) }, {}, undefined],
])('a session is named by %s', (_, headers, body, expected) => {
  expect(withSession({}, headers, body).session_id).toBe(expected)
  expect(withSession({ session_id: 'mine' }, headers, body).session_id).toBe('mine')
})

describe('signs of being stuck', () => {
  const tool = (content: string): ChatTurn => ({ role: 'tool', content })
  const user = (content: string): ChatTurn => ({ role: 'user', content })
  const called = (args: string): ChatTurn => ({
    role: 'assistant',
    tool_calls: [{ id: Math.random(), function: { name: 'run', arguments: args } }],
  })
  test.each([
    [
      'failing tools',
      [tool('Error: x'), tool('command not found'), tool('exit code 1')],
      ['tool_errors'],
    ],
    [
      'the same call again',
      [called('{"a":1}'), tool('x'), called('{"a":1}'), tool('x'), called('{"a":1}')],
      ['repeated_call'],
    ],
    [
      'tests that fail',
      [tool('2 failed, 3 passed'), tool('ok'), tool('1 failed')],
      ['tests_failing'],
    ],
    ['a correction', [user('do it'), user('No, that is wrong')], ['correction']],
    [
      'a question again',
      [
        user('please sort the list of names by length'),
        user('sort that list of names by their length please'),
      ],
      ['rephrased'],
    ],
  ])('%s', (_, messages, signs) => {
    expect(stuckSigns(messages)).toEqual(signs)
  })

  test.each([
    ['one failure', [tool('Error: x'), tool('fine'), tool('fine')]],
    ['tests that pass', [tool('0 failed, 3 passed'), tool('Tests: 3 passed')]],
    ['other calls', [called('{"a":1}'), called('{"a":2}'), called('{"a":3}')]],
    ['a new question', [user('sort the names by length'), user('now write a test for the parser')]],
    ['a first message', [user('No, that is wrong: how do I say it in French?')]],
    ['nothing', []],
  ])('not %s', (_, messages) => {
    expect(stuckSigns(messages)).toEqual([])
  })
})
