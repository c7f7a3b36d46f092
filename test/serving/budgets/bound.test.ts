import { describe, expect, test } from 'vitest'
import { type ModelTerms, upperBound } from '../../../serving/budgets/bound.ts'
import type { PassedBody } from '../../../serving/upstreams/upstream.ts'

const terms: ModelTerms = {
  price: { input: 1, output: 4 },
  context: 10_000,
  outputTokens: 2_000,
}
const chat = (content: unknown, more: object = {}): PassedBody => ({
  model: 'm',
  messages: [{ role: 'user', content }],
  ...more,
})
/** in dollars a million tokens, so that one token of input is 1,000 nanodollars */
const bound = (body: PassedBody, its: Partial<ModelTerms> = {}, target: object = {}) =>
  upperBound({ endpoint: 'chat', body, ...target }, { ...terms, ...its })

const TOKEN = 1000
const answer = 2_000 * 4 * TOKEN

test('a text has at most as many tokens as bytes, in any script', () => {
  for (const text of ['hello', 'Grüße', '你好，世界', '🙂🙂🙂', '\u0000\u0001"\\']) {
    const least = Buffer.byteLength(text) * TOKEN
    expect(bound(chat(text)) - answer).toBeGreaterThanOrEqual(least)
    // and not many more, so that small budgets are of use
    expect(bound(chat(text)) - answer).toBeLessThan(least + 200 * TOKEN)
  }
})

test('an answer is bounded by what is asked for, else by the model', () => {
  const of = (more: object) => bound(chat('x', more))
  const without = of({})
  expect(without - of({ max_tokens: 500 })).toBeGreaterThan(1_400 * 4 * TOKEN)
  expect(without - of({ max_completion_tokens: 500 })).toBeGreaterThan(1_400 * 4 * TOKEN)
  // whichever the upstream knows
  expect(of({ max_tokens: 500, max_completion_tokens: 600 })).toBeGreaterThan(
    of({ max_tokens: 500 }),
  )
  expect(of({ max_tokens: 9_000 })).toBeGreaterThanOrEqual(without)
  for (const max_tokens of [0, -1, null, '5', Number.NaN]) {
    expect(of({ max_tokens })).toBeGreaterThanOrEqual(without)
  }
})

test('several answers cost several times', () => {
  const one = bound(chat('x'))
  expect(bound(chat('x', { n: 3 })) - one).toBeGreaterThanOrEqual(2 * answer)
  expect(bound(chat('x', { best_of: 3 })) - one).toBeGreaterThanOrEqual(2 * answer)
})

test('prompt and answer share the context, at the dearer way of sharing it', () => {
  const wide = { outputTokens: undefined }
  expect(bound(chat('x'.repeat(20_000)), wide)).toBe(10_000 * 4 * TOKEN)
  // reading costs more than writing
  const price = { input: 5, output: 1 }
  expect(bound(chat('x'.repeat(20_000)), { ...wide, price })).toBe(10_000 * 5 * TOKEN)
})

test('a route’s own prompt, parameters and tools count', () => {
  const plain = bound(chat('x'))
  expect(bound(chat('x'), {}, { system: 'y'.repeat(300) }) - plain).toBe(300 * TOKEN)
  expect(
    bound(chat('x', { max_tokens: 10 }), {}, { parameters: { max_tokens: 1_000 } }),
  ).toBeGreaterThan(1_000 * 4 * TOKEN)
  expect(bound(chat('x', { tools: [] })) - plain).toBeGreaterThan(1_000 * TOKEN)
})

describe('what bytes do not bound', () => {
  const full = (8_000 + 2_000 * 4) * TOKEN
  for (const [what, body] of Object.entries({
    'an image’s address': chat([{ type: 'image_url', image_url: { url: 'https://x/y.png' } }]),
    'a file': chat([
      { type: 'text', text: 'x' },
      { type: 'file', file: { file_id: 'f' } },
    ]),
    'a stored conversation': { model: 'm', input: 'x', previous_response_id: 'r' },
    'a spoken answer': {
      model: 'm',
      messages: [{ role: 'assistant', audio: { id: 'a' } }],
    },
    'a reference': { model: 'm', input: [{ type: 'item_reference', id: 'i' }] },
  })) {
    test(`${what} fills the context`, () => expect(bound(body as PassedBody)).toBe(full))
  }
})

test('cached tokens may cost more than others', () => {
  const price = { input: 1, output: 4, cached_input: 0.1, cache_write: 1.25 }
  const text = 'x'.repeat(1000)
  expect(bound(chat(text), { price }) - answer).toBeGreaterThanOrEqual(1_250 * TOKEN)
})

test('a list of texts is embedded one by one: the context bounds none of it', () => {
  const input = Array.from({ length: 40 }, () => 'x'.repeat(1000))
  const body = { model: 'm', input }
  expect(upperBound({ endpoint: 'embeddings', body }, terms)).toBeGreaterThan(40_000 * TOKEN)
})

test('a prompt that may reach a tier of prices is bounded by its rates', () => {
  const price = { ...terms.price, tiers: [{ above: 1_000, input: 3, output: 9 }] }
  expect(bound(chat('x'), { price })).toBe(bound(chat('x')))
  const long = chat('x'.repeat(2_000))
  expect(bound(long, { price })).toBe(bound(long, { price: { input: 3, output: 9 } }))
})

test('of other endpoints: each prompt of a list is answered, and files may fill the context', () => {
  const of = (endpoint: 'completions' | 'audio' | 'images' | 'moderations', body: object) =>
    upperBound({ endpoint, body: { model: 'm', ...body } }, terms)
  const one = of('completions', { prompt: 'x', max_tokens: 100 })
  expect(one).toBeLessThan(1_000 * TOKEN)
  expect(of('completions', { prompt: ['x', 'y', 'z'], max_tokens: 100 })).toBeGreaterThan(
    3 * 400 * TOKEN,
  )
  expect(of('completions', { prompt: [1, 2, 3], max_tokens: 100 })).toBeLessThan(1_000 * TOKEN)
  expect(of('audio', { input: 'x' })).toBeGreaterThanOrEqual(8_000 * TOKEN + answer)
  expect(of('images', { prompt: 'x', n: 3 })).toBeGreaterThanOrEqual(3 * answer)
  expect(of('moderations', { input: 'x' })).toBeLessThan(1_000 * TOKEN + answer)
})
