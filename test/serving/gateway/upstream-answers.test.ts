import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  chunk,
  completion,
  dataOf,
  JSON_TYPE,
  type RawAnswer,
  type RawUpstream,
  rawUpstream,
  SSE,
  saidBy,
  sse,
} from '../upstreams/raw-upstream.ts'
import { type GatewayApp, gatewayApp, user } from './gateway-app.ts'

const WORDS = 'café 日本😀'
const PLAIN = sse(chunk({ role: 'assistant', content: WORDS }), chunk({}, 'stop'), '[DONE]')
const COUNTED = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 }

let upstream: RawUpstream
let gateway: GatewayApp
beforeAll(async () => {
  upstream = await rawUpstream()
  gateway = await gatewayApp({
    upstreams: { raw: { base_url: upstream.url, idle_timeout_ms: 20_000 } },
    models: {
      big: { upstreams: [{ upstream: 'raw' }], price: { input: 1, output: 2 } },
      small: { upstreams: [{ upstream: 'raw' }], price: { input: 1, output: 2 } },
    },
    breaker: { failures: 1000, share: 1 },
    retry_budget: 1,
  })
})
afterAll(async () => {
  await gateway.close()
  await upstream.close()
})
beforeEach(() => {
  upstream.received.length = 0
  gateway.served.length = 0
})
afterEach(() => {
  expect(gateway.bugs).toEqual([])
})

const post = async (body: object | string, path = '/v1/chat/completions') => {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: JSON_TYPE,
    body: typeof body === 'string' ? body : JSON.stringify({ model: 'big', ...body }),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}
const chat = (more: object = {}) => post({ messages: user('hello'), ...more })
const streamed = async (send: RawAnswer, more: object = {}): Promise<string> => {
  upstream.answer = send
  return (await chat({ stream: true, ...more })).text
}
const whole =
  (text: string, headers: Record<string, string> = SSE): RawAnswer =>
  (response) =>
    response.writeHead(200, headers).end(text)
const inPieces =
  (text: string, size: number): RawAnswer =>
  (response) => {
    response.writeHead(200, SSE)
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size))
    response.end()
  }
const usage = () => gateway.served[0]?.attempts[0]?.usage

describe('a stream is read however it is framed:', () => {
  const cut = (text: string): string => PLAIN.replace('data: [DONE]\n\n', text)
  test.each<[string, RawAnswer]>([
    ['CR LF', whole(PLAIN.replaceAll('\n', '\r\n'))],
    ['CR', whole(PLAIN.replaceAll('\n', '\r'))],
    ['no space behind data:', whole(PLAIN.replaceAll('data: ', 'data:'))],
    ['cut inside a letter', inPieces(PLAIN, 7)],
    ['a byte order mark', whole(`\ufeff${PLAIN}`)],
    ['blank lines first', whole(`\n\n${PLAIN}`)],
    [
      'ids, names and retries',
      whole(PLAIN.replaceAll('data:', 'id: 1\nretry: 9\nevent: x\ndata:')),
    ],
    [
      'content-type in capitals',
      whole(PLAIN, { 'content-type': 'Text/Event-Stream;charset=UTF-8' }),
    ],
    ['content-type text/plain', whole(PLAIN, { 'content-type': 'text/plain' })],
    ['content-type JSON', whole(PLAIN, JSON_TYPE)],
    ['no content-type', whole(PLAIN, {})],
    ['[DONE] with one line feed', whole(cut('data: [DONE]\n'))],
    ['[DONE] without any', whole(cut('data: [DONE]'))],
    ['[DONE] with CR LF', whole(cut('data: [DONE]\r\n'))],
    ['blanks around [DONE]', whole(cut('data:  [DONE] \n\n'))],
    ['no [DONE]', whole(cut(''))],
    ['no blank line behind the last event', whole(cut('').trimEnd())],
    ['empty events', whole(PLAIN.replaceAll('\n\n', '\n\ndata:\n\n'))],
    ['metadata first', whole(sse({ object: 'x', choices: [], filter: [{}] }) + PLAIN)],
    ['choices null', whole(sse({ object: 'x', choices: null, note: 1 }) + PLAIN)],
    ['an empty finish_reason', whole(PLAIN.replace('null', '""'))],
    [
      'reasoning first',
      whole(sse(chunk({ role: 'assistant', content: null, reasoning_content: 'hm' })) + PLAIN),
    ],
  ])('%s', async (_, send) => {
    const text = await streamed(send)
    expect(saidBy(text)).toBe(WORDS)
    expect(text).not.toContain('"error"')
    expect(dataOf(text).at(-1)).toBe('[DONE]')
    expect(upstream.received).toHaveLength(1)
  })

  test('comments are passed on, which keep connections alive', async () => {
    const text = await streamed(whole(`: working\n\n${PLAIN.replaceAll('\n\n', '\n\n:\n\n')}`))
    expect(text.startsWith(': working\n\n')).toBe(true)
    expect(text.match(/^: \n$/gm)).toHaveLength(2)
    expect(saidBy(text)).toBe(WORDS)
  })

  test('a connection left open behind the last choice ends the answer', async () => {
    const text = await streamed((response) => {
      response.writeHead(200, SSE).write(PLAIN.replace('data: [DONE]\n\n', ''))
    })
    expect(saidBy(text)).toBe(WORDS)
    expect(dataOf(text).at(-1)).toBe('[DONE]')
  })
})

