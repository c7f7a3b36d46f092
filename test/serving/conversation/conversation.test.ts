import { describe, expect, test } from 'vitest'
import { replyOfSdk, SdkEvents, toSdkOptions } from '../../../serving/conversation/ai-sdk.ts'
import { ChatChunks, chatCompletion, fromChat, toChat } from '../../../serving/conversation/chat.ts'
import { effortRule, thinkingBudget } from '../../../serving/conversation/claude-models.ts'
import { ClientStream, readClientBody } from '../../../serving/conversation/client-api.ts'
import { type Fields, UntranslatableRequest } from '../../../serving/conversation/form.ts'
import { sourceOfUrl } from '../../../serving/conversation/media.ts'
import {
  fromMessages,
  MessageEvents,
  replyOfMessage,
  toMessages,
} from '../../../serving/conversation/messages.ts'
import { fromResponses } from '../../../serving/conversation/responses.ts'
import { closedSchema, objectSchema } from '../../../serving/conversation/schema.ts'

const user = (content: unknown) => ({ role: 'user', content })
const image = (url: string) => ({ type: 'image_url', image_url: { url } })
const PNG = 'data:image/png;base64,iVBORw0KGgoAAA'
const mark = { cache_control: { type: 'ephemeral' } }
const weather = { type: 'function', function: { name: 'w', parameters: { type: 'object' } } }
const called = (more: object = {}) => [
  user('weather?'),
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 't1', type: 'function', function: { name: 'w', arguments: '{}' } }],
    ...more,
  },
  { role: 'tool', tool_call_id: 't1', content: 'rain' },
]

const claude = (body: Fields, model = 'claude-sonnet-4-5') => {
  const adjusted: string[] = []
  const chat = { model, messages: [user('hi')], ...body }
  const sent: Fields = toMessages(fromChat(chat), (what) => adjusted.push(what))
  return { ...sent, adjusted } as unknown as Fields & {
    readonly messages: readonly { readonly role: string; readonly content: readonly Fields[] }[]
    readonly adjusted: readonly string[]
  }
}

describe('a conversation comes back as it was', () => {
  test.each([
    ['plain text', { messages: [{ role: 'system', content: 'Be brief.' }, user('hi')] }],
    ['parts with marks', { messages: [user([{ type: 'text', text: 'hi', ...mark }, image(PNG)])] }],
    ['tools and results', { messages: called(), tools: [weather], tool_choice: 'required' }],
    [
      'thinking with its signature',
      {
        messages: called({
          reasoning_content: 'hm',
          thinking_blocks: [
            { type: 'thinking', thinking: 'hm', signature: 's' },
            { type: 'redacted_thinking', data: 'x' },
          ],
        }),
      },
    ],
    [
      'structured output, sampling and the rest',
      {
        messages: [user('hi')],
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'a', schema: { type: 'object' }, strict: true },
        },
        reasoning_effort: 'low',
        max_completion_tokens: 9,
        temperature: 0.3,
        stop: ['END'],
        seed: 4,
        logit_bias: { 1: 2 },
        user: 'me',
        vendor_field: { a: 1 },
      },
    ],
    [
      'files and audio',
      {
        messages: [
          user([
            {
              type: 'file',
              file: { file_data: 'data:application/pdf;base64,JVBERi0', filename: 'a.pdf' },
            },
            { type: 'file', file: { file_id: 'file-1' } },
            { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } },
          ]),
        ],
      },
    ],
    [
      'a choice among some tools',
      {
        messages: [user('hi')],
        tools: [weather],
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'w' } }] },
        },
      },
    ],
  ])('by chat completions: %s', (_, body) => {
    const whole = { model: 'm', ...body }
    expect(toChat(fromChat(whole), () => {})).toEqual(whole)
  })

  test.each([
    ['plain text', { system: 'Be brief.', messages: [user([{ type: 'text', text: 'hi' }])] }],
    [
      'marks, documents and opaque blocks',
      {
        system: [{ type: 'text', text: 'long', ...mark }],
        messages: [
          user([
            {
              type: 'document',
              source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0' },
              title: 'a',
              ...mark,
            },
            { type: 'search_result', source: 's', title: 't', content: [] },
          ]),
        ],
      },
    ],
    [
      'thinking, calls and results',
      {
        messages: [
          user([{ type: 'text', text: 'hi' }]),
          {
            role: 'assistant',
            content: [
              { type: 'thinking', thinking: 'hm', signature: 's' },
              { type: 'tool_use', id: 't1', name: 'w', input: { a: 1 } },
            ],
          },
          user([{ type: 'tool_result', tool_use_id: 't1', content: 'no', is_error: true }]),
        ],
        tools: [
          { name: 'w', input_schema: { type: 'object' }, ...mark },
          { type: 'web_search_20250305', name: 'web_search', max_uses: 3 },
        ],
        tool_choice: { type: 'any', disable_parallel_tool_use: true },
        thinking: { type: 'enabled', budget_tokens: 2000 },
      },
    ],
    [
      'output_config, metadata and fields of later versions',
      {
        messages: [user([{ type: 'text', text: 'hi' }])],
        output_config: {
          effort: 'low',
          format: { type: 'json_schema', schema: { type: 'object' } },
        },
        metadata: { user_id: 'me' },
        stop_sequences: ['END'],
        context_management: { edits: [] },
        top_k: 3,
      },
    ],
  ])('by messages: %s', (_, body) => {
    const whole = { model: 'claude', max_tokens: 5000, ...body }
    expect(toMessages(fromMessages(whole), () => {})).toEqual(whole)
  })
})

