import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { keyHash } from '../../../serving/router/keys.ts'
import { JSON_TYPE, type RawUpstream, rawUpstream, SSE } from '../upstreams/raw-upstream.ts'
import { type GatewayApp, gatewayApp } from './gateway-app.ts'

const POLICY = `version: 1
models: { small: { private: true }, big: {} }
keys: { few: { models: [big] } }
privacy: { patterns: ['PROJECT-\\d+'], unreadable: private }
default: big
`
const KEYS = ['app', 'few', 'held'].map((name) => ({ name, sha256: keyHash(`sk-${name}`) }))

let listed: RawUpstream
let rest: RawUpstream
let root: string
let plain: GatewayApp
let ruled: GatewayApp
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-forwarded-'))
  const policy = join(root, 'policy.yaml')
  await writeFile(policy, POLICY)
  listed = await rawUpstream()
  rest = await rawUpstream()
  const upstreams = {
    one: { base_url: listed.url, key_env: 'ONE_KEY' },
    all: { base_url: rest.url, query: { 'api-version': '1' } },
    claude: { kind: 'anthropic', base_url: listed.url },
  }
  const price = { input: 1, output: 2 }
  const models = {
    small: { upstreams: [{ upstream: 'one' }], price },
    big: { upstreams: [{ upstream: 'one', model: 'big-2025' }], price },
    far: { upstreams: [{ upstream: 'claude' }] },
  }
  const gateway = { upstreams, models, default_upstream: 'all', max_body_bytes: 1_000_000 }
  const services = { environment: { ONE_KEY: 'sk-one' } }
  plain = await gatewayApp(gateway, {}, {}, undefined, services)
  const keys = [...KEYS.slice(0, 2), { ...KEYS[2]!, routers: ['sample'], models: ['small'] }]
  ruled = await gatewayApp({ ...gateway, policy }, { keys }, {}, undefined, services)
})
afterEach(() => {
  for (const upstream of [listed, rest]) {
    upstream.received.length = 0
    upstream.answer = (response) => response.writeHead(200, JSON_TYPE).end('{"ok":true}')
  }
  plain.served.length = 0
})
afterAll(async () => {
  await Promise.all([plain.close(), ruled.close()])
  await Promise.all([listed.close(), rest.close()])
  await rm(root, { recursive: true })
})

const client = (app: GatewayApp, key = 'app'): OpenAI =>
  new OpenAI({ baseURL: `${app.url}/v1`, apiKey: `sk-${key}`, maxRetries: 0 })

describe('a request that names a model', () => {
  test('goes to it, with the name that its upstream knows and every other byte as it was', async () => {
    const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
    listed.answer = (response) =>
      response
        .writeHead(200, { ...JSON_TYPE, 'x-request-id': 'req-up' })
        .end(JSON.stringify({ choices: [{ text: 'é' }], usage }))
    const answer = await fetch(`${plain.url}/v1/completions`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: 'Bearer sk-client' },
      body: '{"model": "big", "prompt":"a", "seed":12345678901234567890}',
    })
    expect(await answer.json()).toMatchObject({ choices: [{ text: 'é' }] })
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-request-id': 'req-up',
      'x-weir-model': 'big',
      'x-weir-upstream': 'one',
      'x-weir-id': expect.any(String),
    })
    const [sent] = listed.received
    expect(sent!.text).toBe('{"model": "big-2025", "prompt":"a", "seed":12345678901234567890}')
    expect(sent!.headers.authorization).toBe('Bearer sk-one')
    await expect
      .poll(() => plain.served)
      .toMatchObject([
        { endpoint: 'completions', model: 'big', status: 200, costUsd: (3 + 2 * 4) / 1e6 },
      ])
    const metrics = (await plain.app.inject('/metrics')).body
    expect(metrics).toContain('weir_gateway_requests_total{endpoint="completions",model="big"')
  })

  test('as a form does, whose file comes first', async () => {
    const sound = randomBytes(300_000)
    const said = await client(plain).audio.transcriptions.create({
      file: await toFile(sound, 'a.mp3', { type: 'audio/mpeg' }),
      model: 'big',
    })
    expect(said).toMatchObject({ ok: true })
    const form = await new Response(new Uint8Array(listed.received[0]!.bytes), {
      headers: { 'content-type': listed.received[0]!.headers['content-type']! },
    }).formData()
    expect(form.get('model')).toBe('big-2025')
    const file = Buffer.from(await (form.get('file') as File).arrayBuffer())
    expect(file.equals(sound)).toBe(true)
    expect(listed.received[0]!.path).toBe('/v1/audio/transcriptions')
  })

  test('streams', async () => {
    let release = (): void => {}
    listed.answer = (response) => {
      response.writeHead(200, SSE).write('data: {"choices":[{"text":"a"}]}\n\n')
      release = () =>
        response.end(
          'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\ndata: [DONE]\n\n',
        )
    }
    const stream = await client(plain).completions.create({
      model: 'small',
      prompt: 'x',
      stream: true,
    })
    let seen = 0
    for await (const _ of stream) if (++seen === 1) release()
    expect(seen).toBe(2)
    await expect.poll(() => plain.served[0]?.costUsd).toBe(3e-6)
  })

  test('of an upstream with another API is refused', async () => {
    const answer = await fetch(`${plain.url}/v1/completions`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: '{"model":"far","prompt":"a"}',
    })
    expect(answer.status).toBe(502)
    expect(await answer.text()).toContain('it has no endpoint POST /completions')
  })
})