describe('counts of tokens', () => {
  const last = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', usage: COUNTED }
  const send = (...events: object[]): RawAnswer =>
    whole(sse(chunk({ content: 'a' }), chunk({}, 'stop'), ...events, '[DONE]'))

  test.each([
    ['without choices', last],
    ['with choices null', { ...last, choices: null }],
    ['with no choices', { ...last, choices: [] }],
  ])('in an event %s are taken, and shown to those who asked', async (_, event) => {
    expect(await streamed(send(event))).not.toContain('"usage"')
    expect(usage()).toEqual({ inputTokens: 1000, outputTokens: 500 })
    const asked = await streamed(send(event), { stream_options: { include_usage: true } })
    expect(dataOf(asked).at(-2)).toEqual(event)
  })

  test('may come in parts: the last of each field counts', async () => {
    await streamed(
      send(
        { ...last, usage: { prompt_tokens: 7, prompt_tokens_details: { cached_tokens: 3 } } },
        { ...last, usage: { prompt_tokens: 1000, completion_tokens: null } },
        {
          ...last,
          usage: { completion_tokens: 5, prompt_tokens_details: { cache_write_tokens: 4 } },
        },
      ),
    )
    expect(usage()).toEqual({
      inputTokens: 1000,
      outputTokens: 5,
      cachedInputTokens: 3,
      cacheWriteTokens: 4,
    })
  })

  test('are told with the cost behind them to those who ask for it, and in a trailer', async () => {
    const { text } = await (async () => {
      upstream.answer = send({ ...last, choices: [] })
      return chat({ stream: true, weir: { include_cost: true } })
    })()
    expect(dataOf(text).at(-2)).toEqual({
      ...last,
      choices: [],
      usage: { ...COUNTED, cost_usd: 0.002 },
    })
    upstream.answer = whole(JSON.stringify(completion('a')), JSON_TYPE)
    const answered = await chat({ weir: { include_cost: true } })
    expect(JSON.parse(answered.text).usage).toEqual({ ...COUNTED, cost_usd: 0.002 })
  })
})

describe('an upstream that refuses stream_options', () => {
  test.each([
    [
      422,
      { object: 'error', message: { detail: [{ loc: ['body', 'stream_options'], msg: 'no' }] } },
    ],
    [400, { error: { message: 'Unrecognized request argument supplied: stream_options' } }],
    [400, { detail: 'Extra inputs are not permitted' }],
  ])('with %i %j is asked without, from then on', async (status, refusal) => {
    const strict = await rawUpstream()
    const own = await gatewayApp({
      upstreams: { strict: { base_url: strict.url } },
      models: {
        big: { upstreams: [{ upstream: 'strict' }], price: { input: 1, output: 2 } },
        small: { upstreams: [{ upstream: 'strict' }], price: { input: 1, output: 2 } },
      },
    })
    strict.answer = (response, { text }) =>
      text.includes('stream_options')
        ? response.writeHead(status, JSON_TYPE).end(JSON.stringify(refusal))
        : response.writeHead(200, SSE).end(PLAIN)
    const ask = async (more: object = {}): Promise<Response> =>
      fetch(`${own.url}/v1/chat/completions`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ model: 'big', messages: user('hi'), stream: true, ...more }),
      })
    expect(saidBy(await (await ask()).text())).toBe(WORDS)
    expect(strict.received).toHaveLength(2)
    expect(saidBy(await (await ask()).text())).toBe(WORDS)
    expect(strict.received).toHaveLength(3)
    // a client that asks for it itself is told
    expect((await ask({ stream_options: { include_usage: true } })).status).toBe(status)
    expect(own.served.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1])
    await own.close()
    await strict.close()
  })

  test('is not asked again for another fault', async () => {
    const refusal = { error: { message: 'temperature must be at most 2', code: 'bad' } }
    upstream.answer = (response) => response.writeHead(400, JSON_TYPE).end(JSON.stringify(refusal))
    expect((await chat({ stream: true })).status).toBe(400)
    expect(upstream.received).toHaveLength(1)
  })
})

