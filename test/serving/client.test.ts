import { join } from 'node:path'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest'
import type { Router } from '../../models/router.ts'
import {
  type Explanation,
  type RouteRequest,
  type RuleHit,
  WeirClient,
} from '../../serving/client.ts'
import { keyHash } from '../../serving/router/keys.ts'
import { listen } from '../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
let client: WeirClient
let url: string
beforeAll(async () => {
  sample = await sampleApp({
    config: (root) => ({
      keys: [{ name: 'app', sha256: keyHash('secret'), rate_per_minute: 1000 }],
      log: { folder: join(root, 'log') },
    }),
  })
  url = await listen(sample.app, { host: '127.0.0.1', port: 0 })
  client = new WeirClient({ baseUrl: `${url}/`, apiKey: 'secret' })
})
afterAll(() => sample.close())

test('types take the messages and tools of OpenAI’s client as they are, readonly too', async () => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'prove the integral' }] },
  ]
  const tools: OpenAI.ChatCompletionTool[] = [
    { type: 'function', function: { name: 'look', parameters: { type: 'object' } } },
    { type: 'custom', custom: { name: 'run' } },
  ]
  const readonlyMessages: readonly OpenAI.ChatCompletionMessageParam[] = messages
  const readonlyTools: readonly OpenAI.ChatCompletionTool[] = tools
  const first = await client.route({ messages, tools })
  const second = await client.route({ messages: readonlyMessages, tools: readonlyTools })
  expect(first.model).toBe('big')
  expect(second.win_rate).toBe(first.win_rate)
  // `weir-router/router` takes the same
  const inProcess: RouteRequest = { messages: readonlyMessages, tools: readonlyTools }
  expectTypeOf(inProcess).toEqualTypeOf<Parameters<Router['route']>[0]>()
})

test('WeirClient routes, gives feedback, batches and lists', async () => {
  const decision = await client.route('prove the integral')
  expect(decision.model).toBe('big')
  await client.feedback({ decision_id: decision.id, score: 1 })
  const [good, bad] = await client.routeBatch([{ prompt: 'hello' }, { prompt: '' }])
  expect(good?.decision?.model).toBe('small')
  expect(bad?.error?.code).toBe('prompt_empty')
  expect(await client.routers()).toEqual(['sample', 'default'])
})

test('WeirClient gets what explains a decision, typed', async () => {
  const { explanation } = await client.route({ prompt: 'hello', models: ['big'], explain: true })
  const its: Explanation = explanation!
  const rules: readonly RuleHit[] = its.rules ?? []
  expect(its.features[0]!.name).toBe('word hello')
  expect(rules.map(({ step, matched }) => [step, matched])).toEqual([['allow_list', true]])
  expect(its.neighbours?.[0]?.win_rate).toBeUndefined()
})

test('WeirClient throws what the server says', async () => {
  await expect(client.route({ prompt: 'x', threshold: 3 })).rejects.toMatchObject({
    name: 'WeirClientError',
    status: 400,
    code: 'request_invalid',
    param: 'threshold',
  })
  const stranger = new WeirClient({ baseUrl: url })
  await expect(stranger.route('x')).rejects.toMatchObject({ status: 401, code: 'key_missing' })
})

test('WeirClient reads an answer of somebody else in between, stops on its signal and in time', async () => {
  const answering = (status: number, body: string) =>
    new WeirClient({
      baseUrl: url,
      fetch: async () => new Response(body, { status, headers: { 'retry-after': '7' } }),
    })
  await expect(answering(502, '<html>bad gateway</html>').route('x')).rejects.toMatchObject({
    status: 502,
    code: 'http_error',
    retryAfter: 7,
  })
  await expect(client.route('x', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
  const slow = new WeirClient({
    baseUrl: url,
    timeoutMs: 5,
    fetch: (_, init) =>
      new Promise((_, reject) =>
        init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason)),
      ),
  })
  await expect(slow.route('x')).rejects.toThrow(/timeout/i)
})
