import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { count, openTerminal, table } from '../terminal.ts'
import { applyLoad, type LoadResult, onCore, SOURCE } from './load.ts'
import { installPortkey } from './proxy/portkey.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:proxy`: chats through `weir serve`, routed, metered and logged, through
 * `@portkey-ai/gateway`, and straight to the same local upstream. They take turns on one core; upstream
 * and load share the other. Then streams: what is added to the first token, and memory under 200 at once.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    streams: { type: 'string', default: '200' },
    waves: { type: 'string', default: '8' },
  },
})

interface Server {
  readonly url: string
  readonly pid: number
  readonly headers: readonly string[]
}

interface Round extends LoadResult {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

const PATH = '/v1/chat/completions'
const PROMPT_CHARACTERS = 500
const BODIES = 10_000
/** Share of requests that may be refused before a run counts for nothing. */
const FAILED_LIMIT = 0.05
const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-bench-'))
const children: ChildProcess[] = []
try {
  const portkeyServer = await installPortkey()
  const weirCommand = await buildCommand(root)
  const upstream = await start(1, [join(import.meta.dirname, 'proxy/upstream.ts')])
  const servers = {
    direct: upstream,
    weir: await startWeir(weirCommand, upstream.url),
    portkey: await startPortkey(portkeyServer, upstream.url),
  }
  const bodies = join(root, 'bodies.jsonl')
  await writeFile(bodies, chatBodies())
  const names = ['direct', 'weir', 'portkey'] as const
  const busy = Number(options.connections)
  for (const name of names) await measure(servers[name], bodies, busy, 2)
  const rounds = { direct: [], weir: [], portkey: [] } as Record<(typeof names)[number], Round[]>
  const alone = structuredClone(rounds)
  const total = Number(options.rounds)
  for (let i = 0; i < total; i++) {
    terminal.onProgress({ stage: 'taking turns', done: i, total })
    for (const name of names) {
      rounds[name].push(await measure(servers[name], bodies, busy, Number(options.seconds)))
      alone[name].push(await measure(servers[name], bodies, 1, 1))
    }
  }
  const streams = await measureStreams(servers.direct, servers.weir)
  report(rounds, alone, streams)
} finally {
  for (const child of children) child.kill('SIGTERM')
  await rm(root, { recursive: true, force: true })
}

async function startWeir(command: string, upstream: string): Promise<Server> {
  const model = { upstreams: [{ upstream: 'local' }] }
  const config = {
    routers: [{ path: await writeRouteBundle(root) }],
    gateway: {
      upstreams: { local: { base_url: `${upstream}/v1` } },
      models: {
        'big-1': { ...model, price: { input: 10, output: 30 } },
        'small-1': { ...model, price: { input: 1, output: 3 } },
      },
    },
  }
  const file = join(root, 'config.json')
  await writeFile(file, JSON.stringify(config))
  return start(0, [
    ...[command, 'serve', '--config', file, '--port', '0', '--json'],
    ...['--log', join(root, 'log')],
  ])
}

async function startPortkey(file: string, upstream: string): Promise<Server> {
  const port = await freePort()
  const [program, ...rest] = onCore(0, [
    process.execPath,
    ...[file, `--port=${port}`, '--headless'],
  ])
  const child = spawn(program!, rest, {
    stdio: 'ignore',
    env: { ...process.env, NODE_ENV: 'production' },
  })
  children.push(child)
  const url = `http://127.0.0.1:${port}`
  for (let i = 0; i < 100; i++) {
    if (await fetch(url).catch(() => undefined)) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const headers = [
    'authorization: Bearer none',
    'x-portkey-provider: openai',
    `x-portkey-custom-host: ${upstream}/v1`,
  ]
  return { url, pid: child.pid!, headers }
}

async function start(core: number, command: readonly string[]): Promise<Server> {
  const [program, ...rest] = onCore(core, [...SOURCE, ...command])
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${command[0]} ended with ${code}`)))
  })
  return { ...(JSON.parse(first) as { url: string; pid: number }), headers: [] }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The model is a router for weir; the others pass it on. */
function chatBodies(): string {
  const prompts = benchPrompts(PROMPT_CHARACTERS, 2000)
  return Array.from({ length: BODIES }, (_, i) => {
    const content = `Request ${i}: ${prompts[i % prompts.length]}`
    return `${JSON.stringify({ model: 'weir/default', messages: [{ role: 'user', content }] })}\n`
  }).join('')
}

async function measure(
  { url, pid, headers }: Server,
  bodies: string,
  connections: number,
  seconds: number,
): Promise<Round> {
  const before = cpuSeconds(pid)
  const load = await applyLoad({ url, connections, seconds, bodies, path: PATH, headers })
  if (load.failed > load.requests * FAILED_LIMIT) {
    throw new Error(`${load.failed} of ${load.requests} requests to ${url}${PATH} failed`)
  }
  return {
    ...load,
    perSecond: load.requests / load.seconds,
    cpuMicroseconds: ((cpuSeconds(pid) - before) / load.requests) * 1e6,
  }
}

/** User and system time of a process and its threads, from /proc (100 ticks a second). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

interface Streams {
  readonly addedFirstTokenMs: number
  readonly broken: number
  readonly growthMB: number
}

/** First tokens with ten streams under way at a time; memory after waves of many, over that of the second wave. */
async function measureStreams(direct: Server, weir: Server): Promise<Streams> {
  const added: number[] = []
  for (let i = 0; i < Number(options.rounds); i++) {
    const through = await runStreams(weir, 20)
    added.push(through.p50Ms - (await runStreams(direct, 20)).p50Ms)
  }
  const many = Number(options.streams)
  const waves = Number(options.waves)
  let whole = 0
  let early = 0
  for (let wave = 1; wave <= waves; wave++) {
    terminal.onProgress({ stage: `waves of ${many} streams`, done: wave - 1, total: waves })
    whole += (await runStreams(weir, many)).whole
    if (wave === 2) early = residentMegabytes(weir.pid)
  }
  return {
    addedFirstTokenMs: added.sort((a, b) => a - b)[added.length >> 1]!,
    broken: waves * many - whole,
    growthMB: residentMegabytes(weir.pid) - early,
  }
}

async function runStreams(
  { url }: Server,
  streams: number,
): Promise<{ whole: number; p50Ms: number }> {
  const content = 'Prove that the square root of 2 is irrational.'
  const body = { model: 'weir/default', stream: true, messages: [{ role: 'user', content }] }
  const script = join(import.meta.dirname, 'proxy/streams.ts')
  const [program, ...rest] = onCore(1, [...SOURCE, script, url, String(streams)])
  const { stdout } = await promisify(execFile)(program!, [...rest, JSON.stringify(body)])
  return JSON.parse(stdout) as { whole: number; p50Ms: number }
}

function residentMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

type Rounds = Record<'direct' | 'weir' | 'portkey', Round[]>

function report(rounds: Rounds, alone: Rounds, streams: Streams): void {
  const middle = (from: Rounds, of: keyof Rounds, field: keyof Round): number =>
    from[of].map((round) => round[field]).sort((a, b) => a - b)[from[of].length >> 1]!
  const added = (from: Rounds, of: keyof Rounds, field: keyof Round): number =>
    middle(from, of, field) - middle(from, 'direct', field)
  const figures = {
    proxy_vs_portkey: middle(rounds, 'weir', 'perSecond') / middle(rounds, 'portkey', 'perSecond'),
    requests_per_second: middle(rounds, 'weir', 'perSecond'),
    portkey_requests_per_second: middle(rounds, 'portkey', 'perSecond'),
    /** processor time does not suffer from what else runs on the machine */
    proxy_cpu_vs_portkey:
      middle(rounds, 'portkey', 'cpuMicroseconds') / middle(rounds, 'weir', 'cpuMicroseconds'),
    cpu_us: middle(rounds, 'weir', 'cpuMicroseconds'),
    portkey_cpu_us: middle(rounds, 'portkey', 'cpuMicroseconds'),
    /** at 32 connections, where requests wait for each other */
    added_p50_ms: added(rounds, 'weir', 'p50Ms'),
    added_p99_ms: added(rounds, 'weir', 'p99Ms'),
    /** one request at a time */
    added_p50_alone_ms: added(alone, 'weir', 'p50Ms'),
    portkey_added_p50_ms: added(rounds, 'portkey', 'p50Ms'),
    portkey_added_p50_alone_ms: added(alone, 'portkey', 'p50Ms'),
    added_first_token_ms: streams.addedFirstTokenMs,
    streams_broken: streams.broken,
    stream_memory_growth_mb: streams.growthMB,
  }
  terminal.endProgress()
  if (options.json) {
    terminal.json({ figures, connections: Number(options.connections), rounds, alone })
    return
  }
  const row = (of: keyof Rounds, name: string): string[] => [
    name,
    count(Math.round(middle(rounds, of, 'perSecond'))),
    middle(rounds, of, 'cpuMicroseconds').toFixed(0),
    middle(rounds, of, 'p50Ms').toFixed(1),
    middle(rounds, of, 'p99Ms').toFixed(1),
    middle(alone, of, 'p50Ms').toFixed(2),
  ]
  terminal.print(
    table([
      ['', 'requests/s', 'CPU us', 'p50 ms', 'p99 ms', 'p50 ms alone'],
      row('direct', 'the upstream itself'),
      row('weir', 'weir serve'),
      row('portkey', '@portkey-ai/gateway'),
    ]),
  )
  terminal.print(
    `First token ${streams.addedFirstTokenMs.toFixed(2)} ms later; ${streams.broken} streams broken; memory grew by ${streams.growthMB.toFixed(1)} MB over ${options.waves} waves of ${options.streams}.`,
  )
}
