import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ANSWER_TOKENS } from '../upstreams/scripted-upstream.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from './gateway-app.ts'

let gateway: GatewayApp
beforeAll(async () => {
  gateway = await gatewayApp({}, { aliases: { best: 'sample' } })
})
afterAll(() => gateway.close())
beforeEach(() => {
  gateway.small.received.length = 0
  gateway.big.received.length = 0
  gateway.served.length = 0
})
afterEach(() => expect(gateway.bugs).toEqual([]))

describe("OpenAI's client, its base URL changed", () => {
  test('is answered by the model that the router picks, and told which and why', async () => {
    const { data, response } = await gateway.client.chat.completions
      .create({ model: 'weir/best', messages: user(HARD) })
      .withResponse()
    expect(data.choices[0]!.message.content).toBe('Hello world from big')
    expect(gateway.big.received[0]!.body.model).toBe('big-2025')
    const { headers } = response
    expect(headers.get('x-weir-model')).toBe('big')
    expect(headers.get('x-weir-upstream')).toBe('large')
    expect(headers.get('x-weir-step')).toBe('learned')
    expect(headers.get('x-weir-reason')).toBe('win_rate_reached')
    const decision = await gateway.router.route({ messages: user(HARD) })
    expect(Number(headers.get('x-weir-win-rate'))).toBe(decision.win_rate)
    expect(Number(headers.get('x-weir-threshold'))).toBe(decision.threshold)
    expect(headers.get('x-weir-router')).toMatch(/^sample@/)
  })

  test('is told the cost of what served, and observers what was saved', async () => {
    const { response } = await gateway.client.chat.completions
      .create({ model: 'weir', messages: user(EASY) })
      .withResponse()
    // 1000 tokens at $1 and 500 at $2 a million
    expect(Number(response.headers.get('x-weir-cost-usd'))).toBeCloseTo(0.002, 10)
    expect(gateway.served).toHaveLength(1)
    expect(gateway.served[0]!.costUsd).toBeCloseTo(0.002, 10)
    expect(gateway.served[0]!.savedUsd).toBeCloseTo(0.018, 10)
    const metrics = (await gateway.app.inject('/metrics')).body
    expect(metrics).toContain('weir_gateway_cost_usd_total{model="small",upstream="little"}')
    expect(metrics).toContain('weir_gateway_breaker_open{upstream="large"} 0')
  })

  test('streams token by token', async () => {
    const stream = await gateway.client.chat.completions.create({
      model: 'weir/sample',
      messages: user(EASY),
      stream: true,
    })
    const tokens: string[] = []
    for await (const chunk of stream) {
      expect(chunk.choices).toHaveLength(1)
      tokens.push(chunk.choices[0]!.delta.content ?? '')
    }
    expect(tokens.filter(Boolean)).toEqual(ANSWER_TOKENS)
    expect(gateway.served[0]!.costUsd).toBeCloseTo(0.002, 10)
    expect(gateway.served[0]!.attempts).toHaveLength(1)
  })

  test('gets the count of tokens of a stream where it asks for it', async () => {
    const stream = await gateway.client.chat.completions.create({
      model: 'weir',
      messages: user(EASY),
      stream: true,
      stream_options: { include_usage: true },
    })
    const usages = []
    for await (const chunk of stream) if (chunk.usage) usages.push(chunk.usage)
    expect(usages).toEqual([{ prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 }])
  })

  test('calls tools, and what is not known to us passes both ways', async () => {
    const tools = [
      {
        type: 'function' as const,
        function: { name: 'weather', parameters: { type: 'object', properties: {} } },
      },
    ]
    const answer = await gateway.client.chat.completions.create({
      model: 'small',
      messages: [
        ...user('weather?'),
        {
          role: 'assistant',
          tool_calls: [
            { id: 'c', type: 'function', function: { name: 'weather', arguments: '{}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'c', content: 'rain' },
      ],
      tools,
      // @ts-expect-error no field of OpenAI's
      x_own: { deep: [1, 2] },
    })
    expect(answer.choices[0]!.message.tool_calls![0]).toMatchObject({
      function: { name: 'weather', arguments: '{"city":"Oslo"}' },
    })
    expect(answer).toHaveProperty('x_unknown', { kept: true })
    const { body } = gateway.small.received[0]!
    expect(body).toMatchObject({ x_own: { deep: [1, 2] }, tools })
    expect((body.messages as unknown[])[2]).toEqual({
      role: 'tool',
      tool_call_id: 'c',
      content: 'rain',
    })
  })

  test('is passed on to the letter, but for the model', async () => {
    const { statusCode } = await gateway.app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      payload:
        '{"seed": 9007199254740993, "model":"small" ,"messages":[{"role":"user","content":"hi"}]}',
    })
    expect(statusCode).toBe(200)
    expect(gateway.small.received[0]!.text).toBe(
      '{"seed": 9007199254740993, "model":"small" ,"messages":[{"role":"user","content":"hi"}]}',
    )
  })

  test("takes RouteLLM's model names with their threshold", async () => {
    const ask = (model: string) =>
      gateway.client.chat.completions.create({ model, messages: user(HARD) }).withResponse()
    const strong = await ask('router-sample-0.0')
    const weak = await ask('router-sample-1.0')
    expect(strong.response.headers.get('x-weir-model')).toBe('big')
    expect(weak.response.headers.get('x-weir-model')).toBe('small')
    expect(weak.response.headers.get('x-weir-threshold')).toBe('1')
  })

  test('names a model and is not routed', async () => {
    const { response } = await gateway.client.chat.completions
      .create({ model: 'big', messages: user(EASY) })
      .withResponse()
    expect(response.headers.get('x-weir-step')).toBe('model_named')
    expect(response.headers.get('x-weir-win-rate')).toBeNull()
    expect(gateway.small.received).toHaveLength(0)
  })

  test('is told what there is where it names no model', async () => {
    const asked = gateway.client.chat.completions.create({ model: 'gpt-9', messages: user(EASY) })
    await expect(asked).rejects.toMatchObject({ status: 404, code: 'model_not_served' })
  })

  test('says how it wants to be routed in `weir`, which goes no further', async () => {
    const { response } = await gateway.client.chat.completions
      .create({
        model: 'weir',
        messages: user(HARD),
        // @ts-expect-error ours
        weir: { threshold: 1, session_id: 'a' },
      })
      .withResponse()
    expect(response.headers.get('x-weir-model')).toBe('small')
    expect(gateway.small.received[0]!.body).not.toHaveProperty('weir')
    const wrong = gateway.client.chat.completions.create({
      model: 'weir',
      messages: user(HARD),
      // @ts-expect-error ours
      weir: { treshold: 1 },
    })
    await expect(wrong).rejects.toMatchObject({ status: 400, code: 'request_invalid' })
  })

  test('lists routers and models', async () => {
    const ids = []
    for await (const { id } of gateway.client.models.list()) ids.push(id)
    expect(ids).toEqual(expect.arrayContaining(['sample', 'best', 'default', 'small', 'big']))
  })

  test('sends an image alone to the strong model, which there is nothing to route on', async () => {
    const { response } = await gateway.client.chat.completions
      .create({
        model: 'weir',
        messages: [
          {
            role: 'user',
            content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }],
          },
        ],
      })
      .withResponse()
    expect(response.headers.get('x-weir-model')).toBe('big')
    expect(response.headers.get('x-weir-reason')).toBe('no_text')
    expect(gateway.big.received[0]!.body.messages).toMatchObject([
      { content: [{ image_url: { url: 'data:image/png;base64,AA==' } }] },
    ])
  })

  test('embeds, and asks /v1/responses', async () => {
    const { data } = await gateway.client.embeddings.create({
      model: 'small',
      input: 'hello',
      encoding_format: 'float',
    })
    expect(data[0]!.embedding).toEqual([0.5])
    const response = await gateway.client.responses.create({ model: 'big', input: 'hello' })
    expect(response.id).toBe('resp_1')
    expect(gateway.big.received[0]).toMatchObject({
      path: '/v1/responses',
      body: { model: 'big-2025', input: 'hello' },
    })
  })
})