describe('compressed answers are read, though none was asked for:', () => {
  const codings: [string, (text: string) => Buffer][] = [
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['gzip, br', (text) => brotliCompressSync(gzipSync(text))],
    ['identity', Buffer.from],
    ['gzip, identity', gzipSync],
    ['utf-8', Buffer.from],
    ['none', Buffer.from],
  ]
  test.each(codings)('%s', async (coding, compress) => {
    const headers = { ...JSON_TYPE, 'content-encoding': coding }
    upstream.answer = (response) =>
      response.writeHead(200, headers).end(compress(JSON.stringify(completion(WORDS))))
    expect(JSON.parse((await chat()).text).choices[0].message.content).toBe(WORDS)
    const text = await streamed((response) =>
      response.writeHead(200, { ...SSE, 'content-encoding': coding }).end(compress(PLAIN)),
    )
    expect(saidBy(text)).toBe(WORDS)
    upstream.answer = (response) =>
      response.writeHead(400, headers).end(compress('{"error":{"message":"not so","code":"x"}}'))
    expect((await chat()).text).toContain('not so')
    expect(upstream.received).toHaveLength(3)
    expect(upstream.received[0]!.headers['accept-encoding']).toBe('identity')
  })

  test('one that does not decompress is no answer', async () => {
    upstream.answer = (response) =>
      response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end('{"choices":[]}')
    expect(await chat()).toMatchObject({ status: 502 })
    upstream.answer = (response) =>
      response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'zstd' }).end('x')
    expect((await chat()).text).toContain('content-encoding zstd')
  })
})

describe('an answer in the other framing is converted:', () => {
  const call = { id: 't', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }
  const full = completion(WORDS, {
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: WORDS, tool_calls: [call] },
        finish_reason: 'tool_calls',
      },
    ],
  })

  test('whole where a stream was asked', async () => {
    const text = await streamed(whole(JSON.stringify(full), JSON_TYPE), {
      stream_options: { include_usage: true },
    })
    expect(saidBy(text)).toBe(WORDS)
    expect(text).toContain('"tool_calls":[{"index":0,"id":"t"')
    expect(text).toContain('"finish_reason":"tool_calls"')
    expect(dataOf(text).at(-2)).toMatchObject({ choices: [], usage: COUNTED })
    expect(dataOf(text).at(-1)).toBe('[DONE]')
    expect(upstream.received).toHaveLength(1)
    await expect.poll(() => usage()).toEqual({ inputTokens: 1000, outputTokens: 500 })
  })

  test('a stream where a whole answer was asked', async () => {
    upstream.answer = whole(
      sse(
        chunk({ role: 'assistant', content: 'caf' }),
        chunk({ content: 'é 日本😀' }),
        chunk({ tool_calls: [{ index: 0, ...call, function: { name: 'f', arguments: '{"a"' } }] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }),
        chunk({}, 'tool_calls'),
        { ...chunk({}), choices: [], usage: COUNTED },
        '[DONE]',
      ),
    )
    const { status, text } = await chat()
    expect(status).toBe(200)
    expect(JSON.parse(text)).toMatchObject({
      object: 'chat.completion',
      choices: full.choices,
      usage: COUNTED,
    })
    expect(usage()).toEqual({ inputTokens: 1000, outputTokens: 500 })
  })

  test('a stream cut in the middle is none', async () => {
    upstream.answer = whole(sse(chunk({ content: 'caf' })))
    expect(await chat()).toMatchObject({ status: 502 })
  })

  test('a whole response of /v1/responses', async () => {
    const part = { type: 'output_text', text: WORDS, annotations: [] }
    const response = {
      id: 'r',
      object: 'response',
      status: 'completed',
      output: [{ id: 'm', type: 'message', role: 'assistant', content: [part] }],
      usage: { input_tokens: 3, output_tokens: 4 },
    }
    upstream.answer = whole(JSON.stringify(response), JSON_TYPE)
    const { text } = await post({ input: 'hi', stream: true }, '/v1/responses')
    const events = dataOf(text) as { type: string }[]
    expect(events.at(0)).toMatchObject({ type: 'response.created' })
    expect(text).toContain(`event: response.output_text.delta\ndata: {"type"`)
    expect(text).toContain('"type":"response.completed"')
    upstream.answer = whole(text)
    const back = await post({ input: 'hi' }, '/v1/responses')
    expect(JSON.parse(back.text)).toEqual(response)
  })
})

