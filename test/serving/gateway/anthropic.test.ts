import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GatewayApp, gatewayApp, user } from './gateway-app.ts'

let claude: Server
let gateway: GatewayApp
const received: { headers: Record<string, unknown>; url: string; body: Record<string, unknown> }[] =
  []
beforeAll(async () => {
  claude = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>
    received.push({ headers: request.headers, url: request.url!, body })
    if (!body.stream) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(
        JSON.stringify({
          id: 'msg',
          type: 'message',
          model: 'claude-x',
          content: [{ type: 'text', text: 'Bonjour' }],
          stop_reason: 'end_turn',
          usage: { input_tokens: 100, output_tokens: 50 },
        }),
      )
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of [
      {
        type: 'message_start',
        message: { id: 'm', model: 'claude-x', usage: { input_tokens: 100 } },
      },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Bon' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'jour' } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 50 } },
      { type: 'message_stop' },
    ]) {
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    }
    response.end()
  })
  await new Promise<void>((resolve) => claude.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(claude.address() as AddressInfo).port}/v1`
  const behind = { upstreams: [{ upstream: 'claude' }], price: { input: 3, output: 15 } }
  gateway = await gatewayApp({
    upstreams: { claude: { kind: 'anthropic', base_url: base, key_env: 'LITTLE_KEY' } },
    models: { small: behind, big: behind },
  })
})
afterAll(async () => {
  await gateway.close()
  claude.closeAllConnections()
  claude.close()
})

test("OpenAI's client is answered by Anthropic's API", async () => {
  const { data, response } = await gateway.client.chat.completions
    .create({ model: 'big', messages: user('hello') } as never)
    .withResponse()
  expect(data).toMatchObject({ choices: [{ message: { content: 'Bonjour' } }] })
  expect(Number(response.headers.get('x-weir-cost-usd'))).toBeCloseTo(0.00105, 10)
  const { headers, url, body } = received.at(-1)!
  expect(url).toBe('/v1/messages')
  expect(headers['x-api-key']).toBe('sk-little')
  expect(headers.authorization).toBeUndefined()
  expect(body).toMatchObject({ model: 'big', max_tokens: 4096 })
})

test('and streams from it', async () => {
  const chunks = await gateway.client.chat.completions.create({
    model: 'weir',
    messages: [{ role: 'user', content: 'hello' }],
    stream: true,
  })
  let text = ''
  let reason: string | null = null
  for await (const { choices } of chunks) {
    text += choices[0]!.delta.content ?? ''
    reason = choices[0]!.finish_reason ?? reason
  }
  expect(text).toBe('Bonjour')
  expect(reason).toBe('stop')
  expect(gateway.served.at(-1)!.costUsd).toBeCloseTo(0.00105, 10)
})

test('what cannot be said in its words is refused, clearly', async () => {
  const asked = gateway.client.chat.completions.create({
    model: 'big',
    messages: [{ role: 'user', content: 'hello' }],
    n: 3,
  })
  await expect(asked).rejects.toMatchObject({ status: 400, code: 'unsupported_parameter' })
})

test('it has no embeddings', async () => {
  const asked = gateway.client.embeddings.create({ model: 'big', input: 'hello' })
  await expect(asked).rejects.toMatchObject({ status: 502, code: 'upstream_misconfigured' })
})
