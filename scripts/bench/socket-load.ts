import { readFileSync } from 'node:fs'
import { connect } from 'node:net'

/**
 * A load generator for machines without wrk: keep-alive sockets with one request at a time on each, written
 * and read as bytes, which costs a tenth of an HTTP client. Runs in a separate process: `socket-load.ts
 * <port> <connections> <seconds> <bodies file> [path] [header: value ...]`; prints one line of JSON.
 */
const [port, connections, seconds, file, path = '/route', ...headers] = process.argv.slice(2)
const more = headers.map((line) => `${line}\r\n`).join('')
const bodies = readFileSync(file!, 'utf8').trimEnd().split('\n')
const requests = bodies.map((body) =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  ),
)
const latencies: number[] = []
let next = 0
const errors = { status: 0, connect: 0, read: 0, write: 0, timeout: 0 }
let open = Number(connections)
const started = performance.now()
const end = started + Number(seconds) * 1000

for (let i = 0; i < Number(connections); i++) run()

function run(): void {
  let sent = 0
  let got = ''
  const socket = connect(Number(port), '127.0.0.1')
  const send = (): void => {
    sent = performance.now()
    got = ''
    socket.write(requests[next++ % requests.length]!)
  }
  socket.setNoDelay(true)
  socket.setEncoding('latin1')
  socket.on('connect', send)
  socket.on('data', (chunk: string) => {
    got += chunk
    const head = got.indexOf('\r\n\r\n')
    if (head < 0) return
    const length = /content-length: (\d+)/i.exec(got)
    if (!length || got.length < head + 4 + Number(length[1])) return
    latencies.push(performance.now() - sent)
    if (!got.startsWith('HTTP/1.1 200')) errors.status++
    if (performance.now() < end) send()
    else socket.end()
  })
  socket.on('error', () => errors.read++)
  socket.on('close', () => {
    if (--open === 0) report()
  })
}

function report(): void {
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
  const summary = {
    requests: latencies.length,
    seconds: (performance.now() - started) / 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    failed: Object.values(errors).reduce((sum, n) => sum + n, 0),
    errors,
  }
  process.stdout.write(`${JSON.stringify(summary)}\n`)
}
