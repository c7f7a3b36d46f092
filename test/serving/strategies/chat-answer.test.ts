import { describe, expect, test } from 'vitest'
import { asAsked, wholeBody } from '../../../serving/strategies/answer-stream.ts'
import { inWords, saidBy, saysNothing, wholeOf } from '../../../serving/strategies/chat-answer.ts'

const answer = (body: Record<string, unknown>) => ({
  target: { model: 'm' },
  upstream: 'u',
  answer: { kind: 'complete', body, text: JSON.stringify(body), usage: undefined } as const,
})
const message = (its: unknown, more: object = {}) => ({ choices: [{ message: its, ...more }] })

describe('answers that upstreams do send', () => {
  test('without a message are malformed, not a bug', () => {
    for (const choices of [
      undefined,
      null,
      'x',
      [],
      [null],
      ['x'],
      [{}],
      [{ message: null }],
      [{ message: 1 }],
    ]) {
      expect(() => wholeOf(answer({ choices }))).toThrow('a choice has no message')
    }
  })

  const odd: [string, unknown, string][] = [
    ['text', { content: 'x' }, 'x'],
    ['parts', { content: [{ type: 'text', text: 'a' }, null, { type: 'other' }] }, 'a'],
    ['a refusal', { content: null, refusal: 'No.' }, 'No.'],
    [
      'a call',
      { content: '', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] },
      '[calls f({})]',
    ],
    ['a call of old', { function_call: { name: 'g', arguments: '1' } }, '[calls g(1)]'],
    [
      'a call with arguments as an object',
      { tool_calls: [{ function: { name: 'h', arguments: { a: 1 } } }] },
      '[calls h({"a":1})]',
    ],
    ['calls that are none', { content: 'x', tool_calls: null }, 'x'],
    ['a call that is nothing', { tool_calls: [null] }, '[calls ()]'],
    ['a number', { content: 3 }, ''],
  ]
  for (const [name, its, words] of odd) {
    test(name, () => {
      const said = saidBy(wholeOf(answer(message(its))))
      expect(inWords(said)).toBe(words)
      expect(saysNothing(said)).toBe(words === '')
    })
  }

  test('log-probabilities that are not all numbers are none', () => {
    for (const logprobs of [
      null,
      'x',
      {},
      { content: [] },
      { content: [{ logprob: null }] },
      { content: [null] },
    ]) {
      expect(
        saidBy(wholeOf(answer(message({ content: 'x' }, { logprobs })))).logprobs,
      ).toBeUndefined()
    }
  })
})

const events = async (body: Record<string, unknown>, asked: object = {}): Promise<unknown[]> => {
  const request = { model: 'm', messages: [], stream: true, ...asked }
  const { answer: stream } = asAsked(wholeOf(answer(body)), request)
  if (stream.kind !== 'stream') throw new Error('expected a stream')
  const chunks: unknown[] = []
  for await (const chunk of stream.chunks) {
    expect(chunk).toMatch(/^data: .*\n\n$/)
    chunks.push(JSON.parse(chunk.slice('data: '.length)))
  }
  return chunks
}

describe('a whole answer written out as a stream', () => {
  test('keeps its id, fields that we do not know, and how it ended', async () => {
    const body = {
      id: 'chatcmpl-7',
      object: 'chat.completion',
      model: 'm-2',
      system_fingerprint: 'fp',
      ...message(
        { role: 'assistant', content: 'hi', reasoning_content: 'hm', refusal: null },
        {
          index: 0,
          finish_reason: 'length',
        },
      ),
      usage: { total_tokens: 3 },
    }
    const head = {
      id: 'chatcmpl-7',
      object: 'chat.completion.chunk',
      model: 'm-2',
      system_fingerprint: 'fp',
    }
    const choice = (delta: object, reason: string | null = null) => ({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
    })
    expect(await events(body)).toEqual([
      choice({ role: 'assistant', content: '' }),
      choice({ content: 'hi', reasoning_content: 'hm' }),
      choice({}, 'length'),
    ])
  })

  test('gives log-probabilities to those who asked, and to nobody else', async () => {
    const logprobs = { content: [{ token: 'hi', logprob: -0.1 }] }
    const body = message({ content: 'hi' }, { logprobs })
    expect(JSON.stringify(await events(body))).not.toContain('-0.1')
    expect(JSON.stringify(await events(body, { logprobs: true }))).toContain('-0.1')
    const plain = asAsked(wholeOf(answer(body)), { model: 'm', messages: [] })
    expect(plain.answer).toMatchObject({
      text: undefined,
      body: message({ content: 'hi' }, { logprobs: null }),
    })
  })
})

test('an answer that nothing was taken from goes out as the upstream wrote it', () => {
  const given = wholeOf(answer(message({ content: 'hi' })))
  expect(asAsked(given, { model: 'm', messages: [] })).toBe(given)
})

test('what is to be checked is asked for whole', () => {
  const body = {
    model: 'm',
    messages: [],
    stream: true,
    stream_options: { include_usage: true },
    top_p: 1,
  }
  expect(wholeBody(body)).toEqual({ model: 'm', messages: [], top_p: 1 })
})