describe('a chat body for Anthropic', () => {
  test('has no blank texts, and turns that say nothing only where one is needed', () => {
    const contents = (messages: unknown[]) =>
      claude({ messages }).messages.map(({ role, content }) => [role, content.length])
    expect(contents([user([{ type: 'text', text: ' ' }, image(PNG)])])).toEqual([['user', 1]])
    expect(contents([user('')])).toEqual([['user', 1]])
    expect(contents([user('a'), { role: 'assistant', content: '' }, user('b')])).toEqual([
      ['user', 2],
    ])
    expect(contents([user('a'), { role: 'assistant', content: 'b' }, user('')])).toEqual([
      ['user', 1],
      ['assistant', 1],
      ['user', 1],
    ])
    expect(contents([{ role: 'assistant', content: 'a ' }, user('b')])[0]).toEqual(['user', 1])
    const prefill = claude({ messages: [user('a'), { role: 'assistant', content: '{ ' }] })
    expect(prefill.messages[1]!.content).toEqual([{ type: 'text', text: '{' }])
  })

  test.each([
    ['image/jpg', 'data:image/jpg;base64,AAAA', 'image/jpeg'],
    ['capitals', 'DATA:IMAGE/PNG;BASE64,AAAA', 'image/png'],
    ['parameters', 'data:image/webp;name=a.webp;base64,AAAA', 'image/webp'],
    ['a wrong type', 'data:image/jpeg;base64,iVBORw0KGgoAAA', 'image/png'],
    ['no type', 'data:;base64,/9j/4AAQ', 'image/jpeg'],
  ])('reads data URIs with %s', (_, url, mediaType) => {
    const { content } = claude({ messages: [user([image(url)])] }).messages[0]!
    expect(content[0]).toMatchObject({ source: { type: 'base64', media_type: mediaType } })
  })

  test('reads percent-encoded data, and refuses what is no address', () => {
    expect(sourceOfUrl('data:text/plain,a%20b', 'x')).toMatchObject({ data: 'YSBi' })
    expect(() => sourceOfUrl('/tmp/a.png', 'messages.0')).toThrow('messages.0: expected an http')
    expect(() => claude({ messages: [user([image('data:image/svg+xml;base64,AAAA')])] })).toThrow(
      'not image/svg+xml',
    )
  })

  test.each([
    [undefined, { type: 'object', properties: {} }],
    [null, { type: 'object', properties: {} }],
    [{}, { type: 'object', properties: {} }],
    [{ type: null }, { type: 'object', properties: {} }],
    [{ properties: { a: {} } }, { properties: { a: {} }, type: 'object' }],
    [
      { type: ['object', 'null'], properties: {} },
      { properties: {}, type: 'object' },
    ],
    [
      { type: 'object', properties: { a: {} } },
      { type: 'object', properties: { a: {} } },
    ],
  ])('has tools whose schema says object: %j', (schema, expected) => {
    expect(objectSchema(schema)).toEqual(expected)
  })

  test('closes schemas of structured output and tells the limits that have no place', () => {
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 1, description: 'count' } },
      $defs: { d: { type: 'object', properties: {} } },
    }
    expect(closedSchema(schema)).toEqual({
      type: 'object',
      properties: { n: { type: 'integer', description: 'count (minimum: 1)' } },
      $defs: { d: { type: 'object', properties: {}, additionalProperties: false } },
      additionalProperties: false,
    })
  })

  test('answers in any JSON object by way of a tool, whole and streamed', () => {
    const body = claude({ response_format: { type: 'json_object' } })
    expect(body.tool_choice).toMatchObject({ type: 'tool', name: 'answer_in_json' })
    const use = { type: 'tool_use', id: 't', name: 'answer_in_json', input: { a: 1 } }
    const reply = replyOfMessage({ content: [use], stop_reason: 'tool_use' }, true)
    expect(chatCompletion(reply, 0)).toMatchObject({
      choices: [{ message: { content: '{"a":1}' }, finish_reason: 'stop' }],
    })
    const events = new MessageEvents(true)
    events.read({ type: 'content_block_start', index: 0, content_block: use })
    expect(events.read({ type: 'content_block_stop', index: 0 })).toEqual([
      { type: 'text', text: '{"a":1}' },
    ])
    expect(() => claude({ response_format: { type: 'json_object' }, tools: [weather] })).toThrow(
      'json_object beside tools',
    )
  })

  test.each([
    ['claude-sonnet-4-5', 'low', undefined, { type: 'enabled', budget_tokens: 2048 }, 6144],
    ['claude-sonnet-4-5', 'high', 4000, { type: 'enabled', budget_tokens: 3000 }, 4000],
    ['claude-sonnet-4-5', 'high', 500, undefined, 500],
    ['claude-sonnet-4-5', 'none', 500, undefined, 500],
    ['claude-opus-4-7', 'minimal', 500, { type: 'adaptive' }, 500],
  ])('%s thinks at %s within %s tokens', (model, effort, max, thinking, limit) => {
    const body = claude({ reasoning_effort: effort, max_tokens: max, temperature: 0.2 }, model)
    expect(body.thinking).toEqual(thinking)
    expect(body.max_tokens).toBe(limit)
    expect(body.temperature).toBe(thinking ? undefined : 0.2)
  })

  test('knows which models think how', () => {
    const rules = [
      'claude-3-5-haiku-latest',
      'claude-3-7-sonnet',
      'claude-opus-4-20250514',
      'claude-opus-4-6',
      'claude-haiku-4-5-20251001',
      'claude',
    ]
    expect(rules.map(effortRule)).toEqual([
      'none',
      'budget',
      'budget',
      'adaptive',
      'budget',
      'adaptive',
    ])
    expect(thinkingBudget('high', 1000)).toBeUndefined()
  })

  test('leaves thinking out where the last calls came without theirs, and says so', () => {
    const thinking = { type: 'enabled', budget_tokens: 2000 }
    const without = claude({ messages: called(), thinking })
    expect(without.thinking).toBeUndefined()
    expect(without.adjusted).toEqual(['thinking left out: the last tool calls came without theirs'])
    const blocks = [{ index: 0, type: 'thinking', thinking: 'hm', signature: 's' }]
    const kept = claude({ messages: called({ thinking_blocks: blocks }), thinking })
    expect(kept.thinking).toEqual(thinking)
    expect(kept.messages[1]!.content[0]).toEqual({
      type: 'thinking',
      thinking: 'hm',
      signature: 's',
    })
  })

  test.each(['n', 'logprobs', 'logit_bias', 'frequency_penalty', 'audio', 'functions'])(
    'with %s is refused by name, unless it asks for nothing',
    (field) => {
      const values: Fields = {
        n: 2,
        logprobs: true,
        logit_bias: { 1: 1 },
        frequency_penalty: 1,
        audio: { voice: 'a' },
        functions: [{}],
      }
      const nothing: Fields = {
        n: 1,
        logprobs: false,
        logit_bias: {},
        frequency_penalty: 0,
        audio: null,
        functions: [],
      }
      expect(() => claude({ [field]: values[field] })).toThrow(UntranslatableRequest)
      expect(() => claude({ [field]: values[field] })).toThrow(field)
      expect(claude({ [field]: nothing[field] })).not.toHaveProperty(field)
    },
  )

  test('names the wishes it leaves out, and passes on what it does not know', () => {
    const body = claude({ seed: 1, store: true, temperature: 1.5, context_management: { a: 1 } })
    expect(body.adjusted).toEqual(['seed left out', 'store left out', 'temperature lowered to 1'])
    expect(body).toMatchObject({ temperature: 1, context_management: { a: 1 } })
  })

  test('keeps images, files and failures in tool results, and marks everywhere', () => {
    const pdf = {
      type: 'file',
      file: { file_data: 'data:application/pdf;base64,JVBERi0', filename: 'a.pdf' },
    }
    const messages = [
      ...called().slice(0, 2),
      { role: 'tool', tool_call_id: 't1', content: [image(PNG), pdf], ...mark },
    ]
    const [result] = claude({ messages, tools: [{ ...weather, ...mark }] }).messages[2]!.content
    expect(result).toMatchObject({
      type: 'tool_result',
      content: [{ type: 'image' }, { type: 'document', title: 'a.pdf' }],
      ...mark,
    })
    const empty = [...called().slice(0, 2), { role: 'tool', tool_call_id: 't1', content: '' }]
    expect(claude({ messages: empty }).messages[2]!.content).toEqual([
      { type: 'tool_result', tool_use_id: 't1' },
    ])
  })
})

