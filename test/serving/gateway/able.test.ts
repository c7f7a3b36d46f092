import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findListed, readModelList } from '../../../models/model-list.ts'
import { Abilities } from '../../../serving/gateway/abilities.ts'
import { inabilityOf } from '../../../serving/gateway/inability.ts'
import { needsOf } from '../../../serving/gateway/needs.ts'
import { Pace, slownessOf } from '../../../serving/gateway/pace.ts'
import { changesFor, rulesFor, withParameters } from '../../../serving/gateway/parameters.ts'
import { Cancellation } from '../../../serving/upstreams/cancellation.ts'
import { refusalOf } from '../../../serving/upstreams/refusal.ts'
import type {
  ChatBody,
  PassedBody,
  Upstream,
  UpstreamCall,
} from '../../../serving/upstreams/upstream.ts'
import { gatewayApp, HARD, user } from './gateway-app.ts'

const chat = (more: Partial<ChatBody> = {}): ChatBody => ({
  model: 'm',
  messages: [{ role: 'user', content: 'hi' }],
  ...more,
})
const refusal = (status: number, body: unknown) =>
  refusalOf('up', { status, headers: {} }, JSON.stringify(body), 0)
const error = (message: string, more: object = {}) => ({ error: { message, ...more } })

describe('what a refusal says the model cannot do', () => {
  test.each([
    [400, error('no', { code: 'context_length_exceeded' }), undefined],
    [400, error("This model's maximum context length is 8192 tokens, you sent 9300"), 8192],
    [400, error('prompt is too long: 210000 tokens > 200000 maximum'), 200000],
    [413, error('too large'), undefined],
    [
      400,
      error('9300 tokens do not fit, this model holds 8,192', { code: 'context_length_exceeded' }),
      8192,
    ],
    [
      422,
      { error: '`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 and 1024' },
      4096,
    ],
    [400, { message: 'Input is too long for requested model.' }, undefined],
    [
      400,
      [error('The input token count (1200000) exceeds the maximum number of tokens allowed')],
      undefined,
    ],
  ])('%i %j is about its context', (status, body, context) => {
    expect(inabilityOf(refusal(status, body), chat())).toEqual({ tooLong: true, context })
  })

  test.each([
    [error("Unsupported parameter: 'max_tokens' is not supported with this model."), 'max_tokens'],
    [error('take the other', { code: 'unsupported_parameter', param: 'max_tokens' }), 'max_tokens'],
    [{ detail: [{ type: 'extra_forbidden', loc: ['body', 'max_tokens'] }] }, 'max_tokens'],
    [error('max_tokens: Extra inputs are not permitted'), 'max_tokens'],
    [error("property 'max_tokens' is unsupported"), 'max_tokens'],
    [
      error('Only the default (1) value is supported', {
        code: 'unsupported_value',
        param: 'temperature',
      }),
      'temperature',
    ],
  ])('%j names a parameter', (body, parameter) => {
    const sent = chat({ max_tokens: 5, temperature: 0.2 })
    expect(inabilityOf(refusal(422, body), sent)?.parameter).toBe(parameter)
  })

  test.each([
    [error('Unexpected role developer'), 'role.developer'],
    [error('system or user', { param: 'messages[0].role' }), 'role.developer'],
    [
      { detail: [{ loc: ['body', 'messages', 0, 'role'], msg: "Input should be 'user'" }] },
      'role.developer',
    ],
    [error("'n' must be 1"), 'n'],
    [{ detail: [{ loc: ['body', 'n'], msg: 'Input should be less than or equal to 1' }] }, 'n'],
    [error('Only one completion choice is allowed', { param: 'n' }), 'n'],
    [error("'n' must be a number"), undefined],
  ])('%j is about the role of a message, or the number of answers', (body, parameter) => {
    const messages = [{ role: 'developer', content: 'hi' }]
    const sent = chat({ messages, n: 2 })
    expect(inabilityOf(refusal(400, body), sent)?.parameter).toBe(parameter)
  })

  test.each([
    ['API key not valid. Please pass a valid API key.', 'misconfigured'],
    ['Your access token has expired', 'misconfigured'],
    ['no such tool', 'rejected'],
  ])('%s is %s', (message, kind) => {
    expect(refusal(400, [error(message)]).kind).toBe(kind)
    expect(refusal(400, { error_code: 17, error_msg: message }).kind).toBe(kind)
  })

  test.each([
    ['this model does not support image input', 'images'],
    ['tool use is not supported by this model', 'tools'],
    ['response_format json_schema is not supported', 'response_format'],
  ])('%s names a feature', (message, feature) => {
    const sent = chat({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
      tools: [{}],
      response_format: { type: 'json_schema' },
    })
    expect(inabilityOf(refusal(400, error(message)), sent)?.feature).toBe(feature)
  })

  test.each([
    [400, error('messages.0.content: expected text')],
    [400, error("tools[0].function.name: does not match '^[a-z]+$'")],
    [400, error('this model does not support images')],
    [429, error('maximum context length')],
    [401, error('not supported')],
  ])('%i %j is about the request, the account or something it did not ask for', (status, body) => {
    expect(inabilityOf(refusal(status, body), chat({ tools: [{}] }))).toBeUndefined()
  })
})

