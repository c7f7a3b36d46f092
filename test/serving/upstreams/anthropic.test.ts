import { describe, expect, test } from 'vitest'
import { anthropicDialect } from '../../../serving/upstreams/anthropic.ts'
import { UntranslatableRequest } from '../../../serving/upstreams/dialect.ts'
import type { ChatBody } from '../../../serving/upstreams/upstream.ts'

const dialect = anthropicDialect(() => 1_700_000_000_000)
const call = (body: Partial<ChatBody>) => ({
  endpoint: 'chat' as const,
  body: { model: 'claude', messages: [{ role: 'user', content: 'hi' }], ...body },
  headers: {},
  remainingMs: 1000,
})
const translated = (body: Partial<ChatBody>) =>
  dialect.request(call(body)) as Record<string, unknown>

describe('a request', () => {
  test('has its system messages apart and turns of one role put together', () => {
    const body = translated({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Look:' },
        {
          role: 'user',
          content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
        },
      ],
      max_completion_tokens: 99,
      stop: 'END',
      seed: 3,
    })
    expect(body).toEqual({
      model: 'claude',
      system: 'Be brief.',
      max_tokens: 99,
      stop_sequences: ['END'],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look:' },
            {
              type: 'image',
              source: { type: 'base64', media_type: 'image/png', data: 'AAAA' },
            },
          ],
        },
      ],
    })
  })

  test('carries tools, calls and their results', () => {
    const body = translated({
      messages: [
        { role: 'user', content: 'weather?' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { id: 't1', type: 'function', function: { name: 'w', arguments: '{"city":"Oslo"}' } },
          ],
        },
        { role: 'tool', tool_call_id: 't1', content: 'rain' },
      ],
      tools: [{ type: 'function', function: { name: 'w', parameters: { type: 'object' } } }],
      tool_choice: 'required',
    })
    expect(body.tools).toEqual([{ name: 'w', input_schema: { type: 'object' } }])
    expect(body.tool_choice).toEqual({ type: 'any' })
    expect(body.messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'weather?' }] },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 't1', name: 'w', input: { city: 'Oslo' } }],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'rain' }] },
    ])
  })

  test.each([
    { n: 2 },
    { logprobs: true },
    { response_format: { type: 'json_schema' } },
    { tools: [{ type: 'custom' }] },
  ])('that cannot be said in its words is refused: %j', (body) => {
    expect(() => translated(body)).toThrow(UntranslatableRequest)
  })
})

test('an answer becomes a chat completion with its tool calls and tokens', () => {
  const text = JSON.stringify({
    id: 'msg_1',
    type: 'message',
    model: 'claude-x',
    content: [
      { type: 'text', text: 'Let me see.' },
      { type: 'tool_use', id: 't1', name: 'w', input: { city: 'Oslo' } },
    ],
    stop_reason: 'tool_use',
    usage: { input_tokens: 10, cache_read_input_tokens: 5, output_tokens: 7 },
  })
  const { body, usage } = dialect.answer(call({}), text)
  expect(usage).toEqual({ inputTokens: 15, cachedInputTokens: 5, outputTokens: 7 })
  expect(body).toMatchObject({
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'claude-x',
    usage: { prompt_tokens: 15, completion_tokens: 7, total_tokens: 22 },
    choices: [
      {
        finish_reason: 'tool_calls',
        message: {
          content: 'Let me see.',
          tool_calls: [{ id: 't1', function: { name: 'w', arguments: '{"city":"Oslo"}' } }],
        },
      },
    ],
  })
})

test('a stream becomes chunks: text, a tool call bit by bit, the reason, the tokens', () => {
  const decoder = dialect.stream(call({ stream_options: { include_usage: true } }))
  const events = [
    {
      type: 'message_start',
      message: { id: 'm', model: 'claude-x', usage: { input_tokens: 9, output_tokens: 1 } },
    },
    { type: 'ping' },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
    { type: 'content_block_stop', index: 0 },
    {
      type: 'content_block_start',
      index: 1,
      content_block: { type: 'tool_use', id: 't1', name: 'w', input: {} },
    },
    {
      type: 'content_block_delta',
      index: 1,
      delta: { type: 'input_json_delta', partial_json: '{"city":' },
    },
    {
      type: 'content_block_delta',
      index: 1,
      delta: { type: 'input_json_delta', partial_json: '"Oslo"}' },
    },
    { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 12 } },
    { type: 'message_stop' },
  ]
  const begun: boolean[] = []
  const chunks = events.flatMap((event) => {
    const out = decoder.event({ event: event.type, data: JSON.stringify(event) })
    begun.push(decoder.begun)
    return out === '' ? [] : [JSON.parse(out.slice('data: '.length))]
  })
  // the role alone is no token
  expect(begun.indexOf(true)).toBe(3)
  const deltas = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta)
  expect(deltas.map(({ content }) => content ?? '').join('')).toBe('Hi')
  const calls = deltas.flatMap(({ tool_calls }) => tool_calls ?? [])
  expect(calls[0]).toMatchObject({ index: 0, id: 't1', function: { name: 'w' } })
  expect(calls.map((one) => one.function.arguments).join('')).toBe('{"city":"Oslo"}')
  expect(chunks.at(-2).choices[0].finish_reason).toBe('tool_calls')
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 21 } })
  expect(decoder.finished).toBe(true)
  expect(decoder.usage).toEqual({ inputTokens: 9, outputTokens: 12 })
})
