import { createHash } from 'node:crypto'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { UpstreamConfig } from '../../../serving/upstreams/kinds.ts'
import { PIXEL, type StandIn, standIn } from './api-stand-in.ts'
import { type GatewayApp, gatewayApp } from './gateway-app.ts'

/** What a client makes of an answer, whatever its API. */
interface Got {
  readonly text: string
  readonly thinking: string
  readonly calls: readonly { readonly id: string; readonly name: string; readonly city: unknown }[]
  readonly stop: string
  readonly input: number
  readonly output: number
  readonly cached: number
}

interface Asked {
  readonly want: string
  readonly stream?: boolean
  readonly tools?: boolean
  readonly schema?: boolean
  readonly image?: boolean
  readonly thinking?: boolean
  /** the last answer's calls, which are answered now */
  readonly results?: Got
  readonly signal?: AbortSignal
  readonly model?: string
}

interface Client {
  ask(asked: Asked): Promise<Got>
  /** the status, type or code, and message that the client's error has */
  failed(error: unknown): { readonly status: number | undefined; readonly message: string }
}

const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
const IMAGE = `data:image/png;base64,${PIXEL}`
const cityOf = (json: string): unknown => (JSON.parse(json) as { city?: unknown }).city

function chatClient(url: string): Client {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0 })
  return {
    async ask({ want, stream, tools, schema, image, thinking, results, signal, model = 'weir' }) {
      const text = `want=${want}`
      const content = image
        ? [
            { type: 'text' as const, text },
            { type: 'image_url' as const, image_url: { url: IMAGE } },
          ]
        : text
      const body: OpenAI.ChatCompletionCreateParams = {
        model,
        messages: [
          { role: 'user', content },
          ...(results
            ? [
                {
                  role: 'assistant' as const,
                  tool_calls: results.calls.map(({ id, name, city }) => ({
                    id,
                    type: 'function' as const,
                    function: { name, arguments: JSON.stringify({ city }) },
                  })),
                },
                ...results.calls.map(({ id }) => ({
                  role: 'tool' as const,
                  tool_call_id: id,
                  content: '5 degrees',
                })),
              ]
            : []),
        ],
        ...(tools
          ? { tools: [{ type: 'function', function: { name: 'weather', parameters: SCHEMA } }] }
          : {}),
        ...(schema
          ? { response_format: { type: 'json_schema', json_schema: { name: 'a', schema: SCHEMA } } }
          : {}),
        ...(thinking ? { reasoning_effort: 'low' } : {}),
      }
      const whole = stream
        ? await client.chat.completions
            .stream({ ...body, stream_options: { include_usage: true } } as never, { signal })
            .finalChatCompletion()
        : await client.chat.completions.create({ ...body, stream: false }, { signal })
      const { message, finish_reason } = whole.choices[0]!
      return {
        text: message.content ?? '',
        thinking: (message as { reasoning_content?: string }).reasoning_content ?? '',
        calls: (message.tool_calls ?? []).map((call) => {
          const { name, arguments: given } = (
            call as { function: { name: string; arguments: string } }
          ).function
          return { id: call.id, name, city: cityOf(given) }
        }),
        stop: finish_reason === 'tool_calls' ? 'calls' : finish_reason,
        input: whole.usage!.prompt_tokens,
        output: whole.usage!.completion_tokens,
        cached: whole.usage!.prompt_tokens_details?.cached_tokens ?? 0,
      }
    },
    failed: (error) => error as InstanceType<typeof OpenAI.APIError>,
  }
}

