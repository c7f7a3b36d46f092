import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { createRandom } from '../../core/random.ts'
import { openTerminal, table } from '../terminal/terminal.ts'
import { cpuSeconds } from './figures.ts'
import { attack } from './fuzz/attack.ts'
import { HOSTILE_BODIES } from './fuzz/bodies.ts'
import { rawSockets } from './fuzz/sockets.ts'
import { SOURCE } from './load.ts'
import { writeRouteBundle } from './route-bundle.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:attack`: hostile requests, raw sockets, bodies, streams and keys against `weir serve` in a process of
 * its own, and its start-up errors. One line each with the figure and its bound; exit code 1 if a bound is passed,
 * the server ended, or it does not answer `/health`. `--short` is the form for CI. Everything is on loopback.
 */
const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    // a built command, which saves building one
    weir: { type: 'string' },
  },
})
const SIZES = values.short
  ? {
      requests: 1500,
      sockets: 400,
      bodies: 4,
      streamBytes: 100_000,
      feedback: 300,
      longIds: 20,
      large: 8,
      largeMegabytes: 16,
      kinds: ['text'],
      bodyChats: 1,
    }
  : {
      requests: 45_000,
      sockets: 14_500,
      bodies: Object.keys(HOSTILE_BODIES).length,
      streamBytes: 3_000_000,
      feedback: 5000,
      longIds: 400,
      large: 24,
      largeMegabytes: 64,
      kinds: ['text', 'numbers', 'image'],
      bodyChats: 3,
    }
/** Memory of the server at its peak, in megabytes. */
const MOST_MEMORY = 1024
/** Time of the server for one body, in milliseconds of CPU, all its threads together. */
const MOST_BODY_MS = 150
/** What one turn of the event loop is meant to take for any body; printed beside its figure, and no failure if it is passed. */
const GOAL_TURN_MS = 20
const MOST_START_SECONDS = 5
/** Growth of the server's memory while many large answers pass, in megabytes. */
const MOST_GROWTH = 50
const KEY = 'key-of-the-benchmark'

interface Check {
  readonly what: string
  readonly figure: number
  readonly unit: string
  /** the largest figure that passes */
  readonly bound: number
}

const terminal = openTerminal()
const random = createRandom(Number(values.seed))
const root = await mkdtemp(join(tmpdir(), 'weir-attack-'))
const checks: Check[] = []
const statuses: Record<string, number> = {}
const note = (what: string, figure: number, unit: string, bound: number): void => {
  checks.push({ what, figure: Math.round(figure * 100) / 100, unit, bound })
}
const progress =
  (stage: string, total: number) =>
  (done: number): void =>
    terminal.onProgress({ stage, done, total })

const command = values.weir === undefined ? await buildCommand(root) : resolve(values.weir)
const bundle = await writeRouteBundle(root)
const upstream = await openUpstream()
const children: ChildProcess[] = []

/** Sends an answer of many events, or one event in as many packets as it has bytes. */
async function openUpstream(): Promise<Server & { url: string }> {
  const event = (content: string, finish: string | null = null): string =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`
  const server = createHttpServer(async (request, response) => {
    for await (const _ of request) {
      // read to its end
    }
    if (request.url!.endsWith('/embeddings')) {
      await sendLarge(response)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.socket?.setNoDelay(true)
    const text = `${event('x'.repeat(SIZES.streamBytes))}`
    // in small packets: as many as a connection carries
    for (let i = 0; i < text.length; i += 64) {
      if (!response.write(text.slice(i, i + 64))) await once(response, 'drain')
    }
    response.end(`${event('', 'stop')}data: [DONE]\n\n`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return Object.assign(server, { url: `http://127.0.0.1:${port}/v1` })
}