describe('any other request goes to the default upstream', () => {
  test.each([
    ['GET', '/v1/files?limit=2&api-version=9', '/v1/files?api-version=1&limit=2'],
    ['GET', '/v1/files/f-1/content', '/v1/files/f-1/content?api-version=1'],
    ['HEAD', '/v1/batches', '/v1/batches?api-version=1'],
    ['GET', '/v1/responses/resp_1?include=a', '/v1/responses/resp_1?api-version=1&include=a'],
    ['DELETE', '/v1/responses/resp_1', '/v1/responses/resp_1?api-version=1'],
    ['POST', '/v1/batches/b1/cancel', '/v1/batches/b1/cancel?api-version=1'],
    ['GET', '/files/a%20b%2Fc/', '/v1/files/a%20b/c?api-version=1'],
  ])('%s %s', async (method, path, expected) => {
    const headers = method === 'POST' ? JSON_TYPE : {}
    const answer = await fetch(plain.url + path, { method, headers })
    expect(answer.status).toBe(200)
    expect(rest.received).toMatchObject([{ method, path: expected, text: '' }])
    expect(rest.received[0]!.headers.authorization).toBeUndefined()
  })

  test('with a model that is not ours', async () => {
    await client(plain).moderations.create({ model: 'omni-moderation', input: 'x' })
    expect(JSON.parse(rest.received[0]!.text)).toEqual({ model: 'omni-moderation', input: 'x' })
    await expect.poll(() => plain.served[0]?.model).toBe('unlisted')
  })

  test('and its answers come back as they are: errors, types, bytes', async () => {
    const bytes = randomBytes(2_000_000)
    rest.answer = (response) =>
      response.writeHead(200, { 'content-type': 'application/x-own' }).end(bytes)
    const content = await fetch(`${plain.url}/v1/files/f/content`)
    expect(content.headers.get('content-type')).toBe('application/x-own')
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true)
    rest.answer = (response) =>
      response.writeHead(404, JSON_TYPE).end('{"error":{"message":"No such File","code":"nf"}}')
    await expect(client(plain).files.retrieve('f')).rejects.toMatchObject({
      status: 404,
      code: 'nf',
    })
    rest.answer = (response) => response.writeHead(401, JSON_TYPE).end('{"error":"key sk-secret"}')
    const refused = await fetch(`${plain.url}/v1/files/f`)
    expect(refused.status).toBe(502)
    expect(await refused.text()).not.toContain('sk-secret')
  })

  test.each([
    '/v1/files/..%2f..%2forganization/keys',
    '/v1/files/%2e%2e/organization',
    '/v1/files/%5c..',
    '/v1/organization/admin_api_keys',
    '/v1/chat',
  ])('but not %s', async (path) => {
    const status = await new Promise<number | undefined>((resolve) => {
      request(plain.url, { path }, (answer) => resolve(answer.resume().statusCode)).end()
    })
    expect(status).toBe(404)
    expect(rest.received).toEqual([])
  })

  test('a file larger than any body is sent on as it comes', async () => {
    const file = randomBytes(3_000_000)
    await client(plain).files.create({ file: await toFile(file, 'f.bin'), purpose: 'batch' })
    const { bytes } = rest.received[0]!
    expect(bytes.includes(file)).toBe(true)
    const hash = (its: Buffer): string => createHash('sha256').update(its).digest('hex')
    expect(hash(bytes.subarray(bytes.indexOf(file)).subarray(0, file.length))).toBe(hash(file))
    expect(plain.services.bodies.bytes).toBe(0)
  })

  test('a client that goes takes the request with it', async () => {
    const closed = new Promise<void>((resolve) => {
      rest.answer = (response) => {
        response.on('close', resolve)
        response.writeHead(200, SSE).write(': x\n\n')
      }
    })
    const abort = new AbortController()
    const answer = await fetch(`${plain.url}/v1/responses/r?stream=true`, { signal: abort.signal })
    expect(answer.status).toBe(200)
    abort.abort()
    await closed
    await expect.poll(() => plain.served[0]?.attempts[0]?.outcome).toBe('cancelled')
  })

  test('without one it is refused', async () => {
    const app = await gatewayApp()
    try {
      const answer = await app.app.inject('/v1/files')
      expect(answer.statusCode).toBe(404)
      expect(answer.json().error.message).toContain('gateway.default_upstream')
      const unknown = { method: 'POST', url: '/v1/completions', payload: { model: 'x' } } as const
      expect((await app.app.inject(unknown)).json().error.code).toBe('model_not_served')
    } finally {
      await app.close()
    }
  })
})

