import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SignalRecord } from '../../records/decision-record.ts'
import { type Served, Trail } from '../../serving/gateway/contracts.ts'
import { weakSignals } from '../../serving/judging/weak-signals.ts'
import { buildApp } from '../../serving/server/app.ts'
import { openServices } from '../../serving/server/services.ts'
import type { ChatTurn } from '../../serving/upstreams/upstream.ts'
import { requestOf } from '../../testing/step-contract.ts'

let lines: SignalRecord[]
let registry: Registry
let observe: ReturnType<typeof weakSignals>
let now: number
beforeEach(() => {
  lines = []
  registry = new Registry()
  now = 1_000_000
  const log = { append: (line: string) => void lines.push(JSON.parse(line) as SignalRecord) }
  observe = weakSignals({ config: {}, log, registry })
})

const user = (content: string): ChatTurn => ({ role: 'user', content })
const bot = (content: string): ChatTurn => ({ role: 'assistant', content })

interface Sent {
  readonly session?: string
  readonly code?: string
  readonly key?: string
  readonly body?: object
  readonly model?: string | null
  readonly endpoint?: 'chat' | 'embeddings'
}

/** A request that was answered. */
function send(id: string, messages: readonly ChatTurn[], sent: Sent = {}): void {
  const { session, code, key = 'app', body, model = 'small', endpoint = 'chat' } = sent
  now += 1000
  const served: Served = {
    endpoint,
    request: {
      ...requestOf({ body: { model: 'auto', messages, ...body } }),
      id,
      time: now,
      caller: { name: key },
      hints: session === undefined ? {} : { session_id: session },
    },
    plan: {
      kind: 'serve',
      targets: [{ model: 'small' }],
      strategy: { kind: 'single' },
      deciding: { step: 'learned', reason: 'threshold' },
      propensity: 1,
    },
    model: model ?? undefined,
    upstream: undefined,
    attempts: [],
    trail: new Trail(),
    costUsd: undefined,
    savedUsd: undefined,
    milliseconds: 2,
    firstByteMs: 1,
    status: model === null ? 502 : 200,
    code,
  }
  observe(served)
}
const said = (): [string, ...string[]][] =>
  lines.map(({ decision_id: id, signs }) => [id, ...signs])

const ASKED = [user('Which planets have rings, and why do they last?')]
const ANSWERED = [...ASKED, bot('Only Saturn.')]

test('the next request of a conversation speaks of the answer before it', () => {
  send('r1', ASKED)
  send('r2', [...ANSWERED, user('No, that is wrong.')])
  send('r3', [...ANSWERED, user('No, that is wrong.'), bot('Four of them.'), user('Thank you!')])
  expect(said()).toEqual([['r1', 'correction'], ['r2']])
  expect(lines[0]).toEqual({
    object: 'signal',
    decision_id: 'r1',
    time: 1_002_000,
    model: 'small',
    signs: ['correction'],
    key: 'app',
  })
})

test('corrections in other languages and questions in nearly the same words are seen', () => {
  send('r1', ASKED)
  send('r2', [...ANSWERED, user('Falsch, das stimmt nicht.')])
  send('q1', ASKED, { key: 'other' })
  send('q2', [...ANSWERED, user('Which planets have rings and why do they all last?')], {
    key: 'other',
  })
  expect(said()).toEqual([
    ['r1', 'correction'],
    ['q1', 'rephrased'],
  ])
})

test('the same request again is a regenerate where one user is meant, and no sign where many may ask the same', () => {
  send('a', ASKED)
  send('b', ASKED)
  expect(said()).toEqual([])
  send('c', ASKED, { session: 's' })
  send('d', ASKED, { session: 's' })
  const further = [...ANSWERED, user('And the moons?')]
  send('e', ASKED, { body: { user: 'u1' }, key: 'k' })
  send('f', further, { key: 'k' })
  send('g', further, { key: 'k' })
  expect(said()).toEqual([['c', 'regenerated'], ['e'], ['f', 'regenerated']])
})

test('an edited question, and the question in another conversation of the session, speak of the first answer', () => {
  send('a', ASKED, { session: 's' })
  send('b', [user('Which planets have rings, and why do these last?')], { session: 's' })
  send('c', [user('Hello.'), bot('Hi!'), user('Which planets have rings, and why do they last?')], {
    session: 's',
  })
  send('d', [user('What is the capital of France, by the way?')], { session: 's' })
  expect(said()).toEqual([
    ['a', 'rephrased'],
    ['b', 'repeated'],
  ])
})

test('a stop in mid-answer speaks of that answer; one before it came, or another failure, does not', () => {
  send('a', ASKED, { code: 'cancelled' })
  send('b', ASKED, { key: 'k', code: 'upstream_failed' })
  send('c', ASKED, { key: 'l', model: null })
  expect(said()).toEqual([['a', 'stopped']])
})

