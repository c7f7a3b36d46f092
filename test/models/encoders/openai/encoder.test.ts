import { afterEach, describe, expect, it } from 'vitest'
import type { DenseEmbeddings } from '../../../../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../../../../models/encoders/encoder.ts'
import { makeOpenAi, openOpenAi } from '../../../../models/encoders/openai/encoder.ts'
import type { OpenAiSettings } from '../../../../models/encoders/openai/settings.ts'
import { describeEncoderContract } from '../../../../testing/encoder-contract.ts'
import {
  type Fault,
  type FaultyServer,
  json,
  SERVER_DIMENSION,
  startFaultyServer,
  vectorOf,
} from './faulty-server.ts'

const KEY = 'sk-test-0123456789'
const servers: FaultyServer[] = []
const waits: number[] = []
const options = {
  apiKey: KEY,
  now: () => Date.parse('2026-01-01T00:00:00Z'),
  wait: async (ms: number): Promise<void> => void waits.push(ms),
}

async function connect(
  fault?: Fault,
  settings: Partial<OpenAiSettings> = {},
): Promise<EncoderArtifact & { server: FaultyServer }> {
  const server = await startFaultyServer(fault)
  servers.push(server)
  const base = { model: 'test-embed', base_url: server.baseUrl, ...settings }
  return { ...(await makeOpenAi(base, options)), server }
}

/** Answers the first request, which asks for the dimension, and then does what the fault says. */
const afterFirst =
  (fault: Fault): Fault =>
  (request, count) =>
    count === 1 ? undefined : fault(request, count - 1)