describe('finished means every choice:', () => {
  const of = (index: number, content: string, reason: string | null = null) => ({
    ...chunk({}),
    choices: [{ index, delta: { content }, finish_reason: reason }],
  })
  const isWhole = async (n: number, ...events: (object | string)[]): Promise<boolean> => {
    const text = await streamed(whole(sse(...events)), { n })
    expect(text.includes('"error"')).toBe(dataOf(text).at(-1) !== '[DONE]')
    return !text.includes('"error"')
  }

  test('one that is cut while another is finished is not whole', async () => {
    expect(await isWhole(2, of(0, 'a'), of(1, 'b'), of(0, '', 'stop'), of(1, ' is'))).toBe(false)
    expect(await isWhole(2, of(0, 'a', 'stop'))).toBe(false)
    expect(await isWhole(1, of(0, 'a', 'stop'), of(1, 'b'))).toBe(false)
    expect(await isWhole(1, of(0, 'a', 'tool_calls'), of(0, 'more'))).toBe(false)
  })

  test('all finished, or [DONE], is', async () => {
    expect(await isWhole(2, of(0, 'a', 'stop'), of(1, 'b', 'stop'))).toBe(true)
    expect(await isWhole(2, of(0, 'a', 'stop'), '[DONE]')).toBe(true)
    // as some servers have it in every event
    expect(await isWhole(1, of(0, 'a', 'stop'), of(0, 'b', 'stop'))).toBe(true)
  })
})

