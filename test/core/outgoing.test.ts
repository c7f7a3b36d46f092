import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import {
  guardedLookup,
  isGuarded,
  outgoingFetch,
  outgoingSocket,
  outgoingUrl,
} from '../../core/outgoing.ts'

describe('an address that is called', () => {
  test.each([
    'ftp://models.example',
    'models.example',
    'https://user:password@models.example',
    'https://models.example/v1?key=1',
    'http://169.254.169.254/latest',
    'http://[fe80::1]/v1',
    'http://2852039166/latest',
    'http://[::ffff:169.254.169.254]/latest',
    'http://[64:ff9b::169.254.169.254]/latest',
    'http://[fd00:ec2::254]/latest',
    'http://100.100.100.200/latest',
  ])('%s is refused', (url) => {
    expect(() => outgoingUrl(url, 'here')).toThrow('here: expected')
  })

  test('must be on a host of the list where there is one', () => {
    const list = ['models.example', '127.0.0.1:9000']
    expect(outgoingUrl('https://models.example/v1', 'here', { allowHosts: list }).pathname).toBe(
      '/v1',
    )
    expect(outgoingUrl('http://127.0.0.1:9000/v1', 'here', { allowHosts: list }).port).toBe('9000')
    expect(() => outgoingUrl('http://127.0.0.1:9001/v1', 'here', { allowHosts: list })).toThrow(
      'allow_hosts',
    )
    expect(() =>
      outgoingUrl('https://models.example.evil/v1', 'here', { allowHosts: list }),
    ).toThrow('allow_hosts')
  })

  test('link-local addresses are known in every spelling', () => {
    for (const address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'FE80::1',
      'febf::1',
      'fe80::1%eth0',
      '::ffff:a9fe:a9fe',
    ]) {
      expect(isGuarded(address)).toBe(true)
    }
    for (const address of ['127.0.0.1', '10.0.0.1', '::1', 'fec0::1']) {
      expect(isGuarded(address)).toBe(false)
    }
  })

  test.each(['metadata.google.internal', 'METADATA.google.internal.', 'instance-data'])(
    'a webhook at %s is refused by its name: behind a proxy it is looked up elsewhere',
    (name) => {
      const rules = { query: true }
      expect(() => outgoingUrl(`http://${name}/v1?x=1`, 'alarms.webhook', rules)).toThrow(
        'alarms.webhook: expected no link-local address or metadata service',
      )
      const listed = { allowHosts: [new URL(`http://${name}`).hostname] }
      expect(outgoingUrl(`http://${name}/v1`, 'alarms.webhook', listed).protocol).toBe('http:')
    },
  )

  test('a name that means this machine is looked up as ever', async () => {
    const found = await new Promise((resolve, reject) =>
      guardedLookup('localhost', { all: true }, (error, address) =>
        error ? reject(error) : resolve(address),
      ),
    )
    expect(found).not.toHaveLength(0)
  })

  test('says nothing of a password or a token in it', () => {
    for (const url of ['https://user:hunter2@a.example', 'https://a.example/?token=hunter2']) {
      expect(() => outgoingUrl(url, 'here')).toThrow(/^(?!.*hunter2)/)
    }
  })
})

test('a redirect is an answer, not an order', async () => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = outgoingUrl(`http://127.0.0.1:${port}/here`, 'here')
  const response = await outgoingFetch(url, { method: 'POST', body: 'prompt' })
  await response.body?.cancel()
  expect(response.status).toBe(307)
  expect(asked).toEqual(['/here'])
  server.close()
})

test('a socket of a driver refuses guarded addresses and connects to others', async () => {
  const refused = outgoingSocket()
  const error = once(refused, 'error')
  refused.connect(80, '169.254.169.254')
  expect((await error)[0]).toMatchObject({ code: 'EHOSTUNREACH' })

  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = outgoingSocket()
  const connected = once(socket, 'connect')
  socket.connect((server.address() as AddressInfo).port, 'localhost')
  await connected
  socket.destroy()
  server.close()
})
