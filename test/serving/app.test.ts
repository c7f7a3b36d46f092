import { connect } from 'node:net'
import { Compile } from 'typebox/compile'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Decision } from '../../models/decision/decision.ts'
import { ErrorBody } from '../../serving/gateway/error-body.ts'
import { listen } from '../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
beforeAll(async () => {
  sample = await sampleApp()
})
afterAll(() => sample.close())
afterEach(() => expect(sample.bugs).toEqual([]))

const decisionCheck = Compile(Decision)
const errorCheck = Compile(ErrorBody)

const post = (payload: unknown, headers: Record<string, string> = {}) =>
  sample.app.inject({
    method: 'POST',
    url: '/route',
    headers: { 'content-type': 'application/json', ...headers },
    payload:
      typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
  })

describe('POST /route', () => {
  test('answers with a whole decision that fits its schema', async () => {
    const response = await post({ prompt: 'prove the integral' })
    expect(response.statusCode).toBe(200)
    const body = response.json()
    expect([...decisionCheck.Errors(body)]).toEqual([])
    expect(body.model).toBe('big')
    expect(body.fallback_reason).toBeNull()
    expect(body.id).toMatch(/^w1_[\w-]{40}$/)
  })

  test('gives the same win rate as the router in-process, to the last bit', async () => {
    const body = (await post({ prompt: 'why hello there' })).json()
    expect(body.win_rate).toBe((await sample.router.route({ prompt: 'why hello there' })).win_rate)
  })

  test('writes an unknown cost as null', async () => {
    const other = await sampleApp({ bundles: [{ link: 'success' }] })
    const body = (
      await other.app.inject({ method: 'POST', url: '/route', payload: { prompt: 'prove' } })
    ).json()
    expect(
      body.candidates.find((c: { model: string }) => c.model === 'other').est_cost_usd,
    ).toBeNull()
    await other.close()
  })

  test('explains when asked', async () => {
    const body = (await post({ prompt: 'hello', explain: true })).json()
    expect(body.explanation.features[0].name).toBe('word hello')
  })

  test('takes the router by its name and by `default`', async () => {
    expect((await post({ prompt: 'why', router: 'sample' })).statusCode).toBe(200)
    expect((await post({ prompt: 'why', router: 'default' })).statusCode).toBe(200)
  })

  const refused: [string, unknown, number, string, string | null][] = [
    ['an empty prompt', { prompt: '' }, 400, 'prompt_empty', 'prompt'],
    ['a prompt that is a number', { prompt: 5 }, 400, 'request_invalid', 'prompt'],
    ['neither prompt nor messages', {}, 400, 'request_invalid', 'prompt'],
    ['an unknown field', { prompt: 'x', temperature: 1 }, 400, 'request_invalid', 'temperature'],
    ['a threshold over 1', { prompt: 'x', threshold: 1.5 }, 400, 'request_invalid', 'threshold'],
    ['a threshold as text', { prompt: 'x', threshold: '0.5' }, 400, 'request_invalid', 'threshold'],
    [
      'a message without a role',
      { messages: [{ content: 'x' }] },
      400,
      'request_invalid',
      'messages.0.role',
    ],
    ['no allowed candidate', { prompt: 'x', models: ['gpt-9'] }, 400, 'candidates_empty', 'models'],
    ['an unknown router', { prompt: 'x', router: 'nobody' }, 404, 'router_unknown', 'router'],
    [
      'a prompt past the limit',
      { prompt: 'x'.repeat(1_000_001) },
      413,
      'prompt_too_long',
      'prompt',
    ],
    ['a 10 MB prompt', { prompt: 'x'.repeat(10_000_000) }, 413, 'body_too_large', null],
    ['malformed JSON', '{"prompt": ', 400, 'request_invalid', null],
    ['an empty body', '', 400, 'request_invalid', null],
    ['a list', '[]', 400, 'request_invalid', null],
    ['null', 'null', 400, 'request_invalid', null],
    [
      'a prototype in JSON',
      '{"prompt":"x","__proto__":{"a":1}}',
      400,
      'request_invalid',
      '__proto__',
    ],
  ]
  test.each(refused)(
    'refuses %s in the shape of OpenAI',
    async (_, payload, status, code, param) => {
      const response = await post(payload)
      expect(response.statusCode).toBe(status)
      const body = response.json()
      expect([...errorCheck.Errors(body)]).toEqual([])
      expect(body.error).toMatchObject({ code, param, type: 'invalid_request_error' })
    },
  )

  test('refuses another content type', async () => {
    const response = await post('prompt=x', { 'content-type': 'application/x-www-form-urlencoded' })
    expect(response.statusCode).toBe(415)
    expect(response.json().error).toMatchObject({
      code: 'content_type_invalid',
      message: 'expected content-type application/json, got application/x-www-form-urlencoded',
    })
  })
})

describe('the server', () => {
  test('answers unknown paths, other methods and bad URLs in the same shape', async () => {
    for (const [method, url, status] of [
      ['GET', '/nothing', 404],
      ['GET', '/route', 404],
      ['DELETE', '/route', 404],
      ['GET', '/%zz', 400],
    ] as const) {
      const response = await sample.app.inject({ method, url })
      expect(response.statusCode).toBe(status)
      expect([...errorCheck.Errors(response.json())]).toEqual([])
    }
  })

  test('tells that it lives and that it is ready', async () => {
    expect((await sample.app.inject('/health')).json()).toEqual({ status: 'ok' })
    expect((await sample.app.inject('/ready')).json()).toEqual({ status: 'ready' })
  })

  test('describes every endpoint that it has, and no other', async () => {
    const { paths } = (await sample.app.inject('/openapi.json')).json()
    for (const [path, methods] of Object.entries(paths as Record<string, object>)) {
      for (const method of Object.keys(methods)) {
        expect(sample.app.hasRoute({ method: method.toUpperCase() as 'GET', url: path })).toBe(true)
      }
    }
    expect(
      paths['/route'].post.requestBody.content['application/json'].schema.properties,
    ).toHaveProperty('threshold')
  })
})

describe('over a socket', () => {
  test('refuses a 10 MB body over HTTP with 413 and answers garbage with 400', async () => {
    const other = await sampleApp()
    const url = await listen(other.app, { host: '127.0.0.1', port: 0 })
    const big = await fetch(`${url}/route`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x'.repeat(10_000_000) }),
    }).catch((error: unknown) => error)
    // the server may cut the upload before the client has read the answer
    if (big instanceof Response) expect(big.status).toBe(413)
    const answer = await new Promise<string>((resolve, reject) => {
      let text = ''
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () =>
        socket.write('NONSENSE\r\n\r\n'),
      )
      socket.on('data', (chunk) => (text += chunk))
      socket.on('close', () => resolve(text))
      socket.on('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/)
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!).error.code).toBe('request_invalid')
    await other.close()
  })

  test('says so when the port is taken', async () => {
    const [a, b] = [await sampleApp(), await sampleApp()]
    const url = await listen(a.app, { host: '127.0.0.1', port: 0 })
    await expect(
      listen(b.app, { host: '127.0.0.1', port: Number(new URL(url).port) }),
    ).rejects.toMatchObject({ code: 'address_in_use' })
    await a.close()
    await b.close()
  })
})