describe('an answer of more than a megabyte is passed on while it comes:', () => {
  const long = (more: object = {}): string =>
    JSON.stringify(completion('é'.repeat(1_500_000), more))

  test('every byte, its token counts and its cost', async () => {
    const text = `${long()} `
    upstream.answer = whole(text, { ...JSON_TYPE, 'x-request-id': 'r1' })
    const got = await chat()
    expect(got.text === text).toBe(true)
    expect(got.headers.get('content-type')).toMatch('application/json')
    expect(got.headers.get('x-request-id')).toBe('r1')
    expect(got.headers.get('x-weir-attempts')).toBe('1')
    expect(usage()).toEqual({ inputTokens: 1000, outputTokens: 500 })
    expect(gateway.served[0]).toMatchObject({ status: 200, costUsd: 0.002 })
  })

  test('compressed ones, and those of other endpoints', async () => {
    const list = JSON.stringify({ object: 'list', data: [0.5, ...Array(800_000).fill(1)] })
    const answer = whole(gzipSync(list) as never, { ...JSON_TYPE, 'content-encoding': 'gzip' })
    upstream.answer = answer
    expect((await post({ input: 'hi' }, '/v1/embeddings')).text === list).toBe(true)
  })

  test('an error in it is one, and asked for once', async () => {
    const error = { message: 'too long', code: 'context_length_exceeded' }
    upstream.answer = whole(JSON.stringify({ error, junk: 'x'.repeat(3_000_000) }), JSON_TYPE)
    const got = await chat()
    expect(got.status).toBe(400)
    expect(JSON.parse(got.text).error).toMatchObject(error)
    expect(upstream.received).toHaveLength(1)
  })

  test.each([
    ['cut in the middle', long().slice(0, -9)],
    ['without choices', long({ choices: 1 }).replace('{', `{"x":"${'x'.repeat(2_000_000)}",`)],
    ['with an error behind it', long({ error: { message: 'lost' } })],
  ])('one %s is left without its end', async (_, text) => {
    upstream.answer = whole(text, JSON_TYPE)
    await expect(chat()).rejects.toThrow()
    await expect.poll(() => gateway.served[0]?.code).toBe('upstream_broken')
    expect(upstream.received).toHaveLength(1)
  })

  test('its cost is told in it to those who ask', async () => {
    upstream.answer = whole(long(), JSON_TYPE)
    const { text } = await chat({ weir: { include_cost: true } })
    expect(JSON.parse(text).usage).toMatchObject({ prompt_tokens: 1000, cost_usd: 0.002 })
  })

  test('many of them take little memory, however slowly they are read', async () => {
    const ANSWERS = 8
    const BLOCKS = 128
    const head = '{"object":"chat.completion","choices":[],"x":"'
    const block = Buffer.alloc(64 * 1024, 'x')
    upstream.answer = async (response) => {
      response.writeHead(200, JSON_TYPE).write(head)
      for (let i = 0; i < BLOCKS && !response.destroyed; i++) {
        if (!response.write(block)) await once(response, 'drain').catch(() => {})
      }
      response.end('"}')
    }
    const held = (): number => {
      const { heapUsed, external } = process.memoryUsage()
      return (heapUsed + external) / 1024 / 1024
    }
    const before = held()
    let most = 0
    const body = JSON.stringify({ model: 'big', messages: user('hello') })
    const options = { method: 'POST', headers: JSON_TYPE }
    const sizes = await Promise.all(
      Array.from({ length: ANSWERS }, async () => {
        const sent = request(`${gateway.url}/v1/chat/completions`, options).end(body)
        const [response] = (await once(sent, 'response')) as [IncomingMessage]
        let size = 0
        for await (const part of response) {
          size += (part as Buffer).length
          most = Math.max(most, held() - before)
          if (size % 7 === 0) await new Promise((resume) => setTimeout(resume, 5))
        }
        return size
      }),
    )
    expect(sizes).toEqual(Array(ANSWERS).fill(head.length + BLOCKS * block.length + 2))
    // held, they would take 64 MB, and their texts as much again
    expect(most).toBeLessThan(40)
  })
})

describe('numbers keep their digits', () => {
  const BIG = '12345678901234567890'
  test.each([
    ['stream_options', `"stream":true,"stream_options":{"include_obfuscation":false}`],
    ['stream_options null', `"stream":true,"stream_options":null`],
    ['options of weir', `"weir":{"deadline_ms":5000}`],
  ])('where %s is changed', async (_, more) => {
    upstream.answer = whole(JSON.stringify(completion('a')), JSON_TYPE)
    await post(
      `{"model":"big","seed":${BIG},${more},"t":-100.0,"messages":[{"role":"user","content":"hi"}]}`,
    )
    const { text } = upstream.received[0]!
    expect(text).toContain(`"seed":${BIG}`)
    expect(text).toContain('"t":-100.0')
    expect(text).not.toContain('weir')
    if (more.includes('true')) {
      expect(JSON.parse(text).stream_options).toMatchObject({ include_usage: true })
    }
  })

  test('in a large body, which is sent again as it came', async () => {
    const url = `data:image/png;base64,${'iVBORw0K'.repeat(400_000)}`
    const text = `é\n${'\\u00e9 '.repeat(2000)}`.replace('\n', '\\n')
    const rest = `"seed":${BIG},"messages":[{"role":"user","content":[{"type":"text","text":"${text}"},{"type":"image_url","image_url":{"url":"${url}"}}]}]}`
    upstream.answer = (response, _, nth) => {
      if (nth === 1) response.writeHead(500).end()
      else whole(PLAIN)(response, _, nth)
    }
    const answer = await post(`{"model":"big","stream":true,"weir":{"deadline_ms":9000},${rest}`)
    expect(saidBy(answer.text)).toBe(WORDS)
    const counted = ',"stream_options":{"include_usage":true}}'
    const expected = `{"model":"big","stream":true,${rest.slice(0, -1)}${counted}`
    expect(upstream.received.map((got) => got.text === expected)).toEqual([true, true])
    upstream.answer = whole('{"object":"list","data":[]}', JSON_TYPE)
    await post(`{"model":"big","input":"${text.repeat(200)}","seed":${BIG}}`, '/v1/embeddings')
    const { input } = JSON.parse(upstream.received[2]!.text) as { input: string }
    expect(input === JSON.parse(`"${text.repeat(200)}"`)).toBe(true)
  })

  test('on the other endpoints', async () => {
    upstream.answer = whole('{"object":"list","data":[]}', JSON_TYPE)
    const answered = await post(`{"model":"big","input":"hi","seed":${BIG}}`, '/v1/embeddings')
    expect(answered).toMatchObject({ status: 200 })
    expect(upstream.received[0]!.text).toBe(`{"model":"big","input":"hi","seed":${BIG}}`)
  })
})

