import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { count, openTerminal, table } from '../terminal/terminal.ts'
import { figureTable, middle } from './figures.ts'
import { measureApis } from './proxy/apis.ts'
import { type Contenders, NAMES, type Name, startContenders } from './proxy/contenders.ts'
import { failures, measure, type Round } from './proxy/round.ts'
import { measureStreams, type StreamResult } from './proxy/stream-runs.ts'
import { benchPrompts } from './route-bundle.ts'

/**
 * `npm run bench:proxy`: chats through `weir serve`, routed, metered and logged; through
 * `@portkey-ai/gateway`; through the smallest proxy of fastify and undici; and directly to the same local
 * upstream. They alternate on one core; upstream and load share the other. Then streams: the time added to
 * the first token, and memory with 200 at once. `--api` compares requests of other APIs with chats instead.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    warm: { type: 'string', default: '20' },
    streams: { type: 'string', default: '200' },
    waves: { type: 'string', default: '8' },
    api: { type: 'boolean', default: false },
  },
})

const PROMPT_CHARACTERS = 500
const BODIES = 10_000
const LABELS: Record<Name, string> = {
  direct: 'the upstream itself',
  bare: 'bare fastify + undici',
  weir: 'weir serve',
  portkey: '@portkey-ai/gateway',
}
/** Share of a peer's requests that may fail before a run is discarded. */
const FAILED_LIMIT = 0.05

type Rounds = Record<Name, Round[]>
const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-bench-'))
let contenders: Contenders | undefined
try {
  if (options.api) await compareApis()
  else await compareProxies()
} finally {
  contenders?.close()
  await rm(root, { recursive: true, force: true })
}

/** Requests of other APIs, routed, against routed chats: what they cost of the processor. */
async function compareApis(): Promise<void> {
  const { rounds: total, seconds, connections } = options
  const costs = await measureApis(root, {
    prompts: benchPrompts(PROMPT_CHARACTERS, 2000),
    rounds: Number(total),
    seconds: Number(seconds),
    connections: Number(connections),
    onRound: (done, of) => terminal.onProgress({ stage: 'taking turns', done, total: of }),
  })
  terminal.endProgress()
  const chat = costs.get('chat')!
  const figures = Object.fromEntries(
    [...costs].map(([name, us]) => [`${name}_cpu_vs_chat`, us / chat]),
  )
  if (options.json) {
    terminal.json({ figures, cpu_us: Object.fromEntries(costs) })
    return
  }
  const rows = [...costs].map(([name, us]) => [name, us.toFixed(0), (us / chat).toFixed(2)])
  terminal.print(table([['', 'CPU us', 'of a chat'], ...rows]))
}

async function compareProxies(): Promise<void> {
  contenders = await startContenders(root)
  const bodies = join(root, 'bodies.jsonl')
  await writeFile(bodies, chatBodies())
  const { rounds, alone } = await takeTurns(contenders, bodies)
  const waves = Number(options.waves)
  const many = Number(options.streams)
  const streams = await measureStreams(contenders, {
    rounds: Number(options.rounds),
    many,
    waves,
    onWave: (wave) =>
      terminal.onProgress({ stage: `waves of ${many} streams`, done: wave - 1, total: waves }),
  })
  report(rounds, alone, streams)
}

/** The model is a router for weir; the others pass it on. */
function chatBodies(): string {
  const prompts = benchPrompts(PROMPT_CHARACTERS, 2000)
  return Array.from({ length: BODIES }, (_, i) => {
    const content = `Request ${i}: ${prompts[i % prompts.length]}`
    return `${JSON.stringify({ model: 'weir/default', messages: [{ role: 'user', content }] })}\n`
  }).join('')
}

/**
 * All connections at once, and one request at a time. Counting starts once each server is warm: what a request costs
 * falls until V8 has compiled all that serves it, in weir for some 25,000 requests.
 */