/** A whole answer of many megabytes. */
async function sendLarge(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' })
  const block = Buffer.from('0.123456,'.repeat(8000))
  response.write('{"object":"list","data":[')
  for (
    let sent = 0;
    sent < SIZES.largeMegabytes * 1e6 && !response.destroyed;
    sent += block.length
  ) {
    // closed while it waits if the server gives up
    if (!response.write(block))
      await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end('0]}')
}

interface Serving {
  readonly child: ChildProcess
  readonly url: string
  readonly port: number
  readonly errors: () => string
}

async function serve(config: object, ...options: string[]): Promise<Serving> {
  const file = join(root, `weir-${children.length}.json`)
  await writeFile(file, JSON.stringify(config))
  const child = start('--config', file, '--port', '0', '--json', ...options)
  let errors = ''
  child.stderr!.on('data', (chunk) => {
    errors += chunk
  })
  const line = await Promise.race([
    once(createInterface({ input: child.stdout! }), 'line').then(([text]) => text as string),
    once(child, 'exit').then(([code]) =>
      Promise.reject(new Error(`ended with ${code}: ${errors}`)),
    ),
  ])
  const { url } = JSON.parse(line) as { url: string }
  return { child, url, port: Number(new URL(url).port), errors: () => errors }
}

function start(...options: string[]): ChildProcess {
  const child = spawn(process.execPath, [command, 'serve', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  return child
}

async function ask(url: string, body: string, headers: object = {}): Promise<Response> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  const { status } = answer
  statuses[status] = (statuses[status] ?? 0) + 1
  return answer
}

/** The answers of a request that is sent again and again, eight at a time. @returns how many were not of these statuses */
async function flood(
  times: number,
  send: (i: number) => Promise<Response>,
  expected: readonly number[],
): Promise<number> {
  let wrong = 0
  let sent = 0
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (sent < times) {
        const answer = await send(sent++)
        await answer.arrayBuffer()
        if (!expected.includes(answer.status)) wrong++
      }
    }),
  )
  return wrong
}

/** The least CPU time of the server for a request, of three, in milliseconds. */
async function cpuOf({ child, url }: Serving, body: string): Promise<number> {
  let least = Infinity
  for (let i = 0; i < 3; i++) {
    const before = cpuSeconds(child.pid!)
    const answer = await ask(`${url}/route`, body)
    await answer.arrayBuffer()
    least = Math.min(least, (cpuSeconds(child.pid!) - before) * 1000)
    if (answer.status < 400 || answer.status > 499) return Infinity
  }
  return least
}

/** The longest that `/health` took while the work went on, in milliseconds. */
async function slowest(url: string, work: Promise<unknown>): Promise<number> {
  let most = 0
  let over = false
  const pinging = (async () => {
    while (!over) {
      const before = performance.now()
      await (await fetch(`${url}/health`)).arrayBuffer()
      most = Math.max(most, performance.now() - before)
      await new Promise((resume) => setTimeout(resume, 10))
    }
  })()
  await work
  over = true
  await pinging
  return most
}

const megabytes = (pid: number, of: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${of}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) /
  1024

/** What must still hold after an attack. */
async function alive(name: string, { child, url, errors }: Serving): Promise<void> {
  const answers = await fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  )
  note(`${name}: server gone`, answers && child.exitCode === null ? 0 : 1, '', 0)
  note(`${name}: memory at the peak`, megabytes(child.pid!, 'VmHWM'), 'MB', MOST_MEMORY)
  const bugs = errors().match(/^weir: \S+ \S+ failed: .*/gm) ?? []
  note(`${name}: internal errors`, bugs.length, '', 0)
  for (const bug of bugs.slice(0, 3)) terminal.note(bug)
}

