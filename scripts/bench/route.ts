import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { count, openTerminal, table } from '../terminal/terminal.ts'
import { figureTable, middle, residentMegabytes } from './figures.ts'
import { loadServer, type Server, type ServerLoad, SOURCE, startServer } from './load.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:route`: `weir serve` on one core, load from the other, compared with a bare fastify echo
 * with the same schemas. The two alternate, so that other load on the machine affects both; medians are
 * compared.
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
/** Share of requests that may be refused before a run is discarded. */
const FAILED_LIMIT = 0.01
/** more than the score cache holds, so that every one is encoded */
const BODIES = 10_000

const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-bench-'))
const children: ChildProcess[] = []
try {
  const bundle = options.bundle ?? (await writeRouteBundle(root))
  const bodies = join(root, 'bodies.jsonl')
  const prompts = benchPrompts(PROMPT_CHARACTERS, 2000)
  const lines = Array.from({ length: BODIES }, (_, i) =>
    JSON.stringify({ prompt: `Request ${i}: ${prompts[i % prompts.length]}` }),
  )
  await writeFile(bodies, `${lines.join('\n')}\n`)
  const weirCommand = await buildCommand(root)
  const echo = await startServer(
    0,
    [...SOURCE, join(import.meta.dirname, 'echo-server.ts')],
    children,
  )
  // with all observers switched on
  const weir = await startServer(
    0,
    [
      ...SOURCE,
      ...[weirCommand, 'serve', bundle, '--port', '0', '--json', '--spans'],
      ...['--log', join(root, 'log'), '--lines', join(root, 'lines.log')],
    ],
    children,
  )
  for (const server of [echo, weir]) await measure(server, bodies, 2)
  const rounds: Record<'echo' | 'weir', ServerLoad[]> = { echo: [], weir: [] }
  const total = Number(options.rounds)
  for (let i = 0; i < total; i++) {
    terminal.onProgress({ stage: 'taking turns', done: i, total })
    rounds.echo.push(await measure(echo, bodies, Number(options.seconds)))
    rounds.weir.push(await measure(weir, bodies, Number(options.seconds)))
  }
  const growth = await memoryGrowth(weir, bodies, Number(options['memory-seconds']))
  report(rounds, growth, BODIES)
} finally {
  for (const child of children) child.kill('SIGTERM')
  await rm(root, { recursive: true, force: true })
}

async function measure(server: Server, bodies: string, seconds: number): Promise<ServerLoad> {
  const connections = Number(options.connections)
  const load = await loadServer(server, { connections, seconds, bodies })
  // if the machine is busy the server sheds load now and then, as intended
  if (load.failed > load.requests * FAILED_LIMIT) {
    throw new Error(`${load.failed} of ${load.requests} requests to ${server.url} failed`)
  }
  return load
}

/**
 * Megabytes that resident memory grew by under load for the given time. It varies with the garbage collector,
 * so the minimum of the second half is compared with the minimum of the first.
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

function report(
  rounds: Record<'echo' | 'weir', ServerLoad[]>,
  growth: number,
  bodies: number,
): void {
  const median = (
    of: 'echo' | 'weir',
    field: 'perSecond' | 'cpuMicroseconds' | 'p50Ms' | 'p99Ms',
  ): number => middle(rounds[of].map((round) => round[field]))
  const figures = {
    route_vs_echo: median('weir', 'perSecond') / median('echo', 'perSecond'),
    p99_ms: median('weir', 'p99Ms'),
    memory_growth_mb: growth,
    requests_per_second: median('weir', 'perSecond'),
    cpu_us: median('weir', 'cpuMicroseconds'),
    failed: rounds.weir.reduce((sum, round) => sum + round.failed, 0),
    echo_requests_per_second: median('echo', 'perSecond'),
    echo_cpu_us: median('echo', 'cpuMicroseconds'),
  }
  terminal.endProgress()
  if (options.json) {
    const connections = Number(options.connections)
    terminal.json({ figures, connections, prompts: bodies, rounds })
    return
  }
  const row = (of: 'echo' | 'weir', name: string): string[] => [
    name,
    count(Math.round(median(of, 'perSecond'))),
    median(of, 'cpuMicroseconds').toFixed(0),
    median(of, 'p50Ms').toFixed(1),
    median(of, 'p99Ms').toFixed(1),
  ]
  terminal.print(
    table([
      ['server', 'requests/s', 'CPU us/request', 'p50 ms', 'p99 ms'],
      row('echo', 'fastify echo'),
      row('weir', 'weir serve'),
    ]),
  )
  terminal.print(figureTable(figures))
}
