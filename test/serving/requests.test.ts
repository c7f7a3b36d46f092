import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EASY, type GatewayApp, gatewayApp, user } from './gateway/gateway-app.ts'

const MB = 1024 * 1024

let gateway: GatewayApp
beforeAll(async () => {
  gateway = await gatewayApp({ max_body_bytes: 3 * MB }, { max_body_bytes_in_flight: 5 * MB })
})
afterAll(() => gateway.close())
beforeEach(() => {
  for (const upstream of [gateway.small, gateway.big]) {
    upstream.received.length = 0
    upstream.otherwise = 'answer'
  }
})

const send = async (
  body: Buffer | string | ReadableStream,
  headers: Record<string, string> = {},
  path = '/v1/chat/completions',
): Promise<{ status: number; headers: Headers; text: string }> => {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    duplex: 'half',
  } as RequestInit)
  return { status: response.status, headers: response.headers, text: await response.text() }
}
const chat = (more: object = {}): string =>
  JSON.stringify({ model: 'big', messages: user(EASY), ...more })
const ofSize = (bytes: number): string =>
  chat({ pad: 'x'.repeat(bytes - chat({ pad: '' }).length) })

describe('a body', () => {
  test('of up to the limit is taken, and one that is larger is read to its end and refused', async () => {
    expect((await send(ofSize(3 * MB))).status).toBe(200)
    expect(gateway.big.received[0]!.text).toHaveLength(3 * MB + '-2025'.length)
    const refused = await send(ofSize(3 * MB + 1))
    expect(refused).toMatchObject({ status: 413 })
    expect(JSON.parse(refused.text).error).toMatchObject({
      code: 'body_too_large',
      message: `expected a body of at most ${3 * MB} bytes`,
    })
    expect((await send(ofSize(40 * MB))).status).toBe(413)
    expect(gateway.services.bodies.bytes).toBe(0)
  })

  test('in chunks is held to the same limit', async () => {
    const chunked = (text: string): ReadableStream =>
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < text.length; at += MB) {
            controller.enqueue(Buffer.from(text.slice(at, at + MB)))
          }
          controller.close()
        },
      })
    expect((await send(chunked(ofSize(2 * MB)))).status).toBe(200)
    expect((await send(chunked(ofSize(4 * MB)))).status).toBe(413)
    await expect.poll(() => gateway.services.bodies.bytes).toBe(0)
  })

  test('waits outside while others fill the memory for bodies', async () => {
    gateway.big.otherwise = 'slow'
    const first = send(ofSize(3 * MB))
    await expect.poll(() => gateway.services.bodies.bytes).toBe(3 * MB)
    const second = await send(ofSize(3 * MB))
    expect(second.status).toBe(503)
    expect(second.headers.get('retry-after')).toBe('1')
    expect(JSON.parse(second.text).error.code).toBe('overloaded')
    expect((await first).status).toBe(200)
    gateway.big.otherwise = 'answer'
    await expect.poll(() => gateway.services.bodies.bytes).toBe(0)
    expect((await send(ofSize(3 * MB))).status).toBe(200)
  })

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
  ])('may be compressed with %s', async (coding, compress) => {
    const coded = { 'content-encoding': coding }
    expect((await send(compress(chat({ seed: 7 })), coded)).status).toBe(200)
    expect(gateway.big.received[0]!.body).toMatchObject({ seed: 7 })
    // small on its way, too large in memory
    expect((await send(compress(ofSize(20 * MB)), coded)).status).toBe(413)
    expect((await send(Buffer.from(chat()), coded)).status).toBe(400)
  })

  test('in another coding is refused by its name', async () => {
    const { status, text } = await send(chat(), { 'content-encoding': 'zstd' })
    expect(status).toBe(415)
    expect(text).toContain('gzip, x-gzip, deflate, br or none, got zstd')
  })
})

describe('null is absent', () => {
  test.each([
    { stream: null },
    { tools: null, tool_choice: null },
    { stream_options: null, n: null, max_tokens: null, temperature: null, user: null },
    { weir: null },
    { weir: { threshold: null, session_id: null } },
    { messages: [{ role: 'user', content: EASY, name: null, tool_calls: null }] },
    { messages: [...user(EASY), { role: 'assistant', tool_calls: [] }] },
    { messages: [...user(EASY), { role: 'assistant', content: null }] },
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: EASY, image_url: null },
            { type: 'image_url', text: null, image_url: { url: 'https://example.com/a.png' } },
          ],
        },
      ],
    },
  ])('in a chat: %j', async (more) => {
    expect(await send(chat({ model: 'weir', ...more }))).toMatchObject({ status: 200 })
  })

  test.each([
    { prompt: EASY, messages: null, router: null, threshold: null, metadata: null },
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: EASY },
            { type: 'x', text: null },
          ],
        },
      ],
    },
    { messages: [{ role: 'user', content: EASY }, { role: 'assistant' }] },
  ])('in a decision: %j', async (body) => {
    expect(await send(JSON.stringify(body), {}, '/route')).toMatchObject({ status: 200 })
    const batch = await send(JSON.stringify({ requests: [body] }), {}, '/route/batch')
    expect(JSON.parse(batch.text).data[0].decision.model).toBe('small')
  })
})

test('a very long chat is routed on its beginning and its end', async () => {
  const long = chat({ model: 'weir', messages: user(`${EASY} ${'x '.repeat(700_000)} ${EASY}`) })
  const { status, headers } = await send(long)
  expect(status).toBe(200)
  expect(headers.get('x-weir-step')).toBe('learned')
})

describe('paths', () => {
  test.each([
    '/v1/chat/completions?api-version=2024-10-21',
    '/v1/chat/completions/',
    '/chat/completions',
    '/v1//chat/completions',
  ])('POST %s', async (path) => {
    expect((await send(chat(), {}, path)).status).toBe(200)
  })

  test('GET /v1/models and one of them', async () => {
    const get = async (path: string) => {
      const response = await fetch(gateway.url + path)
      const body = (await response.json()) as { data: { id: string }[] }
      return { status: response.status, body }
    }
    const { body } = await get('/v1/models/')
    expect(body.data.length).toBeGreaterThan(2)
    for (const model of body.data) {
      expect(await get(`/v1/models/${model.id}`)).toEqual({ status: 200, body: model })
    }
    expect(await get('/v1/models/no/such')).toMatchObject({
      status: 404,
      body: { error: { code: 'model_not_served' } },
    })
  })

  test('HEAD of what can be read', async () => {
    for (const path of ['/health', '/ready', '/v1/models', '/metrics']) {
      const response = await fetch(gateway.url + path, { method: 'HEAD' })
      expect([path, response.status]).toEqual([path, 200])
    }
  })
})
