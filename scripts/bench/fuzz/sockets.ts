import { connect } from 'node:net'
import type { Random } from '../../../core/random.ts'

/** How a raw socket misbehaves; what to write first, and what to do then. */
const KINDS: Readonly<Record<string, (random: Random) => string | Buffer>> = {
  silence: () => '',
  'half a request line': () => 'POST /rou',
  'half a header': () => 'POST /route HTTP/1.1\r\nhost: loc',
  'a body that never comes': () =>
    'POST /route HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n{',
  'a chunk that never ends': () =>
    'POST /route HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n{',
  'random bytes': (random) =>
    Buffer.from(Array.from({ length: 1 + random.int(2000) }, () => random.int(256))),
  'headers without end': () =>
    `GET / HTTP/1.1\r\nhost: localhost\r\n${'x-a: b\r\n'.repeat(20_000)}`,
  'one long header': () => `GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ${'b'.repeat(200_000)}`,
  'many requests at once': () => 'GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(200),
  'two lengths': () =>
    'POST /route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}',
  'length and chunks': () =>
    'POST /route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n',
  'TLS to a plain port': () => Buffer.from('16030100a5010000a10303', 'hex'),
  'an HTTP/2 preface': () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
}

export interface SocketOptions {
  readonly port: number
  readonly sockets: number
  /** open at the same time */
  readonly connections: number
  readonly random: Random
  readonly onProgress?: (done: number) => void
}

/** Longest time that a socket is held open. */
const HOLD_MS = 150

/** Opens sockets that do not speak HTTP, or not to the end, and drops each after a moment. @returns how many there were of each kind */
export async function rawSockets(options: SocketOptions): Promise<Record<string, number>> {
  const { port, sockets, connections, random, onProgress } = options
  const names = Object.keys(KINDS)
  const counts: Record<string, number> = {}
  let opened = 0
  const worker = async (): Promise<void> => {
    while (opened < sockets) {
      const name = names[opened++ % names.length]!
      counts[name] = (counts[name] ?? 0) + 1
      await hold(port, KINDS[name]!(random), random.next() < 0.3, random.int(HOLD_MS))
      if (opened % 200 === 0) onProgress?.(opened)
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  return counts
}

function hold(port: number, bytes: string | Buffer, reset: boolean, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      if (bytes.length > 0) socket.write(bytes)
      setTimeout(() => (reset ? socket.resetAndDestroy() : socket.destroy()), ms)
    })
    // what it answers is left unread
    socket.pause()
    socket.on('error', () => {})
    socket.on('close', () => resolve())
  })
}
