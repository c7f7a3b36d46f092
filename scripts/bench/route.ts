import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { count, openTerminal, table } from '../terminal/terminal.ts'
import { applyLoad, type LoadResult, onCore, SOURCE } from './load.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:route`: `weir serve` on one core, load from the other, against a bare fastify echo
 * with the same schemas. The two take turns, so that a noisy neighbour hits both; medians are compared.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    'memory-seconds': { type: 'string', default: '60' },
    connections: { type: 'string', default: '32' },
    bundle: { type: 'string' },
  },
})
const PROMPT_CHARACTERS = 500
/** Share of requests that may be refused before a run counts for nothing. */
const FAILED_LIMIT = 0.01
/** more than the score cache holds, so that every one is encoded */
const BODIES = 10_000

interface Server {
  readonly url: string
  readonly process: ChildProcess
  readonly pid: number
}

interface Round extends LoadResult {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-bench-'))
const servers: Server[] = []
try {
  const bundle = options.bundle ?? (await writeRouteBundle(root))
  const bodies = join(root, 'bodies.jsonl')
  const prompts = benchPrompts(PROMPT_CHARACTERS, 2000)
  const lines = Array.from({ length: BODIES }, (_, i) =>
    JSON.stringify({ prompt: `Request ${i}: ${prompts[i % prompts.length]}` }),
  )
  await writeFile(bodies, `${lines.join('\n')}\n`)
  const weirCommand = await buildCommand(root)
  const echo = await start([join(import.meta.dirname, 'echo-server.ts')])
  // all that can be switched on to watch it
  const weir = await start([
    ...[weirCommand, 'serve', bundle, '--port', '0', '--json', '--spans'],
    ...['--log', join(root, 'log'), '--lines', join(root, 'lines.log')],
  ])
  for (const server of [echo, weir]) await measure(server, bodies, 2)
  const rounds: { echo: Round[]; weir: Round[] } = { echo: [], weir: [] }
  const total = Number(options.rounds)
  for (let i = 0; i < total; i++) {
    terminal.onProgress({ stage: 'taking turns', done: i, total })
    rounds.echo.push(await measure(echo, bodies, Number(options.seconds)))
    rounds.weir.push(await measure(weir, bodies, Number(options.seconds)))
  }
  const growth = await memoryGrowth(weir, bodies, Number(options['memory-seconds']))
  report(rounds, growth, BODIES)
} finally {
  for (const server of servers) server.process.kill('SIGTERM')
  await rm(root, { recursive: true, force: true })
}

async function start(command: readonly string[]): Promise<Server> {
  const [program, ...rest] = onCore(0, [...SOURCE, ...command])
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${command[0]} ended with ${code}`)))
  })
  const { url, pid } = JSON.parse(first) as { url: string; pid: number }
  const server = { url, pid, process: child }
  servers.push(server)
  return server
}

async function measure(server: Server, bodies: string, seconds: number): Promise<Round> {
  const before = cpuSeconds(server.pid)
  const connections = Number(options.connections)
  const load = await applyLoad({ url: server.url, connections, seconds, bodies })
  // a machine busy with other things makes the server shed load now and then, as it should
  if (load.failed > load.requests * FAILED_LIMIT) {
    throw new Error(`${load.failed} of ${load.requests} requests to ${server.url} failed`)
  }
  return {
    ...load,
    perSecond: load.requests / load.seconds,
    cpuMicroseconds: ((cpuSeconds(server.pid) - before) / load.requests) * 1e6,
  }
}

/**
 * Megabytes that resident memory grew by under load for the given time. It goes up and down with the
 * collector, so the least of the second half is held against the least of the first.
 */
async function memoryGrowth(server: Server, bodies: string, seconds: number): Promise<number> {
  if (seconds === 0) return Number.NaN
  const floors = [Infinity, Infinity]
  const started = performance.now()
  const sampler = setInterval(() => {
    const half = performance.now() - started < seconds * 500 ? 0 : 1
    floors[half] = Math.min(floors[half]!, residentMegabytes(server.pid))
  }, 100)
  try {
    const step = Math.min(10, seconds)
    for (let done = 0; done < seconds; done += step) {
      terminal.onProgress({ stage: 'watching memory, seconds', done, total: seconds })
      await measure(server, bodies, step)
    }
  } finally {
    clearInterval(sampler)
  }
  return floors[1]! - floors[0]!
}

/** User and system time of a process and its children's threads, from /proc (100 ticks a second). */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function residentMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

function report(rounds: { echo: Round[]; weir: Round[] }, growth: number, bodies: number): void {
  const middle = (
    of: 'echo' | 'weir',
    field: 'perSecond' | 'cpuMicroseconds' | 'p50Ms' | 'p99Ms',
  ): number =>
    rounds[of].map((round) => round[field]).sort((a, b) => a - b)[rounds[of].length >> 1]!
  const figures = {
    route_vs_echo: middle('weir', 'perSecond') / middle('echo', 'perSecond'),
    p99_ms: middle('weir', 'p99Ms'),
    memory_growth_mb: growth,
    requests_per_second: middle('weir', 'perSecond'),
    cpu_us: middle('weir', 'cpuMicroseconds'),
    failed: rounds.weir.reduce((sum, round) => sum + round.failed, 0),
    echo_requests_per_second: middle('echo', 'perSecond'),
    echo_cpu_us: middle('echo', 'cpuMicroseconds'),
  }
  terminal.endProgress()
  if (options.json) {
    const connections = Number(options.connections)
    terminal.json({ figures, connections, prompts: bodies, rounds })
    return
  }
  const row = (of: 'echo' | 'weir', name: string): string[] => [
    name,
    count(Math.round(middle(of, 'perSecond'))),
    middle(of, 'cpuMicroseconds').toFixed(0),
    middle(of, 'p50Ms').toFixed(1),
    middle(of, 'p99Ms').toFixed(1),
  ]
  terminal.print(
    table([
      ['server', 'requests/s', 'CPU us/request', 'p50 ms', 'p99 ms'],
      row('echo', 'fastify echo'),
      row('weir', 'weir serve'),
    ]),
  )
  terminal.print(`weir serves ${(figures.route_vs_echo * 100).toFixed(0)}% of the echo's requests.`)
  terminal.print(
    `Memory grew by ${growth.toFixed(1)} MB in ${options['memory-seconds']} s under load.`,
  )
}
