import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { outgoingPool, outgoingUrl, proxyFor } from '../../core/outgoing.ts'

const PROXY = { HTTP_PROXY: 'http://proxy:8080', HTTPS_PROXY: 'http://secure:8080' }
const found = (url: string, environment: Record<string, string>): string | undefined =>
  proxyFor(new URL(url), environment)?.host

describe('the proxy of an address', () => {
  test.each([
    ['http://models.example/v1', PROXY, 'proxy:8080'],
    ['https://models.example/v1', PROXY, 'secure:8080'],
    ['https://models.example/v1', { HTTP_PROXY: 'http://proxy:8080' }, undefined],
    ['https://models.example/v1', { ALL_PROXY: 'socks5://all:1080' }, 'all:1080'],
    ['http://models.example/v1', { HTTP_PROXY: 'a:1', http_proxy: 'b:2' }, 'b:2'],
    ['http://models.example/v1', { HTTP_PROXY: 'a:1', REQUEST_METHOD: 'GET' }, undefined],
    ['http://127.0.0.1:11434/v1', PROXY, undefined],
    ['http://localhost:11434/v1', PROXY, undefined],
    ['http://[::1]:11434/v1', PROXY, undefined],
    ['http://models.example/v1', {}, undefined],
    ['http://models.example/v1', { HTTP_PROXY: '' }, undefined],
  ])('%s with %j is %s', (url, environment, expected) => {
    expect(found(url, environment as Record<string, string>)).toBe(expected)
  })

  test.each([
    ['http://models.example/v1', '*', true],
    ['http://models.example/v1', 'models.example', true],
    ['http://eu.models.example/v1', 'other, models.example', true],
    ['http://eu.models.example/v1', '.models.example', true],
    ['http://eu.models.example/v1', '*.models.example', true],
    ['http://mymodels.example/v1', 'models.example', false],
    ['http://models.example:8000/v1', 'models.example:8000', true],
    ['http://models.example/v1', 'models.example:8000', false],
    ['http://10.1.2.3/v1', '10.0.0.0/8', true],
    ['http://11.1.2.3/v1', '10.0.0.0/8', false],
    ['http://[fd00::5]/v1', 'fd00::/16', true],
    ['http://[fd00::5]/v1', 'fd00::5', true],
    ['http://models.example/v1', '', false],
  ])('%s with NO_PROXY=%s is asked directly: %s', (url, list, direct) => {
    expect(found(url, { ...PROXY, NO_PROXY: list }) === undefined).toBe(direct)
  })

  test('must be one that can be used, and its password is not shown', () => {
    const of = (proxy: string) => () => proxyFor(new URL('http://a.example'), { HTTP_PROXY: proxy })
    expect(of('ftp://u:secret@proxy')).toThrow('HTTP_PROXY: expected the http, https or socks5')
    expect(of('ftp://u:secret@proxy')).not.toThrow('secret')
    expect(of('http://[')).toThrow('HTTP_PROXY')
  })
})

describe('a pool', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  test('sends plain requests to the proxy with their whole address and the proxy’s password', async () => {
    const seen: unknown[] = []
    const proxy = createServer((request, response) => {
      seen.push([request.method, request.url, request.headers['proxy-authorization']])
      response.end('{}')
    }).listen(0, '127.0.0.1')
    closing.push(() => proxy.close())
    await once(proxy, 'listening')
    const { port } = proxy.address() as AddressInfo
    const environment = { http_proxy: `http://me:pass@127.0.0.1:${port}` }
    const url = outgoingUrl('http://models.invalid/v1', 'here')
    const pool = await outgoingPool(url, { connectTimeoutMs: 1000, environment })
    closing.push(() => void pool.destroy())
    const status = await new Promise((resolve, reject) => {
      pool.dispatch(
        { method: 'POST', path: '/v1/chat/completions', headers: ['a', 'b'], body: '{}' },
        {
          onResponseStart: (_, code) => resolve(code),
          onResponseError: (_, error) => reject(error),
          onRequestStart: () => {},
          onResponseData: () => {},
          onResponseEnd: () => {},
        },
      )
    })
    expect(status).toBe(200)
    const basic = `Basic ${Buffer.from('me:pass').toString('base64')}`
    expect(seen).toEqual([['POST', 'http://models.invalid/v1/chat/completions', basic]])
  })
})