describe('the end of a stream whose connection stays open', () => {
  const held =
    (first: string, rest: string, pauseMs: number): RawAnswer =>
    (response) => {
      response.writeHead(200, SSE).write(first)
      setTimeout(() => response.write(rest), pauseMs)
    }
  const whileLate = (reason: string | null) =>
    sse(chunk({ role: 'assistant', content: 'caf' }, reason))

  test('is not at a finish_reason in the first event: servers have it in every one', async () => {
    const rest = sse(chunk({ content: 'é' }, 'stop'), '[DONE]')
    expect(saidBy(await streamed(held(whileLate('stop'), rest, 3300)))).toBe('café')
  })

  test('is three seconds after one that came later', async () => {
    const rest = sse(chunk({}, 'stop'))
    const started = performance.now()
    const text = await streamed(held(whileLate(null), rest, 0))
    expect(dataOf(text).at(-1)).toBe('[DONE]')
    expect(performance.now() - started).toBeGreaterThan(2900)
  })
})

describe('an error in the packet of the first text', () => {
  const error = { error: { message: 'the engine died', type: 'server_error', code: 500 } }

  test('follows the text, as in a packet of its own; nothing is asked again', async () => {
    const text = await streamed(whole(sse(chunk({ role: 'assistant', content: 'caf' }), error)))
    expect(saidBy(text)).toBe('caf')
    expect(dataOf(text).at(-1)).toMatchObject({ error: { code: 'upstream_broken' } })
    expect(text).not.toContain('[DONE]')
    expect(upstream.received).toHaveLength(1)
  })

  test('is asked again elsewhere where nothing was said', async () => {
    upstream.answer = (response, _, nth) =>
      whole(nth === 1 ? sse(chunk({ role: 'assistant', content: '' }), error) : PLAIN)(
        response,
        upstream.received[0]!,
        nth,
      )
    expect(saidBy((await chat({ stream: true })).text)).toBe(WORDS)
    expect(upstream.received).toHaveLength(2)
  })
})

describe('a refusal as a page keeps its words:', () => {
  const page = (text: string, status: number): RawAnswer => {
    return (response) => response.writeHead(status, { 'content-type': 'text/html' }).end(text)
  }
  test.each([
    [
      'nginx',
      '<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx/1.27</center>\r\n</body>\r\n</html>\r\n',
      '413 Request Entity Too Large nginx/1.27',
    ],
    [
      'scripts, styles, entities',
      '<!-- x --><!DOCTYPE html><style>p{}</style><script>if (a<b) {}</script><p>Not &quot;so&quot; &amp;&#32;&#x73;o',
      'Not "so" & so',
    ],
    ['a page that ends in a tag', '<?xml version="1.0"?><html><p>Too long<b', 'Too long<b'],
  ])('%s', async (_, text, words) => {
    upstream.answer = page(text, 413)
    const { status, text: told } = await chat()
    expect(status).toBe(413)
    expect(JSON.parse(told).error.message).toContain(words)
    expect(upstream.received).toHaveLength(1)
  })

  test('without words, or about our account: the status', async () => {
    upstream.answer = page('<html><head></head></html>', 400)
    expect(JSON.parse((await chat()).text).error.message).toContain('HTTP 400')
    upstream.answer = page('<html><h1>key sk-1 is blocked</h1></html>', 401)
    expect((await chat()).text).not.toContain('sk-1')
  })

  test('a long page of one character is read at once', async () => {
    for (const one of ['<', '<!--', '<script', '&#', ' ', 'a ', '<a>']) {
      upstream.answer = page(`<html>${one.repeat(60_000 / one.length)}`, 400)
      const started = performance.now()
      expect((await chat()).status).toBe(400)
      expect(performance.now() - started).toBeLessThan(1000)
    }
  })
})