test('a loop of tools that is stuck speaks of the call before it', () => {
  const call = (n: number): ChatTurn => ({
    role: 'assistant',
    content: null,
    tool_calls: [{ id: `c${n}`, type: 'function', function: { name: 'run', arguments: '{}' } }],
  })
  const failed = (n: number): ChatTurn => ({
    role: 'tool',
    tool_call_id: `c${n}`,
    content: 'error: no such file',
  })
  let messages: ChatTurn[] = [user('Make the tests pass.')]
  for (let n = 0; n < 4; n++) {
    send(`t${n}`, messages)
    messages = [...messages, call(n), failed(n)]
  }
  expect(said()).toEqual([['t0'], ['t1'], ['t2', 'tool_errors', 'repeated_call']])
})

test('what does not go on from an answer says nothing of it', () => {
  send('a', ASKED, { session: 's' })
  // a title for the conversation, asked for under the same session
  send('b', [user('Write a title for: planets')], { session: 's' })
  // another key, too late, another endpoint, and nothing new
  send('c', [...ANSWERED, user('No, wrong.')], { session: 's', key: 'other' })
  send('d', [user('text')], { session: 's', endpoint: 'embeddings' })
  send('e', ANSWERED, { session: 's' })
  now += 61 * 60_000
  send('f', [...ANSWERED, user('No, wrong.')], { session: 's' })
  expect(said()).toEqual([])
})

test('messages of any shape pass: no content, parts, images, thousands of turns', () => {
  const odd: ChatTurn[] = [
    { role: 'user', content: null },
    { role: 'user' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] },
  ]
  send('a', odd, { session: 's' })
  send('b', [...odd, bot('?'), user('x'.repeat(1_000_000))], { session: 's' })
  const long = Array.from({ length: 5000 }, (_, i) => (i % 2 === 0 ? user(`q${i}`) : bot(`a${i}`)))
  send('c', [...long, user('last')], { session: 's' })
  expect(said()).toEqual([['a']])
})

test('signals are counted by what they say', async () => {
  send('r1', ASKED)
  send('r2', [...ANSWERED, user('Thanks, and the moons?')])
  const text = await registry.metrics()
  expect(text).toContain('weir_weak_signals_total{sign="none"} 1')
})

let root: string | undefined
let server: Server | undefined
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  // the upstream never ends its answers: closing waits for nothing that still comes from it
  server?.closeAllConnections()
  server?.close()
  for (const close of closing.splice(0).reverse()) await close()
  if (root) await rm(root, { recursive: true })
  root = undefined
  server = undefined
})

async function opened(log: boolean) {
  root = await mkdtemp(join(tmpdir(), 'weir-signals-'))
  // begins an answer, and never ends it
  server = createServer((request, response) => {
    request.resume()
    const delta = JSON.stringify({ choices: [{ index: 0, delta: { content: 'Sat' } }] })
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${delta}\n\n`)
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const services = await openServices(
    {
      routers: [],
      max_lag_ms: 60_000,
      ...(log && { log: { folder: join(root, 'log'), text: 'full' } }),
      gateway: {
        upstreams: { one: { base_url: url } },
        models: { small: { upstreams: [{ upstream: 'one' }] } },
        weak_signals: {},
      },
    },
    {
      environment: {},
      onBug: (error) => {
        throw error
      },
      onWarning: () => {},
    },
  )
  closing.push(() => services.close())
  return services
}

test('a client that closes a stream is logged as a stop of the answer that its headers name', async () => {
  const services = await opened(true)
  const app = buildApp(services)
  closing.push(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const abort = new AbortController()
  const answer = await fetch(`${address}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'small', stream: true, messages: ASKED }),
    signal: abort.signal,
  })
  await answer.body!.getReader().read()
  abort.abort()
  const folder = join(root!, 'log')
  const signals = async (): Promise<unknown[]> => {
    const names = (await readdir(folder)).filter((name) => /^\d.*\.jsonl$/.test(name))
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
    return texts
      .flatMap((text) => text.split('\n'))
      .filter((line) => line.includes('"object":"signal"'))
      .map((line) => JSON.parse(line) as unknown)
  }
  await expect
    .poll(signals, { timeout: 20_000 })
    .toMatchObject([
      { decision_id: answer.headers.get('x-weir-id'), model: 'small', signs: ['stopped'] },
    ])
}, 40_000)

test('without a log there is nowhere to keep signals', async () => {
  await expect(opened(false)).rejects.toThrow(/gateway.weak_signals: .*log, where signals are kept/)
})