describe('a streamed message', () => {
  const chunksOf = (events: readonly Fields[]) => {
    const reading = new MessageEvents(false)
    const chunks = new ChatChunks('claude', 0, true)
    const text = events.flatMap((event) => reading.read(event)).map((step) => chunks.write(step))
    return text
      .join('')
      .split('\n\n')
      .filter(Boolean)
      .map((event) => JSON.parse(event.slice('data: '.length)))
  }
  const start = (index: number, content_block: Fields) => ({
    type: 'content_block_start',
    index,
    content_block,
  })
  const delta = (index: number, its: Fields) => ({ type: 'content_block_delta', index, delta: its })
  const stop = (index: number) => ({ type: 'content_block_stop', index })

  test('gives thinking back in one piece, calls without arguments, and the last counts', () => {
    const chunks = chunksOf([
      { type: 'message_start', message: { id: 'm', model: 'c', usage: { input_tokens: 0 } } },
      start(0, { type: 'thinking', thinking: '', signature: '' }),
      delta(0, { type: 'thinking_delta', thinking: 'h' }),
      delta(0, { type: 'thinking_delta', thinking: 'm' }),
      delta(0, { type: 'signature_delta', signature: 'sig' }),
      stop(0),
      start(1, { type: 'tool_use', id: 't1', name: 'now', input: {} }),
      stop(1),
      start(2, { type: 'tool_use', id: 't2', name: 'w', input: { a: 1 } }),
      {
        type: 'message_delta',
        delta: { stop_reason: 'tool_use' },
        usage: { input_tokens: 1200, output_tokens: 40, cache_read_input_tokens: 300 },
      },
      { type: 'message_stop' },
    ])
    const deltas = chunks.flatMap(({ choices }) => choices).map((choice) => choice.delta)
    expect(deltas.map((each) => each.reasoning_content ?? '').join('')).toBe('hm')
    expect(deltas.flatMap((each) => each.thinking_blocks ?? [])).toEqual([
      { index: 0, type: 'thinking', thinking: 'hm', signature: 'sig' },
    ])
    const given: string[] = ['', '']
    for (const call of deltas.flatMap((each) => each.tool_calls ?? [])) {
      given[call.index] += call.function.arguments
    }
    expect(given).toEqual(['{}', '{"a":1}'])
    expect(chunks.at(-1).usage).toMatchObject({
      prompt_tokens: 1500,
      completion_tokens: 40,
      prompt_tokens_details: { cached_tokens: 300 },
    })
  })
})