describe('the abilities of a model', () => {
  const long = chat({ messages: [{ role: 'user', content: 'word '.repeat(2800) }] })

  test('hold the prompt with room for the answer', () => {
    const stated = new Abilities({ context: 4096, outputTokens: 1000 }, () => 0)
    expect(stated.lacks(chat())).toBeUndefined()
    expect(stated.lacks(long)).toMatch(/about 4\d\d\d tokens/)
    expect(stated.lacks({ ...long, max_tokens: 100 })).toBeUndefined()
    expect(new Abilities({}, () => 0).lacks(long)).toBeUndefined()
  })

  test('count Chinese by its characters', () => {
    const chinese = chat({ messages: [{ role: 'user', content: '天气很好'.repeat(1500) }] })
    expect(needsOf(chinese).promptTokens).toBeGreaterThan(3900)
  })

  test('are not closed by the refusal of a short prompt, and learn that an estimate was too low', () => {
    const learning = new Abilities({}, () => 0)
    learning.learn({ tooLong: true }, needsOf(chat()))
    expect(learning.lacks(long)).toBeUndefined()
    learning.learn({ tooLong: true, context: 8192 }, needsOf(long))
    expect(learning.lacks(chat())).toBeUndefined()
    expect(learning.lacks({ ...long, messages: [...long.messages, ...chat().messages] })).toContain(
      'its context is',
    )
  })

  test('learn from refusals, for ten minutes', () => {
    let now = 0
    const learning = new Abilities({ context: 100_000 }, () => now)
    learning.learn({ tooLong: true, context: 3000 }, needsOf(long))
    learning.learn({ tooLong: false, feature: 'n' }, needsOf(chat({ n: 2 })))
    expect(learning.lacks(long)).toContain('its context is 3000')
    expect(learning.lacks(chat({ n: 2 }))).toContain('n, which it refused before')
    expect(learning.lacks(chat())).toBeUndefined()
    now = 11 * 60_000
    expect(learning.lacks(long)).toBeUndefined()
  })
})