describe('keys and headers', () => {
  test("the upstream gets its own key, never the client's, and no header that is not listed", async () => {
    const headers = { cookie: 'a=b', 'x-secret': '1', traceparent: '00-1-1-01' }
    await gateway.client.chat.completions.create(
      { model: 'small', messages: user(EASY) },
      { headers },
    )
    await gateway.client.chat.completions.create(
      { model: 'big', messages: user(EASY) },
      { headers },
    )
    const [little, large] = [gateway.small.received[0]!, gateway.big.received[0]!]
    expect(little.headers.authorization).toBe('Bearer sk-little')
    expect(large.headers.authorization).toBeUndefined()
    for (const { headers: got } of [little, large]) {
      expect(got.cookie).toBeUndefined()
      expect(got['x-secret']).toBeUndefined()
      expect(got.traceparent).toBe('00-1-1-01')
    }
  })
})

describe('a client that goes', () => {
  test('before the answer: the upstream is not left to write it', async () => {
    gateway.big.script.push('hang')
    const cut = gateway.big.cutByClient()
    const controller = new AbortController()
    const asked = gateway.client.chat.completions.create(
      { model: 'big', messages: user(HARD) },
      { signal: controller.signal },
    )
    const arrived = expect.poll(() => gateway.big.received.length).toBe(1)
    await arrived
    controller.abort()
    await expect(asked).rejects.toThrow('aborted')
    await cut
    await expect.poll(() => gateway.served.at(-1)?.code).toBe('cancelled')
  })

  test('in the middle of a stream: the upstream is cut off as well', async () => {
    gateway.big.script.push('stall_late')
    const cut = gateway.big.cutByClient()
    const stream = await gateway.client.chat.completions.create({
      model: 'big',
      messages: user(HARD),
      stream: true,
    })
    for await (const chunk of stream) if (chunk.choices[0]!.delta.content) break
    await cut
    await expect.poll(() => gateway.served.length).toBe(1)
    expect(gateway.served[0]!.attempts[0]!.outcome).toBe('cancelled')
  })
})