async function takeTurns(
  servers: Contenders,
  bodies: string,
): Promise<{ rounds: Rounds; alone: Rounds }> {
  const connections = Number(options.connections)
  const seconds = Number(options.seconds)
  const rounds: Rounds = { direct: [], bare: [], weir: [], portkey: [] }
  const alone = structuredClone(rounds)
  const warm = Number(options.warm)
  for (const name of NAMES) {
    terminal.onProgress({ stage: `warming up ${name}`, done: 0 })
    await measure(servers[name], { bodies, connections, seconds: warm })
  }
  const total = Number(options.rounds)
  for (let i = 0; i < total; i++) {
    terminal.onProgress({ stage: 'taking turns', done: i, total })
    for (const name of NAMES) {
      const round = await measure(servers[name], { bodies, connections, seconds })
      assertServed(name, round)
      rounds[name].push(round)
      alone[name].push(await measure(servers[name], { bodies, connections: 1, seconds: 1 }))
    }
  }
  return { rounds, alone }
}

/** Ours may shed load if the machine is busy for half a second, and must not fail otherwise. */
function assertServed(name: Name, round: Round): void {
  const allowed = name === 'weir' ? (round.codes.overloaded ?? 0) : round.requests * FAILED_LIMIT
  if (round.failed <= allowed) return
  throw new Error(
    `${LABELS[name]}: of ${round.requests} requests there failed ${failures([round])}`,
  )
}

function report(rounds: Rounds, alone: Rounds, streams: StreamResult): void {
  const of = (
    from: Rounds,
    name: Name,
    field: 'perSecond' | 'cpuMicroseconds' | 'p50Ms' | 'p99Ms',
  ) => middle(from[name].map((round) => round[field]))
  const added = (from: Rounds, name: Name, field: 'p50Ms' | 'p99Ms'): number =>
    of(from, name, field) - of(from, 'direct', field)
  const faster = (than: Name): number =>
    of(rounds, 'weir', 'perSecond') / of(rounds, than, 'perSecond')
  const cheaper = (than: Name): number =>
    of(rounds, than, 'cpuMicroseconds') / of(rounds, 'weir', 'cpuMicroseconds')
  const figures = {
    proxy_vs_portkey: faster('portkey'),
    proxy_vs_bare: faster('bare'),
    /** at 32 connections, where requests wait for each other */
    added_p50_ms: added(rounds, 'weir', 'p50Ms'),
    added_p99_ms: added(rounds, 'weir', 'p99Ms'),
    first_token_added_ms: streams.addedMs.weir,
    streams_memory_mb: streams.growthMB,
    streams_broken: streams.broken,
    failed: rounds.weir.reduce((sum, round) => sum + round.failed, 0),
    /** processor time is not affected by other load on the machine */
    proxy_cpu_vs_portkey: cheaper('portkey'),
    proxy_cpu_vs_bare: cheaper('bare'),
    cpu_us: of(rounds, 'weir', 'cpuMicroseconds'),
    requests_per_second: of(rounds, 'weir', 'perSecond'),
    /** one request at a time */
    added_p50_alone_ms: added(alone, 'weir', 'p50Ms'),
    portkey_added_p50_ms: added(rounds, 'portkey', 'p50Ms'),
    portkey_added_p50_alone_ms: added(alone, 'portkey', 'p50Ms'),
  }
  terminal.endProgress()
  if (options.json) {
    terminal.json({ figures, connections: Number(options.connections), rounds, alone, streams })
    return
  }
  const rows = NAMES.map((name) => [
    LABELS[name],
    count(Math.round(of(rounds, name, 'perSecond'))),
    of(rounds, name, 'cpuMicroseconds').toFixed(0),
    of(rounds, name, 'p50Ms').toFixed(1),
    of(rounds, name, 'p99Ms').toFixed(1),
    of(alone, name, 'p50Ms').toFixed(2),
    failures(rounds[name]),
  ])
  const head = ['', 'requests/s', 'CPU us', 'p50 ms', 'p99 ms', 'p50 ms alone', 'failed']
  terminal.print(table([head, ...rows]))
  terminal.print(
    `First token ${streams.addedMs.weir.toFixed(2)} ms later (bare ${streams.addedMs.bare.toFixed(2)}); ${streams.broken} streams broken${streams.broken > 0 ? ` (${JSON.stringify(streams.how)})` : ''}; memory grew by ${streams.growthMB.toFixed(1)} MB over ${options.waves} waves of ${options.streams}.`,
  )
  terminal.print(figureTable(figures))
}