describe('a chat body for a package of the AI SDK', () => {
  const options = (body: Fields, version: 'v3' | 'v4' = 'v3') =>
    toSdkOptions(fromChat({ model: 'm', messages: [user('hi')], ...body }), version, {}, () => {})

  test('has its turns, files, calls and results', () => {
    const { prompt } = options({ messages: [user([image(PNG)]), ...called()], tools: [weather] })
    expect(prompt).toEqual([
      { role: 'user', content: [{ type: 'file', data: 'iVBORw0KGgoAAA', mediaType: 'image/png' }] },
      { role: 'user', content: [{ type: 'text', text: 'weather?' }] },
      {
        role: 'assistant',
        content: [{ type: 'tool-call', toolCallId: 't1', toolName: 'w', input: {} }],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool-result',
            toolCallId: 't1',
            toolName: 'w',
            output: { type: 'text', value: 'rain' },
          },
        ],
      },
    ])
    const [turn] = options({ messages: [user([image(PNG)])] }, 'v4').prompt as [
      { content: Fields[] },
    ]
    expect(turn.content[0]!.data).toEqual({ type: 'data', data: 'iVBORw0KGgoAAA' })
  })

  test('is refused by name where the interface has no word', () => {
    expect(() => options({ n: 2 })).toThrow('no n')
    expect(() => options({ reasoning_effort: 'low' })).toThrow('reasoning_effort')
    expect(options({ reasoning_effort: 'low' }, 'v4').reasoning).toBe('low')
    expect(options({ seed: 3, stop: 'END', max_tokens: 5 })).toMatchObject({
      seed: 3,
      stopSequences: ['END'],
      maxOutputTokens: 5,
    })
  })

  test('and its answers come back with what the provider needs again', () => {
    const metadata = { google: { thoughtSignature: 'x' } }
    const call = {
      type: 'tool-call',
      toolCallId: 't1',
      toolName: 'w',
      input: '{"a":1}',
      providerMetadata: metadata,
    }
    const thought = { type: 'reasoning', text: 'hm', providerMetadata: metadata }
    const finishReason = { unified: 'tool-calls', raw: 'x' }
    const body = chatCompletion(replyOfSdk({ content: [thought, call], finishReason }, 'm'), 0)
    const [{ message, finish_reason: reason }] = body.choices as [
      { message: Fields; finish_reason: string },
    ]
    expect(reason).toBe('tool_calls')
    const again = options({ messages: [user('hi'), message] }).prompt as { content: Fields[] }[]
    expect(again[1]!.content).toEqual([
      { type: 'reasoning', text: 'hm', providerOptions: metadata },
      {
        type: 'tool-call',
        toolCallId: 't1',
        toolName: 'w',
        input: { a: 1 },
        providerOptions: metadata,
      },
    ])
    const events = new SdkEvents('m')
    expect(events.read(call)).toMatchObject([
      { type: 'start', model: 'm' },
      { type: 'call', id: 't1', rest: { provider_metadata: metadata } },
      { type: 'arguments', text: '{"a":1}' },
    ])
  })

  test('and the arguments of its calls come in the parts that the provider sends', () => {
    const late = { google: { thoughtSignature: 'late' } }
    const whole = (id: string, input: string, more: object = {}) => ({
      ...{ type: 'tool-call', toolCallId: id, toolName: 'w', input },
      ...more,
    })
    const events = new SdkEvents('m')
    const read = [
      { type: 'tool-input-start', id: 'a', toolName: 'w' },
      { type: 'tool-input-start', id: 'b', toolName: 'w' },
      { type: 'tool-input-delta', id: 'a', delta: '{"x"' },
      { type: 'tool-input-delta', id: 'b', delta: '' },
      { type: 'tool-input-delta', id: 'a', delta: ':1}' },
      { type: 'tool-input-end', id: 'a' },
      { type: 'tool-input-end', id: 'b' },
      whole('a', '{"x":1}', { providerMetadata: late }),
      whole('b', ''),
      // raw text, and a tool that the provider runs
      { type: 'tool-input-start', id: 'c', toolName: 'w', inputEncoding: 'text' },
      { type: 'tool-input-delta', id: 'c', delta: 'raw' },
      whole('c', '"raw"'),
      { type: 'tool-input-start', id: 'd', toolName: 'code', providerExecuted: true },
      { type: 'tool-input-delta', id: 'd', delta: '{}' },
      whole('d', '{}', { providerExecuted: true }),
    ].flatMap((part) => events.read(part))
    const call = (index: number, id: string) => ({ type: 'call', index, id, name: 'w' })
    const said = (index: number, text: string) => ({ type: 'arguments', index, text })
    expect(read).toEqual([
      { type: 'start', id: '', model: 'm' },
      call(0, 'a'),
      call(1, 'b'),
      said(0, '{"x"'),
      said(0, ':1}'),
      { ...said(0, ''), rest: { provider_metadata: late } },
      said(1, '{}'),
      call(2, 'c'),
      said(2, '"raw"'),
    ])
    const chunks = new ChatChunks('m', 0, false)
    const text = read.map((event) => chunks.write(event)).join('')
    expect(text).toContain('"arguments":""},"provider_metadata":{"google"')
  })
})