afterEach(async () => {
  waits.length = 0
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

describe('openai', () => {
  let contractServer: FaultyServer
  describeEncoderContract('openai, against a server that fails every third request,', async () => {
    contractServer = await startFaultyServer((_, count) =>
      count % 3 === 2 ? (response) => json(response, 503, 'try again') : undefined,
    )
    const { encoder } = await makeOpenAi(
      { model: 'test-embed', base_url: contractServer.baseUrl, batch: 4 },
      options,
    )
    return { ...encoder, close: () => contractServer.close() }
  })

  it('sends the model, the inputs and the key, and puts answers of any order back in place', async () => {
    const { encoder, server } = await connect()
    const { embeddings } = await encoder.encode(['one', 'two', 'three'])
    expect(server.requests[1]).toMatchObject({
      model: 'test-embed',
      input: ['one', 'two', 'three'],
      path: '/v1/embeddings',
    })
    expect(server.requests[1]!.headers.authorization).toBe(`Bearer ${KEY}`)
    const { values } = embeddings as DenseEmbeddings
    expect([...values]).toEqual(
      ['one', 'two', 'three'].flatMap((text) => vectorOf(text).map(Math.fround)),
    )
  })

  it('never writes the key: not in the spec, nor in an error that echoes it', async () => {
    const { encoder } = await connect(
      afterFirst(() => (response) => json(response, 401, `Incorrect API key provided: ${KEY}`)),
    )
    expect(JSON.stringify(encoder.spec)).not.toContain(KEY)
    const error = await encoder.encode(['x']).catch((reason: unknown) => reason as Error)
    expect((error as Error).message).toMatch(/answered 401/)
    expect((error as Error).message).not.toContain(KEY)
  })

  it('keeps a query string, as Azure needs for its version, and out of messages', async () => {
    const server = await startFaultyServer()
    servers.push(server)
    await makeOpenAi({ model: 'm', base_url: `${server.baseUrl}/dep?api-version=2024` }, options)
    expect(server.requests[0]!.path).toBe('/v1/dep/embeddings?api-version=2024')
  })

  it('sends batches of at most the stated size', async () => {
    const { encoder, server } = await connect(undefined, { batch: 4, concurrency: 2 })
    const prompts = Array.from({ length: 11 }, (_, i) => `prompt ${i}`)
    await encoder.encode(prompts)
    const sizes = server.requests.slice(1).map(({ input }) => input.length)
    expect(sizes.sort()).toEqual([3, 4, 4])
  })

  it('asks for `dimensions`, and refuses an endpoint that gives another number of them', async () => {
    const { encoder, server } = await connect(undefined, { dimensions: 5 })
    expect(encoder.spec.dimension).toBe(5)
    expect(server.requests[0]!.dimensions).toBe(5)
    const ignores: Fault =
      ({ input }) =>
      (response) =>
        response.end(JSON.stringify({ data: input.map(() => ({ embedding: [1, 2, 3] })) }))
    await expect(connect(ignores, { dimensions: 5 })).rejects.toThrow(/3 dimensions, expected 5/)
  })

  it('retries 429 and waits as long as Retry-After says, in seconds or as a date', async () => {
    const { encoder } = await connect(
      afterFirst((_, count) => {
        if (count > 2) return undefined
        const value = count === 1 ? '7' : 'Thu, 01 Jan 2026 00:00:09 GMT'
        return (response) => {
          response.setHeader('retry-after', value)
          json(response, 429, 'slow down')
        }
      }),
    )
    await encoder.encode(['x'])
    expect(waits).toEqual([7000, 9000])
  })

  it('backs off ever longer while the server fails, and says what it said last', async () => {
    const { encoder } = await connect(afterFirst(() => (response) => json(response, 500, 'boom')))
    await expect(encoder.encode(['x'])).rejects.toMatchObject({
      code: 'encoder_endpoint_failed',
      message: expect.stringMatching(/answered 500: .*boom.*after 6 tries/),
    })
    expect(waits).toHaveLength(5)
    for (const [i, ms] of waits.entries()) {
      expect(ms).toBeGreaterThanOrEqual(250 * 2 ** i)
      expect(ms).toBeLessThanOrEqual(500 * 2 ** i)
    }
  })

  it('retries a connection that breaks and an answer that is cut off', async () => {
    const { encoder } = await connect(
      afterFirst((_, count) => {
        if (count === 1) return (response) => response.destroy()
        if (count === 2) return (response) => response.end('{"data": [{"embed')
        return undefined
      }),
    )
    expect((await encoder.encode(['x'])).embeddings.rows).toBe(1)
    expect(waits).toHaveLength(2)
  })

  it('gives up on an answer that takes too long, and tries again', async () => {
    const { encoder } = await connect(
      afterFirst((_, count) => (count === 1 ? () => undefined : undefined)),
      { timeout_ms: 50 },
    )
    expect((await encoder.encode(['x'])).embeddings.rows).toBe(1)
    expect(waits).toHaveLength(1)
  })

  it('does not retry what another try cannot better', async () => {
    const { encoder, server } = await connect(
      afterFirst(() => (response) => json(response, 404, 'no such model')),
    )
    await expect(encoder.encode(['x'])).rejects.toThrow(/answered 404/)
    expect(server.requests).toHaveLength(2)
  })

  it('cuts a long prompt to the limit before it sends it', async () => {
    const { encoder, server } = await connect(undefined, { max_tokens: 100 })
    const { truncated } = await encoder.encode(['short', `head ${'middle '.repeat(900)}tail`])
    const sent = server.requests[1]!.input[1]!
    expect([...truncated]).toEqual([0, 1])
    expect(sent.length).toBeLessThanOrEqual(300)
    expect(sent).toMatch(/^head .*tail$/s)
  })

  it('cuts further, and only that prompt, where the endpoint still finds it too long', async () => {
    const limit = 400
    const { encoder, server } = await connect(({ input }) =>
      input.some((text) => text.length > limit)
        ? (response) =>
            json(response, 400, "This model's maximum context length is 100 tokens, however...")
        : undefined,
    )
    const long = 'word '.repeat(300)
    const { embeddings, truncated } = await encoder.encode(['short', long, 'also short'])
    expect([...truncated]).toEqual([0, 1, 0])
    const sent = server.requests.at(-2)!.input[0]!
    expect(sent.length).toBeLessThanOrEqual(limit)
    const { values } = embeddings as DenseEmbeddings
    expect([...values.subarray(0, SERVER_DIMENSION)]).toEqual(vectorOf('short').map(Math.fround))
    expect([...values.subarray(2 * SERVER_DIMENSION)]).toEqual(
      vectorOf('also short').map(Math.fround),
    )
  })

  it('gives prompts without text a row of zeros, without asking the endpoint', async () => {
    const { encoder, server } = await connect()
    const { embeddings } = await encoder.encode(['', ' \n'])
    expect((embeddings as DenseEmbeddings).values.every((value) => value === 0)).toBe(true)
    expect(server.requests).toHaveLength(1)
  })

  it('refuses too few embeddings, another dimension than the first, and answers of another kind', async () => {
    const answer = (data: unknown): Fault =>
      afterFirst(() => (response) => response.end(JSON.stringify(data)))
    const few = await connect(answer({ data: [{ index: 0, embedding: [1] }] }))
    await expect(few.encoder.encode(['a', 'b'])).rejects.toThrow(/1 embeddings for 2 inputs/)
    const narrow = await connect(answer({ data: [{ index: 0, embedding: [1] }] }))
    await expect(narrow.encoder.encode(['a'])).rejects.toThrow(/1 dimensions, expected 12/)
    const odd = await connect(answer({ result: 'fine' }))
    await expect(odd.encoder.encode(['a'])).rejects.toThrow(/holds no embeddings/)
  })

  it('stops the request under way when it is aborted', async () => {
    const controller = new AbortController()
    const { encoder } = await connect(
      afterFirst(() => () => {
        controller.abort()
      }),
    )
    await expect(encoder.encode(['x'], controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
    })
    expect(waits).toEqual([])
  })

  it('is opened again from its spec alone, with the key handed in anew', async () => {
    const { encoder, server } = await connect(undefined, { max_tokens: 64 })
    const again = openOpenAi(
      JSON.parse(JSON.stringify(encoder.spec)),
      { allowHosts: ['127.0.0.1'], keyEnv: 'ITS_KEY' },
      { ITS_KEY: KEY },
    )
    expect(await again.encode(['x'])).toEqual(await encoder.encode(['x']))
    expect(server.requests.at(-2)!.headers.authorization).toBe(`Bearer ${KEY}`)
  })

  it('refuses settings that make no sense, and a key in the address', async () => {
    await expect(makeOpenAi({ model: 'm', base_url: 'ftp://x' })).rejects.toMatchObject({
      code: 'option_invalid',
    })
    await expect(
      makeOpenAi({ model: 'm', base_url: 'http://user:secret@127.0.0.1:1/v1' }),
    ).rejects.toThrow(/without a user or password/)
  })
})