describe('parameters', () => {
  const changed = (rules: Parameters<typeof changesFor>[0], body: PassedBody) => {
    const notes: string[] = []
    return { changes: changesFor(rules, body, (note) => notes.push(note)), notes }
  }

  test('are renamed, dropped, clamped, defaulted and fixed', () => {
    const rules = {
      rename: { max_tokens: 'max_completion_tokens', 'role.developer': 'system' },
      drop: ['logit_bias'],
      clamp: { temperature: { max: 1 } },
      default: { top_p: 0.9 },
      fixed: { reasoning_effort: 'low' },
    }
    const body = chat({
      messages: [{ role: 'developer', content: 'x' }],
      max_tokens: 10,
      logit_bias: { 1: 2 },
      temperature: 1.5,
      reasoning_effort: 'high',
    })
    const { changes, notes } = changed(rules, body)
    expect(changes).toEqual({
      max_tokens: undefined,
      max_completion_tokens: 10,
      messages: [{ role: 'system', content: 'x' }],
      logit_bias: undefined,
      temperature: 1,
      top_p: 0.9,
      reasoning_effort: 'low',
    })
    expect(notes).toEqual([
      'logit_bias left out',
      'temperature set to 1',
      'reasoning_effort set to "low"',
    ])
    expect(changed({}, body).changes).toBeUndefined()
  })

  test.each([
    ['o3-mini', { temperature: 0.2, max_tokens: 5 }, { max_completion_tokens: 5 }],
    ['openai/gpt-5-mini-2025-08-07', { top_p: 0.5 }, {}],
    [
      'gpt-5.2',
      { temperature: 0.2, max_tokens: 5 },
      { temperature: 0.2, max_completion_tokens: 5 },
    ],
    ['gpt-4o', { temperature: 0.2, max_tokens: 5 }, { temperature: 0.2, max_tokens: 5 }],
    [
      'mistral-large-latest',
      { max_completion_tokens: 5, seed: 1 },
      { max_tokens: 5, random_seed: 1 },
    ],
  ])('of %s follow the table of families', (model, given, sent) => {
    const { changes = {} } = changed(rulesFor(model), chat(given))
    const kept = Object.entries({ ...given, ...changes }).filter(([, value]) => value !== undefined)
    expect(Object.fromEntries(kept)).toEqual(sent)
  })

  test('of a family can be stated instead', () => {
    expect(rulesFor('o3', { family: 'none' })).toEqual({ family: 'none' })
    expect(rulesFor('mine', { family: 'mistral' }).rename).toMatchObject({ seed: 'random_seed' })
    expect(rulesFor('o3', { fixed: { temperature: 1 } }).drop).not.toContain('temperature')
  })

  test('that the upstream does not know are replaced, and the answer says what was left out', async () => {
    const asked: PassedBody[] = []
    const upstream: Upstream = {
      name: 'up',
      close: async () => {},
      async complete({ body }) {
        asked.push(body)
        for (const param of ['max_tokens', 'temperature']) {
          if (body[param] === undefined) continue
          throw refusal(400, error('no', { code: 'unsupported_parameter', param }))
        }
        return { kind: 'complete', body: {}, text: undefined, usage: undefined }
      },
    }
    const fitted = withParameters(upstream, {})
    const call = (routed: boolean): UpstreamCall => ({
      endpoint: 'chat',
      body: chat({ max_tokens: 9, temperature: 0.5 }),
      headers: {},
      remainingMs: 1000,
      routed,
    })
    const answer = await fitted.complete(call(true), new Cancellation())
    expect(answer.headers).toEqual({ 'x-weir-adjusted': 'temperature left out' })
    expect(asked.at(-1)).toMatchObject({ max_completion_tokens: 9 })
    expect(asked).toHaveLength(3)
    // learnt: the next is right at once
    await fitted.complete(call(true), new Cancellation())
    expect(asked).toHaveLength(4)
    // a client that named the model decides about its own wishes
    await expect(fitted.complete(call(false), new Cancellation())).rejects.toThrow('no')
  })
})

describe('a public list of models', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-list-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const list = (value: unknown): string => {
    const path = join(folder, 'list.json')
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
    return path
  }

  test('gives contexts, prices and features', async () => {
    const models = await readModelList(
      list({
        sample_spec: { max_tokens: 'a comment' },
        'azure/big': {
          max_input_tokens: 128000,
          max_output_tokens: '16384',
          input_cost_per_token: 2.5e-6,
          output_cost_per_token: 1e-5,
          supports_function_calling: true,
        },
        embedder: { mode: 'embedding', max_input_tokens: 8191 },
      }),
    )
    expect([...models.keys()]).toEqual(['azure/big'])
    expect(findListed(models, ['Big'])).toEqual({
      context: 128000,
      outputTokens: 16384,
      price: { input: 2.5, output: 10 },
      features: { images: false, audio: false, tools: true },
    })
    expect(findListed(models, ['other'])).toBeUndefined()
  })

  test.each([
    ['[]', 'an object with a model per field'],
    ['{', 'expected JSON'],
    [{ big: { max_input_tokens: 'many' } }, 'big.max_input_tokens: expected a number'],
    [{ big: 3 }, 'big: expected an object'],
    [{ sample_spec: {} }, 'at least one chat model'],
  ])('that is wrong is refused: %j', async (value, message) => {
    await expect(readModelList(list(value))).rejects.toThrow(message)
  })
})

