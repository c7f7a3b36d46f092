import { describe, expect, test } from 'vitest'
import { retryAfterMs } from '../../../serving/upstreams/failure.ts'
import { guardedLookup, linkLocal, upstreamUrl } from '../../../serving/upstreams/host-list.ts'

describe('the base URL of an upstream', () => {
  test.each([
    'ftp://models.example',
    'models.example',
    'https://user:password@models.example',
    'https://models.example/v1?key=1',
    'http://169.254.169.254/latest',
    'http://[fe80::1]/v1',
  ])('%s is refused', (url) => {
    expect(() => upstreamUrl(url, 'here', undefined)).toThrow('here: expected')
  })

  test('must be on a host of the list where there is one', () => {
    const list = ['models.example', '127.0.0.1:9000']
    expect(upstreamUrl('https://models.example/v1', 'here', list).pathname).toBe('/v1')
    expect(upstreamUrl('http://127.0.0.1:9000/v1', 'here', list).port).toBe('9000')
    expect(() => upstreamUrl('http://127.0.0.1:9001/v1', 'here', list)).toThrow('allow_hosts')
    expect(() => upstreamUrl('https://models.example.evil/v1', 'here', list)).toThrow('allow_hosts')
  })

  test('link-local addresses are known in every spelling', () => {
    for (const address of ['169.254.169.254', '::ffff:169.254.169.254', 'FE80::1', 'febf::1']) {
      expect(linkLocal(address)).toBe(true)
    }
    for (const address of ['127.0.0.1', '10.0.0.1', '::1', 'fec0::1']) {
      expect(linkLocal(address)).toBe(false)
    }
  })

  test('a name that means this machine is looked up as ever', async () => {
    const found = await new Promise((resolve, reject) =>
      guardedLookup('localhost', { all: true }, (error, address) =>
        error ? reject(error) : resolve(address),
      ),
    )
    expect(found).not.toHaveLength(0)
  })
})

test('Retry-After is read as seconds, as a date and as milliseconds', () => {
  const now = Date.UTC(2026, 0, 1)
  expect(retryAfterMs({ 'retry-after': '7' }, now)).toBe(7000)
  expect(retryAfterMs({ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, now)).toBe(9000)
  expect(retryAfterMs({ 'retry-after': '7', 'retry-after-ms': '250' }, now)).toBe(250)
  expect(retryAfterMs({ 'retry-after': 'soon' }, now)).toBeUndefined()
  expect(retryAfterMs({}, now)).toBeUndefined()
})