function responsesClient(url: string): Client {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0 })
  return {
    async ask({ want, stream, tools, schema, image, thinking, results, signal, model = 'weir' }) {
      const text = `want=${want}`
      const body: OpenAI.Responses.ResponseCreateParams = {
        model,
        instructions: 'Be brief.',
        input: [
          {
            role: 'user',
            content: image
              ? [
                  { type: 'input_text', text },
                  { type: 'input_image', image_url: IMAGE, detail: 'auto' },
                ]
              : text,
          },
          ...(results?.calls ?? []).flatMap(({ id, name, city }) => [
            {
              type: 'function_call' as const,
              call_id: id,
              name,
              arguments: JSON.stringify({ city }),
            },
            { type: 'function_call_output' as const, call_id: id, output: '5 degrees' },
          ]),
        ],
        ...(tools
          ? { tools: [{ type: 'function', name: 'weather', parameters: SCHEMA, strict: true }] }
          : {}),
        ...(schema ? { text: { format: { type: 'json_schema', name: 'a', schema: SCHEMA } } } : {}),
        ...(thinking ? { reasoning: { effort: 'low', summary: 'auto' } } : {}),
      }
      const whole = stream
        ? await client.responses.stream(body as never, { signal }).finalResponse()
        : await client.responses.create({ ...body, stream: false }, { signal })
      const texts = whole.output.flatMap((item) => (item.type === 'message' ? item.content : []))
      return {
        text: texts.map((part) => (part.type === 'output_text' ? part.text : '')).join(''),
        thinking: whole.output
          .flatMap((item) => (item.type === 'reasoning' ? item.summary : []))
          .map((part) => part.text)
          .join(''),
        calls: whole.output.flatMap((item) =>
          item.type === 'function_call'
            ? [{ id: item.call_id, name: item.name, city: cityOf(item.arguments) }]
            : [],
        ),
        stop:
          whole.status !== 'completed'
            ? String(whole.status)
            : whole.output.some(({ type }) => type === 'function_call')
              ? 'calls'
              : 'stop',
        input: whole.usage!.input_tokens,
        output: whole.usage!.output_tokens,
        cached: whole.usage!.input_tokens_details.cached_tokens,
      }
    },
    failed: (error) => error as InstanceType<typeof OpenAI.APIError>,
  }
}

function messagesClient(url: string): Client {
  const client = new Anthropic({ baseURL: url, apiKey: 'k', maxRetries: 0 })
  return {
    async ask({ want, stream, tools, schema, image, thinking, results, signal, model = 'weir' }) {
      const text = `want=${want}`
      const body: Anthropic.MessageCreateParams = {
        model,
        max_tokens: 4000,
        system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
        messages: [
          {
            role: 'user',
            content: image
              ? [
                  { type: 'text', text },
                  {
                    type: 'image',
                    source: { type: 'base64', media_type: 'image/png', data: PIXEL },
                  },
                ]
              : text,
          },
          ...(results
            ? [
                {
                  role: 'assistant' as const,
                  content: results.calls.map(({ id, name, city }) => ({
                    type: 'tool_use' as const,
                    id,
                    name,
                    input: { city },
                  })),
                },
                {
                  role: 'user' as const,
                  content: results.calls.map(({ id }) => ({
                    type: 'tool_result' as const,
                    tool_use_id: id,
                    content: '5 degrees',
                  })),
                },
              ]
            : []),
        ],
        ...(tools ? { tools: [{ name: 'weather', input_schema: SCHEMA as never }] } : {}),
        ...(schema ? { output_config: { format: { type: 'json_schema', schema: SCHEMA } } } : {}),
        ...(thinking ? { thinking: { type: 'enabled', budget_tokens: 1024 } } : {}),
      }
      const whole = stream
        ? await client.messages.stream(body, { signal: signal ?? null }).finalMessage()
        : await client.messages.create({ ...body, stream: false }, { signal: signal ?? null })
      const { usage } = whole
      const cached = usage.cache_read_input_tokens ?? 0
      return {
        text: whole.content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
        thinking: whole.content
          .map((block) => (block.type === 'thinking' ? block.thinking : ''))
          .join(''),
        calls: whole.content.flatMap((block) =>
          block.type === 'tool_use'
            ? [{ id: block.id, name: block.name, city: (block.input as { city?: unknown }).city }]
            : [],
        ),
        stop:
          whole.stop_reason === 'tool_use'
            ? 'calls'
            : whole.stop_reason === 'end_turn'
              ? 'stop'
              : String(whole.stop_reason),
        input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
        output: usage.output_tokens,
        cached,
      }
    },
    failed: (error) => error as InstanceType<typeof Anthropic.APIError>,
  }
}

const CLIENTS = { chat: chatClient, responses: responsesClient, messages: messagesClient }

const KINDS: Readonly<
  Record<
    string,
    { readonly responses: boolean; readonly settings: (url: string) => UpstreamConfig }
  >
> = {
  'openai, chat completions alone': {
    responses: false,
    settings: (url) => ({ base_url: url }),
  },
  'openai with responses': { responses: true, settings: (url) => ({ base_url: url }) },
  anthropic: { responses: false, settings: (url) => ({ kind: 'anthropic', base_url: url }) },
  'ai-sdk': {
    responses: false,
    settings: (url) => ({
      kind: 'ai-sdk',
      package: '@ai-sdk/mistral',
      options: { baseURL: url, apiKey: 'k' },
    }),
  },
}