async function attackOpenServer(): Promise<void> {
  const model = { upstreams: [{ upstream: 'one' }] }
  const server = await serve({
    routers: [{ path: bundle }],
    // a busy machine is not what is measured
    max_lag_ms: 60_000,
    log: { folder: join(root, 'log'), text: 'redacted', metadata: true },
    gateway: {
      upstreams: { one: { base_url: upstream.url } },
      models: { 'big-1': model, 'small-1': model },
    },
  })
  const { url, port } = server
  const { requests, sockets, bodies, feedback, longIds, large, largeMegabytes } = SIZES
  note(
    `${large} answers of ${largeMegabytes} MB at once: memory grew by`,
    await largeAnswers(server),
    'MB',
    MOST_GROWTH,
  )
  const fuzzed = await attack({
    port,
    requests,
    connections: 16,
    seed: Number(values.seed),
    onProgress: progress('requests', requests),
  })
  for (const [status, count] of Object.entries(fuzzed.statuses)) {
    statuses[status] = (statuses[status] ?? 0) + count
  }
  note(
    `${fuzzed.sent} random and mutated requests: server errors`,
    fuzzed.serverErrors.length,
    '',
    0,
  )
  for (const error of fuzzed.serverErrors.slice(0, 3)) terminal.note(error)
  const slow = await slowest(
    url,
    rawSockets({
      port,
      sockets,
      connections: 32,
      random,
      onProgress: progress('sockets', sockets),
    }),
  )
  note(`${sockets} raw sockets: slowest /health`, slow, 'ms', 1000)
  for (const [name, make] of Object.entries(HOSTILE_BODIES).slice(0, bodies)) {
    terminal.onProgress({ stage: name, done: 0, total: 1 })
    note(`8 MB of ${name}`, await cpuOf(server, make()), 'ms of CPU', MOST_BODY_MS)
  }
  const adversarial = JSON.stringify({ prompt: 'eyJ-'.repeat(249_000) })
  const before = cpuSeconds(server.child.pid!)
  await (await ask(`${url}/route`, adversarial)).arrayBuffer()
  // the log is written, and redacted, within 100 ms
  await new Promise((resume) => setTimeout(resume, 500))
  const redaction = (cpuSeconds(server.child.pid!) - before) * 1000
  note('1 MB that looks like tokens, routed and redacted', redaction, 'ms of CPU', 1500)
  const long = JSON.stringify({ prompt: 'x', session_id: 's'.repeat(4_000_000) })
  note(
    `${longIds} session ids of 4 MB: taken`,
    await flood(longIds, () => ask(`${url}/route`, long), [400]),
    '',
    0,
  )
  note(
    `${feedback} posts of feedback on invented decisions: taken`,
    await flood(
      feedback,
      (i) => ask(`${url}/feedback`, JSON.stringify({ decision_id: `d${i}`, score: 0 })),
      [403, 404],
    ),
    '',
    0,
  )
  const origins = ['https://attacker.example', 'null', 'http://localhost:1']
  note(
    `${feedback} requests of web pages: answered`,
    await flood(
      feedback,
      (i) => ask(`${url}/route`, '{"prompt":"x"}', { origin: origins[i % origins.length]! }),
      [403],
    ),
    '',
    0,
  )
  note(`${sockets} requests for another Host: answered`, await foreignHosts(port, sockets), '', 0)
  const chat = { model: 'big-1', stream: true, messages: [{ role: 'user', content: 'x' }] }
  let bytes = 0
  const streaming = async (): Promise<void> => {
    const answer = await ask(`${url}/v1/chat/completions`, JSON.stringify(chat))
    for await (const part of answer.body!) bytes += part.length
  }
  const stalled = await slowest(url, streaming())
  note(
    `a stream of ${SIZES.streamBytes} bytes in small packets: slowest /health`,
    stalled,
    'ms',
    1000,
  )
  note('that stream: bytes missing', Math.max(0, SIZES.streamBytes - bytes), '', 0)
  await alive('server without keys', server)
  await ends(server)
}

/** Reads many large answers at once, the first few times to warm up. @returns megabytes that the server grew by */
async function largeAnswers({ child, url }: Serving): Promise<number> {
  const read = async (): Promise<void> => {
    const answer = await ask(`${url}/v1/embeddings`, '{"model":"big-1","input":"x"}')
    for await (const _ of answer.body!) await new Promise((resume) => setTimeout(resume, 1))
  }
  const together = (count: number) => Promise.all(Array.from({ length: count }, read))
  await together(4)
  const before = megabytes(child.pid!, 'VmRSS')
  let most = before
  const watch = setInterval(() => {
    most = Math.max(most, megabytes(child.pid!, 'VmRSS'))
  }, 50)
  await together(SIZES.large)
  clearInterval(watch)
  return most - before
}

/** Requests for another Host, ten on a connection. @returns how many were not refused */
async function foreignHosts(port: number, requests: number): Promise<number> {
  let wrong = 0
  for (let sent = 0; sent < requests; sent += 10) {
    const text = await new Promise<string>((resume) => {
      let said = ''
      const one = 'GET /v1/models HTTP/1.1\r\nhost: attacker.example\r\n\r\n'
      const last = 'GET /metrics HTTP/1.1\r\nhost: attacker.example\r\nconnection: close\r\n\r\n'
      const socket = connect(port, '127.0.0.1', () => socket.write(one.repeat(9) + last))
      socket.on('data', (chunk) => {
        said += chunk
      })
      socket.on('error', () => {})
      socket.on('close', () => resume(said))
    })
    wrong += 10 - (text.match(/HTTP\/1\.1 403 /g)?.length ?? 0)
  }
  return wrong
}

async function attackKeyedServer(): Promise<void> {
  const sha256 = createHash('sha256').update(KEY).digest('hex')
  const server = await serve(
    { routers: [{ path: bundle }], max_lag_ms: 60_000, keys: [{ name: 'k', sha256 }] },
    ...['--admin-port', '0'],
  )
  const { url, child } = server
  const { feedback } = SIZES
  const wrong = flood(
    feedback,
    (i) => ask(`${url}/route`, '{"prompt":"x"}', { authorization: `Bearer wrong-${i}` }),
    [401, 429],
  )
  note(`${feedback} wrong keys: let in`, await wrong, '', 0)
  const right = { authorization: `Bearer ${KEY}` }
  note(
    'the right key after them: refused',
    await flood(20, () => ask(`${url}/route`, '{"prompt":"x"}', right), [200]),
    '',
    0,
  )
  await alive('server with keys', server)
  await ends({ child })
}