describe('a routed request', () => {
  test('goes to a model that can take it, and the decision is among those', async () => {
    const closed = await gatewayApp({
      models: {
        small: { upstreams: [{ upstream: 'little' }], capabilities: { n: false }, context: 200 },
        big: { upstreams: [{ upstream: 'large' }] },
      },
    })
    const ask = (more: object) =>
      closed.client.chat.completions
        .create({ model: 'weir', messages: user('hello'), ...more } as never)
        .withResponse()
    expect((await ask({})).response.headers.get('x-weir-model')).toBe('small')
    expect((await ask({ n: 2 })).response.headers.get('x-weir-model')).toBe('big')
    const long = await ask({ messages: user('hello '.repeat(300)) })
    expect(long.response.headers.get('x-weir-model')).toBe('big')
    expect(closed.small.received).toHaveLength(1)
    await closed.close()
  })
})

describe('goals of latency', () => {
  test('a model’s pace is the quantile of first tokens, and the mean answer at the median rate', () => {
    let time = 0
    const pace = new Pace(() => time)
    for (let i = 1; i < 10; i++) pace.addStream(i * 100, 2000, 100)
    const goal = { maxTtftMs: 100, maxTotalMs: 100 }
    expect(slownessOf(goal, [pace], true, undefined)).toBeUndefined()
    pace.addStream(1000, 2000, 100)
    expect(pace.firstMs(true)).toBe(1000)
    // 100 tokens at 50 a second
    expect(pace.totalMs(true)).toBeCloseTo(3000, 6)
    expect(pace.totalMs(true, 10)).toBeCloseTo(1200, 6)
    // whole answers are told from streams as long as no others are known
    expect(pace.totalMs(false)).toBeCloseTo(3000, 6)
    for (let i = 0; i < 10; i++) pace.addWhole(500, 40)
    expect(pace.totalMs(false)).toBe(500)
    expect(pace.answerTokens).toBeCloseTo(70, 6)
    expect(slownessOf({ maxTtftMs: 999 }, [pace], true, undefined)).toMatch('max_ttft_ms is 999')
    expect(slownessOf({ maxTotalMs: 499 }, [pace], false, undefined)).toMatch('about 500 ms')
    expect(slownessOf({ maxTtftMs: 1000, maxTotalMs: 3000 }, [pace], true, 100)).toBeUndefined()
    // another upstream of the model of which nothing is known may be fast enough
    expect(slownessOf(goal, [pace, new Pace(() => time)], true, undefined)).toBeUndefined()
    time += 5 * 60_000
    expect(slownessOf(goal, [pace], true, undefined)).toBeUndefined()
  })

  test('close the models that are too slow, as long as another is open', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-pace-'))
    const policy = join(folder, 'policy.yaml')
    writeFileSync(
      policy,
      'version: 1\nmodels: { small: {}, big: {} }\nlatency: { max_total_ms: 5000 }\nlearned: {}\ndefault: small\n',
    )
    const apps = await Promise.all([gatewayApp(), gatewayApp({ policy })])
    try {
      for (const app of apps) {
        const ask = async (content: string, weir: object, stream = false, model = 'weir') => {
          const payload = { model, messages: user(content), stream, weir }
          const answer = await app.app.inject({
            method: 'POST',
            url: '/v1/chat/completions',
            payload,
          })
          expect(answer.statusCode).toBe(200)
          return answer.headers['x-weir-model']
        }
        app.big.otherwise = 'slow'
        const before = Array.from({ length: 10 }, (_, i) => ask('hi', {}, i < 5, 'big'))
        await Promise.all([
          ...before,
          ...Array.from({ length: 10 }, () => ask('hi', {}, true, 'big')),
        ])
        app.big.otherwise = 'answer'
        expect(await ask(HARD, {}, true)).toBe('big')
        expect(await ask(HARD, { max_ttft_ms: 300 }, true)).toBe('small')
        expect(await ask(HARD, { max_ttft_ms: 60_000 }, true)).toBe('big')
        expect(await ask(HARD, { max_total_ms: 300 }, true)).toBe('small')
        expect(await ask(HARD, { max_total_ms: 300 })).toBe('small')
        // who names a model gets it
        expect(await ask(HARD, { max_ttft_ms: 300 }, true, 'big')).toBe('big')
        // where no other is open, nothing is closed
        expect(await ask(HARD, { max_ttft_ms: 300, models: ['big'] }, true)).toBe('big')
      }
    } finally {
      await Promise.all(apps.map((app) => app.close()))
      rmSync(folder, { recursive: true })
    }
  })
})