describe.each(Object.entries(KINDS))(
  'behind an upstream of %s',
  (kind, { responses, settings }) => {
    let upstream: StandIn
    let gateway: GatewayApp
    beforeAll(async () => {
      upstream = await standIn(responses, kind === 'ai-sdk')
      const behind = { upstreams: [{ upstream: 'it' }], price: { input: 1, output: 2 } }
      gateway = await gatewayApp({
        upstreams: { it: settings(upstream.url) },
        models: { small: behind, big: behind },
      })
    })
    afterAll(async () => {
      await gateway.close()
      await upstream.close()
    })
    afterEach(() => {
      expect(gateway.bugs).toEqual([])
      upstream.received.length = 0
      gateway.served.length = 0
    })

    describe.each(Object.entries(CLIENTS))('a client of %s', (api, open) => {
      const client = (): Client => open(gateway.url)
      // Mistral's package has images, tools, schemas and streams; what it counts of a cache it does not tell
      const cached = kind === 'ai-sdk' ? expect.any(Number) : 30

      test.each([false, true])('is answered and told the tokens (stream: %s)', async (stream) => {
        const got = await client().ask({ want: 'plain', stream })
        expect(got).toEqual({
          text: 'Hello world',
          thinking: '',
          calls: [],
          stop: 'stop',
          input: 100,
          output: 50,
          cached,
        })
        expect(gateway.served).toMatchObject([{ endpoint: api, model: 'small', status: 200 }])
        // 100 tokens at $1 and 50 at $2 a million
        expect(gateway.served[0]!.costUsd).toBeCloseTo(0.0002, 10)
      })

      test.each([false, true])('calls a tool and reads its result (stream: %s)', async (stream) => {
        const first = await client().ask({ want: 'call', tools: true, stream })
        expect(first.calls).toEqual([{ id: expect.any(String), name: 'weather', city: 'Oslo' }])
        expect(first.stop).toBe('calls')
        const last = await client().ask({ want: 'call', tools: true, stream, results: first })
        expect(last).toMatchObject({ text: 'It is 5 degrees.', calls: [], stop: 'stop' })
      })

      test.each([false, true])('calls two tools at once (stream: %s)', async (stream) => {
        const { calls } = await client().ask({ want: 'parallel', tools: true, stream })
        expect(calls.map(({ city }) => city)).toEqual(['Oslo', 'Rome'])
        expect(new Set(calls.map(({ id }) => id)).size).toBe(2)
      })

      test.each([false, true])('gets structured output (stream: %s)', async (stream) => {
        const { text } = await client().ask({ want: 'json', schema: true, stream })
        expect(JSON.parse(text)).toEqual({ city: 'Oslo' })
      })

      test('shows an image', async () => {
        expect((await client().ask({ want: 'image', image: true })).text).toBe('an image')
      })

      test.each([false, true])('sees what the model thinks (stream: %s)', async (stream) => {
        const asked = client().ask({ want: 'think', thinking: true, stream })
        if (kind === 'ai-sdk') {
          // interface v3 of the AI SDK has no effort
          const error = await asked.catch((thrown: unknown) => thrown)
          expect(client().failed(error).message).toMatch(/no (thinking|reasoning_effort)/)
          return
        }
        const got = await asked
        expect(got.text).toBe('42')
        // the library does not put this field of streamed chats together
        if (api !== 'chat' || !stream) expect(got.thinking).toBe('Let me see.')
      })

      test('goes in the middle of a stream, and the upstream is told', async () => {
        const abort = new AbortController()
        const cut = upstream.cut()
        const asked = client().ask({ want: 'hang', stream: true, signal: abort.signal })
        const ended = asked.catch(() => 'gone')
        while (upstream.received.length === 0)
          await new Promise((resolve) => setTimeout(resolve, 5))
        setTimeout(() => abort.abort(), 50)
        expect(await ended).toBe('gone')
        await cut
      })

      test.each([false, true])(
        'is told a refusal in its own shape (stream: %s)',
        async (stream) => {
          const error = await client()
            .ask({ want: 'fail', stream })
            .catch((thrown: unknown) => thrown)
          const { status, message } = client().failed(error)
          expect(status).toBe(400)
          expect(message).toContain('the prompt is not allowed')
        },
      )
    })
  },
)

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')