async function attackWorkers(): Promise<void> {
  const server = await serve({ routers: [{ path: bundle }], max_lag_ms: 60_000 }, '--workers', '2')
  const children = readFileSync(
    `/proc/${server.child.pid}/task/${server.child.pid}/children`,
    'utf8',
  )
  const victim = Number(children.trim().split(' ')[0])
  process.kill(victim, 'SIGSTOP')
  const asks = Array.from({ length: 16 }, () =>
    ask(`${server.url}/route`, '{"prompt":"x"}', { connection: 'close' }).then(
      async (answer) => void (await answer.arrayBuffer()),
      () => undefined,
    ),
  )
  await new Promise((resume) => setTimeout(resume, 300))
  const before = performance.now()
  process.kill(victim, 'SIGKILL')
  await Promise.all(asks)
  const seconds = (performance.now() - before) / 1000
  note('requests on a worker that is stopped and killed: end after', seconds, 's', 5)
  await alive('server with workers', server)
  await ends(server)
}

async function attackStart(): Promise<void> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const port = String((taken.address() as AddressInfo).port)
  const faults: [string, string[]][] = [
    ['a port in use', [bundle, '--port', port]],
    ['a missing bundle', [join(root, 'none'), '--port', '0']],
    ['no keys for other machines', [bundle, '--host', '0.0.0.0', '--port', '0']],
  ]
  const workers = values.short ? ['2'] : ['1', '2']
  for (const [what, options] of faults) {
    for (const count of workers) {
      const before = performance.now()
      const child = start(...options, '--workers', count)
      const late = setTimeout(() => child.kill('SIGKILL'), 4 * MOST_START_SECONDS * 1000)
      const [code] = (await once(child, 'exit')) as [number | null]
      clearTimeout(late)
      const seconds = code === 1 || code === 2 ? (performance.now() - before) / 1000 : Infinity
      note(`${what}, ${count} workers: ends after`, seconds, 's', MOST_START_SECONDS)
    }
  }
  taken.close()
}

/** The longest turn of the event loop while a body just below the limit of 64 MiB passes through, by `large-body.ts`. */
async function attackWithLargeBodies(): Promise<void> {
  const script = join(import.meta.dirname, 'large-body.ts')
  for (const kind of SIZES.kinds) {
    terminal.onProgress({ stage: `62 MB of ${kind}`, done: 0, total: 1 })
    const options = [
      '--json',
      '--megabytes',
      '59',
      '--kind',
      kind,
      '--chats',
      String(SIZES.bodyChats),
    ]
    const child = spawn(SOURCE[0]!, [...SOURCE.slice(1), script, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [said] = await Promise.all([text(child.stdout), once(child, 'exit')])
    const turn =
      child.exitCode === 0
        ? (JSON.parse(said) as { figures: { turn_least_ms: number } }).figures.turn_least_ms
        : Infinity
    const goal = `goal ${GOAL_TURN_MS}${turn > GOAL_TURN_MS ? ': missed' : ''}`
    note(
      `62 MB of ${kind}: longest turn of the event loop (${goal})`,
      turn,
      'ms of CPU',
      MOST_BODY_MS,
    )
  }
}

/** SIGTERM must end it with exit code 0. */
async function ends({ child }: Pick<Serving, 'child'>): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const [code] = (await ended) as [number | null]
  note('SIGTERM after that: exit code', code ?? 137, '', 0)
}

try {
  await attackOpenServer()
  await attackKeyedServer()
  await attackWorkers()
  await attackStart()
  await attackWithLargeBodies()
  terminal.endProgress()
  const failed = checks.filter(({ figure, bound }) => !(figure <= bound))
  if (values.json) terminal.json({ checks, statuses, failed: failed.length })
  else {
    const rows = checks.map(({ what, figure, unit, bound }) => [
      what,
      `${figure} ${unit}`.trim(),
      String(bound),
      figure <= bound ? 'ok' : 'FAILED',
    ])
    terminal.print(table([['attack', 'figure', 'at most', ''], ...rows]))
    terminal.print(`answers by status: ${JSON.stringify(statuses)}`)
    terminal.print(`${checks.length - failed.length} passed, ${failed.length} failed`)
  }
  process.exitCode = failed.length === 0 ? 0 : 1
} finally {
  for (const child of children) child.kill('SIGKILL')
  upstream.closeAllConnections()
  upstream.close()
  await rm(root, { recursive: true, force: true })
}