describe('limits hold', () => {
  const post = async (
    path: string,
    body: string | FormData,
    key = 'app',
    headers = {},
  ): Promise<number> =>
    (
      await fetch(ruled.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer sk-${key}`, ...headers },
        body,
      })
    ).status
  const json = (path: string, body: object, key?: string): Promise<number> =>
    post(path, JSON.stringify(body), key, JSON_TYPE)
  const form = (fields: Record<string, string | Blob>): FormData => {
    const its = new FormData()
    for (const [name, value] of Object.entries(fields)) its.append(name, value)
    return its
  }

  test('of keys', async () => {
    expect((await fetch(`${ruled.url}/v1/files`)).status).toBe(401)
    // held to routers: only the models that it lists
    expect(await json('/v1/completions', { model: 'small', prompt: 'x' }, 'held')).toBe(200)
    expect(await json('/v1/completions', { model: 'big', prompt: 'x' }, 'held')).toBe(403)
    expect(await json('/v1/moderations', { input: 'x' }, 'held')).toBe(403)
    // held to models by the policy
    expect(await json('/v1/completions', { model: 'big', prompt: 'x' }, 'few')).toBe(200)
    expect(await json('/v1/moderations', { input: 'x' }, 'few')).toBe(403)
    expect(rest.received).toEqual([])
  })

  test('of privacy, in bodies and in uploaded files', async () => {
    const file = (text: string): FormData =>
      form({ purpose: 'batch', file: new Blob([text], { type: 'application/jsonl' }) })
    expect(await json('/v1/completions', { model: 'big', prompt: 'hi' })).toBe(200)
    expect(await json('/v1/completions', { model: 'big', prompt: 'PROJECT-1' })).toBe(403)
    expect(await json('/v1/completions', { model: 'small', prompt: 'PROJECT-1' })).toBe(200)
    expect(await json('/v1/moderations', { input: 'hi' })).toBe(200)
    expect(await json('/v1/moderations', { input: 'PROJECT-1' })).toBe(403)
    expect(await post('/v1/files', file('{"a":"hi"}'))).toBe(200)
    expect(await post('/v1/files', file('{"a":"PRO\\u004aECT-1"}'))).toBe(403)
    const sound = new Blob([Buffer.from([0xff, 0xfb, 0x90])], { type: 'audio/mpeg' })
    expect(await post('/v1/audio/transcriptions', form({ model: 'big', file: sound }))).toBe(403)
    expect(await post('/v1/audio/transcriptions', form({ model: 'small', file: sound }))).toBe(200)
  })

  test.each([
    ['a model twice', '--b\r\ncontent-disposition: form-data; name=model\r\n\r\na\r\n'.repeat(2)],
    [
      'a name of two kinds',
      `--b\r\ncontent-disposition: form-data; name*=utf-8''model\r\n\r\na\r\n`,
    ],
    ['no end', '--b\r\ncontent-disposition: form-data; name="x"\r\n\r\na'],
    ['no boundary', 'hello\r\n'],
  ])('of forms: %s', async (_, text) => {
    const type = { 'content-type': 'multipart/form-data; boundary=b' }
    const end = text.endsWith('\r\n') ? '--b--\r\n' : ''
    const body = text === 'hello\r\n' ? text : text + end
    expect(await post('/v1/images/edits', body, 'app', type)).toBe(400)
    expect(rest.received).toEqual([])
  })

  test('of size', async () => {
    expect(await json('/v1/completions', { model: 'big', prompt: 'x'.repeat(1_000_001) })).toBe(413)
  })
})