describe('a request of another API', () => {
  let plain: StandIn
  let native: StandIn
  let claude: StandIn
  let gateway: GatewayApp
  beforeAll(async () => {
    ;[plain, native, claude] = await Promise.all([standIn(false), standIn(true), standIn(false)])
    const behind = (upstream: string, more: object = {}) => ({
      upstreams: [{ upstream }],
      price: { input: 1, output: 2 },
      ...more,
    })
    gateway = await gatewayApp(
      {
        upstreams: {
          plain: { base_url: plain.url, responses: false },
          native: { base_url: native.url },
          claude: { kind: 'anthropic', base_url: claude.url },
        },
        models: {
          small: behind('plain', { quality: 1 }),
          big: behind('native', { quality: 2 }),
          sonnet: behind('claude', { quality: 2 }),
          thrifty: behind('claude', {
            parameters: { fixed: { max_tokens: 50, temperature: 0.5 } },
          }),
        },
        default_upstream: 'native',
      },
      {
        keys: [
          { name: 'me', sha256: sha256('sk-me'), feedback: 'own' },
          { name: 'you', sha256: sha256('sk-you') },
          { name: 'held', sha256: sha256('sk-held'), routers: ['sample'] },
        ],
      },
    )
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([plain.close(), native.close(), claude.close()])
  })
  afterEach(() => {
    expect(gateway.bugs).toEqual([])
    for (const { received } of [plain, native, claude]) received.length = 0
    gateway.served.length = 0
  })

  const anthropic = (apiKey = 'sk-me'): Anthropic =>
    new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 })
  const openai = (apiKey = 'sk-me'): OpenAI =>
    new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 })
  const ask = (fields: object, headers: Record<string, string> = {}, path = '/v1/messages') =>
    gateway.app.inject({
      method: 'POST',
      url: path,
      headers: { 'x-api-key': 'sk-me', ...headers },
      payload: { max_tokens: 100, messages: [{ role: 'user', content: 'hello' }], ...fields },
    })

  test('is authorised by x-api-key, and refused in Anthropic’s shape', async () => {
    expect(
      (
        await anthropic().messages.create({
          model: 'weir',
          max_tokens: 9,
          messages: [{ role: 'user', content: 'hi' }],
        })
      ).content,
    ).toMatchObject([{ text: 'Hello world' }])
    const error = await anthropic('wrong')
      .messages.create({
        model: 'weir',
        max_tokens: 9,
        messages: [{ role: 'user', content: 'hi' }],
      })
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError)
    expect((await ask({ model: 'weir' }, { authorization: '' })).statusCode).toBe(200)
    expect((await ask({ model: 'weir' }, { authorization: 'Bearer wrong' })).statusCode).toBe(401)
    const { statusCode, body } = await ask({ messages: [] })
    expect(statusCode).toBe(400)
    expect(JSON.parse(body)).toEqual({
      type: 'error',
      error: {
        type: 'invalid_request_error',
        code: 'request_invalid',
        message: expect.stringContaining('messages'),
        param: 'messages',
      },
      request_id: expect.any(String),
    })
  })

  test('counts tokens: by Anthropic where the model is behind it, else an estimate', async () => {
    const messages = [{ role: 'user' as const, content: 'a question of some words' }]
    const count = (model: string) => anthropic().messages.countTokens({ model, messages })
    expect(await count('sonnet')).toEqual({ input_tokens: 77 })
    expect(claude.received[0]).toMatchObject({
      path: '/v1/messages/count_tokens',
      body: { model: 'sonnet', messages },
    })
    const { input_tokens: estimate } = await count('weir')
    expect(estimate).toBeGreaterThan(4)
    expect(estimate).toBeLessThan(20)
  })

  test('lists weir, the routers and the models, in both shapes', async () => {
    const ids = (await openai().models.list()).data.map(({ id }) => id)
    expect(ids).toEqual(['weir', 'sample', 'default', 'small', 'big', 'sonnet', 'thrifty'])
    const listed = []
    for await (const { id } of anthropic().models.list()) listed.push(id)
    expect(listed).toEqual(ids)
  })

  test('goes to an upstream of its own API as it is', async () => {
    const fields = {
      model: 'sonnet',
      unknown_field: { kept: 1.0 },
      tools: [{ type: 'web_search_20250305', name: 'web_search' }],
    }
    const answer = await ask(fields)
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['x-weir-adjusted']).toBeUndefined()
    expect(claude.received[0]!.body).toEqual({
      max_tokens: 100,
      messages: [{ role: 'user', content: 'hello' }],
      ...fields,
    })
    expect(JSON.parse(answer.body)).toMatchObject({ id: 'msg_9', usage: { input_tokens: 70 } })
  })

  test('has the parameters of its model, in the words of its API', async () => {
    await ask({ model: 'thrifty', temperature: 1, metadata: { user_id: 'u' } })
    expect(claude.received[0]!.body).toMatchObject({
      max_tokens: 50,
      temperature: 0.5,
      metadata: { user_id: 'u' },
    })
  })

  test('is refused by name where the model’s API cannot say it, and answered by one that can', async () => {
    const tools = [{ type: 'web_search_20250305', name: 'web_search' }]
    const refused = await ask({ model: 'small', tools })
    expect(refused.statusCode).toBe(400)
    expect(JSON.parse(refused.body).error).toMatchObject({
      type: 'invalid_request_error',
      param: 'tools',
      message: expect.stringContaining('web_search_20250305'),
    })
    for (const input of [undefined, null, []]) {
      const empty = { input, max_tokens: undefined, messages: undefined }
      const answer = await ask({ model: 'small', ...empty }, {}, '/v1/responses')
      expect(answer.statusCode).toBe(400)
      expect(JSON.parse(answer.body).error).toMatchObject({ param: 'input' })
    }
    const hosted = {
      input: 'hello',
      tools: [{ type: 'web_search' }],
      max_tokens: undefined,
      messages: undefined,
    }
    const answered = await ask({ model: 'weir', ...hosted }, {}, '/v1/responses')
    expect(answered.statusCode).toBe(200)
    expect(answered.headers['x-weir-model']).toBe('big')
    expect(plain.received).toEqual([])
  })

  test('tells what was left out', async () => {
    const answer = await ask({ model: 'small', context_management: { edits: [1] }, top_k: 3 })
    expect(answer.headers['x-weir-adjusted']).toBe('context_management left out')
    expect(plain.received[0]!.body).toEqual({
      model: 'small',
      messages: [{ role: 'user', content: 'hello' }],
      max_completion_tokens: 100,
      top_k: 3,
    })
  })

  test('has no marks, blocks or images where a chat server would refuse them', async () => {
    const cache_control = { type: 'ephemeral' }
    const image = {
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: PIXEL },
    }
    await ask({
      model: 'small',
      thinking: { type: 'enabled', budget_tokens: 8000 },
      tools: [{ name: 'look', input_schema: SCHEMA, cache_control }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'look', cache_control }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 's' },
            { type: 'tool_use', id: 't1', name: 'look', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 't1', content: [image], cache_control },
            { type: 'text', text: 'and now?' },
          ],
        },
      ],
    })
    const { messages, reasoning_effort, thinking } = plain.received[0]!.body
    expect([reasoning_effort, thinking]).toEqual(['medium', undefined])
    expect(plain.received[0]!.text).not.toMatch(/cache_control|thinking/)
    expect(messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'look' }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 't1', type: 'function', function: { name: 'look', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 't1', content: '(1 attached below)' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Result of t1:' },
          { type: 'image_url', image_url: { url: IMAGE } },
        ],
      },
      { role: 'user', content: 'and now?' },
    ])
  })

  test('goes on with an earlier response at the upstream that keeps it', async () => {
    const first = await openai().responses.create({
      model: 'weir',
      input: 'want=plain',
      tools: [{ type: 'web_search' as never }],
    } as never)
    expect(first.id).toMatch(/^resp_w1\./)
    const second = await openai()
      .responses.stream({ model: 'weir', input: 'more', previous_response_id: first.id })
      .finalResponse()
    expect(native.received[1]!.body).toMatchObject({ model: 'big', previous_response_id: 'resp_9' })
    // its session too, of which the id tells
    expect(second.id).toBe(first.id)
    const other = await openai().responses.create({
      model: 'weir',
      input: 'want=plain of another conversation',
      tools: [{ type: 'web_search' as never }],
    } as never)
    expect(other.id).toMatch(/^resp_w1\..*\.resp_9$/)
    expect(other.id).not.toBe(first.id)
    const named = await openai().responses.create({
      model: 'big',
      input: 'x',
      previous_response_id: 'resp_7',
    })
    expect(named.id).toBe('resp_9')
    native.received.length = 0
    await openai().responses.delete(first.id)
    expect(native.received.map(({ path }) => path)).toEqual(['/v1/responses/resp_9'])
    const failed = await Promise.all([
      ask({ model: 'weir', input: 'x', previous_response_id: 'resp_7' }, {}, '/v1/responses'),
      ask({ model: 'small', input: 'x', previous_response_id: 'resp_7' }, {}, '/v1/responses'),
      ask({ model: 'small', input: 'x', store: true }, {}, '/v1/responses'),
    ])
    expect(
      failed.map(({ statusCode, body }) => [statusCode, JSON.parse(body).error.param]),
    ).toEqual([
      [400, 'previous_response_id'],
      [400, 'previous_response_id'],
      [400, 'store'],
    ])
  })

  test('goes on with no response that another key was given, or that nobody was', async () => {
    const tools = [{ type: 'web_search' as never }]
    const given = (key: string) =>
      openai(key).responses.create({ model: 'sample', input: 'want=plain', tools } as never)
    const { id } = await given('sk-held')
    native.received.length = 0
    const parts = id.split('.')
    const other = Buffer.from('["sonnet","claude"]').toString('base64url')
    for (const [key, asked] of [
      ['sk-you', id],
      ['sk-held', id.replace('resp_9', 'resp_8')],
      ['sk-held', [parts[0], other, ...parts.slice(2)].join('.')],
      ['sk-held', 'resp_w1.x'],
      ['sk-held', `resp_w1.${Buffer.from('5').toString('base64url')}..resp_9`],
    ] as const) {
      const failed = { status: 404, code: 'response_unknown', param: 'previous_response_id' }
      const { responses } = openai(key)
      const asking = { model: 'sample', input: 'x', previous_response_id: asked }
      await expect(responses.create(asking)).rejects.toMatchObject(failed)
      await expect(responses.retrieve(asked)).rejects.toMatchObject(failed)
      await expect(responses.delete(asked)).rejects.toMatchObject(failed)
    }
    expect(native.received).toEqual([])
    // whoever kept it no longer serves the model: no other one is asked
    const gone = { model: 'big', upstream: 'claude', id: 'resp_9' }
    const left = gateway.services.storedIds.idOf(gone, 'held')
    const lost = { status: 503, code: 'upstream_unavailable' }
    const asking = { model: 'sample', input: 'x', previous_response_id: left }
    await expect(openai('sk-held').responses.create(asking)).rejects.toMatchObject(lost)
    await expect(openai('sk-held').responses.delete(left)).rejects.toMatchObject(lost)
    expect([...native.received, ...claude.received]).toEqual([])
    // a key that may name no model goes on with what its router chose, and nowhere else
    const { responses } = openai('sk-held')
    await responses.create({ model: 'sample', input: 'x', previous_response_id: id })
    await responses.delete(id)
    expect(native.received.map(({ path }) => path)).toEqual([
      '/v1/responses',
      '/v1/responses/resp_9',
    ])
    await expect(responses.create({ model: 'big', input: 'x' })).rejects.toMatchObject({
      code: 'router_forbidden',
    })
  })

  test.each([
    ['messages of null', { messages: [null] }, '/v1/messages'],
    ['parts of null', { messages: [{ role: 'user', content: [null] }] }, '/v1/messages'],
    [
      'results of numbers',
      {
        messages: [
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content: [5] }] },
        ],
      },
      '/v1/messages',
    ],
    ['tools of null', { tools: [null] }, '/v1/messages'],
    ['an address that is none', { messages: [{ role: 'user', content: 3 }] }, '/v1/messages'],
    ['items of null', { input: [null] }, '/v1/responses'],
    ['parts of numbers', { input: [{ role: 'user', content: [7] }] }, '/v1/responses'],
    [
      'an image without an address',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      '/v1/responses',
    ],
    ['tools of texts', { input: 'x', tools: ['x'] }, '/v1/responses'],
  ])('%s: refused with its place', async (_, fields, path) => {
    const { statusCode, body } = await ask({ model: 'weir', ...fields }, {}, path)
    expect([statusCode, JSON.parse(body).error.code]).toEqual([400, 'request_invalid'])
  })
})
