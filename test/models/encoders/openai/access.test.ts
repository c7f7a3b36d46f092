import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EncoderSpec } from '../../../../models/encoders/encoder.ts'
import { type LoadEncoderOptions, loadEncoder } from '../../../../models/encoders/registry.ts'
import { type FaultyServer, startFaultyServer } from './faulty-server.ts'

const ENVIRONMENT = { AWS_SECRET_ACCESS_KEY: 'aws-secret', CORP_KEY: 'corp-key' }

let server: FaultyServer
let folder: string
beforeAll(async () => {
  server = await startFaultyServer()
  folder = await mkdtemp(join(tmpdir(), 'weir-access-'))
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** What somebody else's bundle asks for. */
const spec = (options: Record<string, unknown> = {}): EncoderSpec => ({
  kind: 'openai',
  id: 'openai-m-12-000000000000',
  dimension: 12,
  output: 'dense',
  files: [],
  options: {
    ...{ model: 'm', base_url: server.baseUrl, key_env: 'AWS_SECRET_ACCESS_KEY' },
    ...{ max_tokens: 8191, batch: 64, concurrency: 4, timeout_ms: 5000 },
    ...options,
  },
})

/** Encodes one prompt; what the server was told of a key. */
async function encode(its: EncoderSpec, options: LoadEncoderOptions): Promise<string | undefined> {
  const encoder = await loadEncoder(its, folder, { environment: ENVIRONMENT, ...options })
  await encoder.encode(['a prompt'])
  return server.requests.at(-1)!.headers.authorization
}

describe('an encoder of a bundle that wants to call out', () => {
  it('is refused without leave, with what would give it, and nothing is sent', async () => {
    const before = server.requests.length
    const { host } = new URL(server.baseUrl)
    const error = await encode(spec(), {}).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'encoder_not_allowed' })
    const { message } = error as Error
    for (const word of [host, `--allow-encoder-host ${host}`, 'encoders: {NAME: {base_url']) {
      expect(message).toContain(word)
    }
    expect(message).not.toContain('AWS_SECRET')
    expect(server.requests.length).toBe(before)
  })

  it('is refused inside another encoder too', async () => {
    const joined: EncoderSpec = {
      ...spec(),
      kind: 'joined',
      options: { parts: [spec(), spec()] },
    }
    await expect(encode(joined, {})).rejects.toMatchObject({ code: 'encoder_not_allowed' })
  })

  it('calls an allowed host without any key, whatever variable the bundle names', async () => {
    const { hostname } = new URL(server.baseUrl)
    expect(await encode(spec(), { access: { allowHosts: [hostname] } })).toBeUndefined()
  })

  it('sends an allowed host the key that the operator names', async () => {
    const access = { allowHosts: [new URL(server.baseUrl).host], keyEnv: 'CORP_KEY' }
    expect(await encode(spec(), { access })).toBe('Bearer corp-key')
  })

  it('refuses a key variable that is not set', async () => {
    const access = { allowHosts: [new URL(server.baseUrl).host], keyEnv: 'NOT_SET' }
    await expect(encode(spec(), { access })).rejects.toMatchObject({ code: 'config_invalid' })
  })

  it('uses a connection that it asks for by name, at the operator’s address', async () => {
    const asked = spec({ connection: 'corp', base_url: 'http://elsewhere.example/v1' })
    const connections = { corp: { base_url: server.baseUrl, key_env: 'CORP_KEY' } }
    expect(await encode(asked, { access: { connections } })).toBe('Bearer corp-key')
    await expect(encode(asked, { access: { connections: {} } })).rejects.toThrow(
      'encoders: {corp: {base_url',
    )
    await expect(
      encode(spec({ connection: 'constructor' }), { access: { connections } }),
    ).rejects.toMatchObject({ code: 'encoder_not_allowed' })
  })

  it('uses a connection whose address is the one in an older manifest', async () => {
    const connections = { corp: { base_url: `${server.baseUrl}/`, key_env: 'CORP_KEY' } }
    expect(await encode(spec(), { access: { connections } })).toBe('Bearer corp-key')
    const other = { corp: { base_url: `${server.baseUrl}/other`, key_env: 'CORP_KEY' } }
    await expect(encode(spec(), { access: { connections: other } })).rejects.toMatchObject({
      code: 'encoder_not_allowed',
    })
  })

  it('is refused a metadata address that nobody named', async () => {
    const connections = { cloud: { base_url: 'http://169.254.169.254/v1' } }
    await expect(
      encode(spec({ connection: 'cloud' }), { access: { connections } }),
    ).rejects.toMatchObject({ code: 'config_invalid' })
  })

  it('is not sent elsewhere by a redirect', async () => {
    const redirecting = createServer((_, response) =>
      response.writeHead(307, { location: `${server.baseUrl}/embeddings` }).end(),
    )
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve))
    const { port } = redirecting.address() as AddressInfo
    const before = server.requests.length
    const asked = spec({ base_url: `http://127.0.0.1:${port}/v1` })
    await expect(encode(asked, { access: { allowHosts: ['127.0.0.1'] } })).rejects.toThrow('307')
    expect(server.requests.length).toBe(before)
    redirecting.close()
  })
})
