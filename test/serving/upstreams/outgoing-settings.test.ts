import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { Cancellation } from '../../../serving/upstreams/cancellation.ts'
import { openUpstream, type UpstreamConfig } from '../../../serving/upstreams/kinds.ts'
import type { Upstream } from '../../../serving/upstreams/upstream.ts'

const pem = (name: string): string => join(import.meta.dirname, 'certificates', name)
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const seen: Pick<IncomingMessage, 'url' | 'headers'>[] = []
const answers: RequestListener = ({ url, headers }, response) => {
  seen.push({ url: url!, headers })
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ choices: [{ message: { content: 'hi' } }] }))
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function open(settings: UpstreamConfig): Promise<Upstream> {
  const upstream = await openUpstream(settings, {
    name: 'mine',
    where: 'gateway.upstreams.mine',
    environment: { KEY: 'secret' },
    allowHosts: undefined,
    now: Date.now,
  })
  closing.push(() => upstream.close())
  return upstream
}

const ask = (upstream: Upstream) =>
  upstream.complete(
    {
      endpoint: 'chat',
      body: { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
      headers: {},
      remainingMs: 2000,
    },
    new Cancellation(),
  )

describe('an upstream on Azure', () => {
  test.each([
    ['/openai/deployments/d', { query: { 'api-version': '2024-10-21' } }],
    ['/openai/deployments/d?api-version=2024-10-21', {}],
  ])('is asked with its version and its key: %s', async (path, more) => {
    const host = await listening(createServer(answers))
    const base_url = `http://${host}${path}`
    await ask(await open({ base_url, key_env: 'KEY', key_header: 'api-key', ...more }))
    const { url, headers } = seen.at(-1)!
    expect(url).toBe('/openai/deployments/d/chat/completions?api-version=2024-10-21')
    expect(headers['api-key']).toBe('secret')
    expect(headers.authorization).toBeUndefined()
  })
})

describe('an upstream with a private certificate', () => {
  const server = (more: object = {}): Promise<string> => {
    const [key, cert] = [readFileSync(pem('server.key')), readFileSync(pem('server.pem'))]
    return listening(createTlsServer({ key, cert, ...more }, answers))
  }

  test('is trusted if its authority is stated, and otherwise cannot be reached', async () => {
    const base_url = `https://${await server()}/v1`
    const trusting = await open({ base_url, tls: { ca: pem('ca.pem') } })
    expect((await ask(trusting)).kind).toBe('complete')
    await expect(ask(await open({ base_url }))).rejects.toMatchObject({ kind: 'unreachable' })
  })

  test('gets the client’s certificate', async () => {
    const ca = readFileSync(pem('ca.pem'))
    const base_url = `https://${await server({ ca, requestCert: true, rejectUnauthorized: true })}/v1`
    const own = { ca: pem('ca.pem'), cert: pem('client.pem'), key: pem('client.key') }
    expect((await ask(await open({ base_url, tls: own }))).kind).toBe('complete')
    await expect(ask(await open({ base_url, tls: { ca: pem('ca.pem') } }))).rejects.toThrow()
  })

  test.each([
    [{ cert: 'a.pem' }, 'tls.key: expected a certificate and its key'],
    [
      { ca: '/nowhere/ca.pem' },
      'tls.ca: expected a readable PEM file, got /nowhere/ca.pem (ENOENT)',
    ],
    [{ ca: import.meta.filename }, 'tls.ca: expected a PEM file'],
    [{ ca: 'x', passphrase_env: 'NONE' }, 'tls.passphrase_env'],
  ])('says what is wrong with %j', async (tls, message) => {
    await expect(open({ base_url: 'https://127.0.0.1/v1', tls })).rejects.toThrow(message)
  })
})