describe('answers in the APIs of other clients', () => {
  const chunk = (delta: object, finish_reason: string | null = null): string =>
    `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const call = (index: number, fields: object, more: object = {}): string =>
    chunk({ tool_calls: [{ index, function: fields, ...more }] })
  const eventsOf = (text: string): Fields[] =>
    text
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice('data: '.length)) as Fields)
  const written = (api: 'messages' | 'responses', body: Fields, ...chunks: string[]): Fields[] => {
    const stream = new ClientStream(readClientBody(api, body, undefined).client, 1)
    const text = chunks.map((each) => stream.write(each)).join('')
    return eventsOf(text + stream.end({ inputTokens: 3, outputTokens: 4 }))
  }
  const MESSAGES = { model: 'm', messages: [{ role: 'user', content: 'x' }] }

  test('calls whose arguments come mixed are whole in messages', () => {
    const events = written(
      'messages',
      MESSAGES,
      call(0, { name: 'a', arguments: '{"x"' }, { id: '1' }) +
        call(1, { name: 'b', arguments: '{"y"' }, { id: '2' }),
      call(0, { arguments: ':1}' }),
      call(1, { arguments: ':2}' }),
      chunk({}, 'tool_calls'),
    )
    const starts = events.filter(({ type }) => type === 'content_block_start')
    const said = (index: number): string =>
      events
        .filter((event) => event.type === 'content_block_delta' && event.index === index)
        .map(({ delta }) => (delta as { partial_json: string }).partial_json)
        .join('')
    expect(starts.map(({ content_block: block }) => (block as Fields).name)).toEqual(['a', 'b'])
    expect([said(0), said(1)]).toEqual(['{"x":1}', '{"y":2}'])
    expect(events.at(-2)).toMatchObject({
      delta: { stop_reason: 'tool_use' },
      usage: { input_tokens: 3, output_tokens: 4 },
    })
  })

  test('thinking that was not asked for is not in messages', () => {
    const chunks = [
      chunk({ reasoning_content: 'hm' }),
      chunk({ content: 'yes' }),
      chunk({}, 'stop'),
    ]
    const kinds = (body: Fields): unknown[] =>
      written('messages', body, ...chunks)
        .filter(({ type }) => type === 'content_block_start')
        .map(({ content_block: block }) => (block as Fields).type)
    expect(kinds(MESSAGES)).toEqual(['text'])
    expect(kinds({ ...MESSAGES, thinking: { type: 'adaptive' } })).toEqual(['thinking', 'text'])
  })

  test('tools of a namespace have one name in chats, and their own in responses', () => {
    const inside = { type: 'function', name: 'find', parameters: { type: 'object' } }
    const body = {
      model: 'm',
      tools: [{ type: 'namespace', name: 'crm', tools: [inside] }],
      input: [
        { type: 'function_call', call_id: 'c', namespace: 'crm', name: 'find', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'nobody' },
      ],
    }
    const { chat, client } = readClientBody('responses', body, undefined)
    expect(client.refused).toBeUndefined()
    expect(chat).toMatchObject({
      tools: [{ function: { name: 'crm__find' } }],
      messages: [{ tool_calls: [{ function: { name: 'crm__find' } }] }, { content: 'nobody' }],
    })
    const made = call(0, { name: 'crm__find', arguments: '{}' }, { id: '1' })
    const last = written('responses', body, made, chunk({}, 'tool_calls')).at(-1)
    expect(last).toMatchObject({
      type: 'response.completed',
      response: { output: [{ type: 'function_call', namespace: 'crm', name: 'find' }] },
    })
  })

  test('thinking with a signature goes through responses and comes back', () => {
    const block = { type: 'thinking', thinking: 'hm', signature: 's' }
    const events = written(
      'responses',
      { model: 'm', input: 'x' },
      chunk({ reasoning_content: 'hm' }),
      chunk({ thinking_blocks: [{ index: 0, ...block }] }),
      chunk({ content: 'yes' }),
      chunk({}, 'length'),
    )
    const { response } = events.at(-1) as { response: { output: Fields[]; status: string } }
    expect(response).toMatchObject({ status: 'incomplete' })
    const { chat } = readClientBody('responses', { model: 'm', input: response.output }, undefined)
    expect(chat.messages).toEqual([
      { role: 'assistant', content: 'yes', reasoning_content: 'hm', thinking_blocks: [block] },
    ])
  })
})

test.each([
  ['chat', fromChat, 'messages'],
  ['messages', fromMessages, 'messages'],
  ['responses', fromResponses, 'input'],
] as const)(
  '%s: a role that the API has not is refused, not taken for the user’s',
  (_, read, field) => {
    for (const role of ['sys', 'Assistant', 'root', '', null]) {
      const body = { model: 'm', [field]: [user('hi'), { role, content: 'obey' }] }
      const fault = `${field}.1.role: expected one of`
      expect(() => read(body)).toThrow(UntranslatableRequest)
      expect(() => read(body)).toThrow(fault)
    }
  },
)
