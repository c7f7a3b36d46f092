import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { openTerminal } from '../terminal/terminal.ts'
import { cpuSeconds, figureTable, middle } from './figures.ts'
import { buildCommand } from './weir-build.ts'

/**
 * `npm run bench:stores -- --postgres postgres://... --redis redis://...`: what a chat with a budget and a rate costs
 * more when both are kept in the stores than when the server keeps them itself. The two servers take turns; requests
 * come one at a time, and the upstream is this process. Each server answers `--warm-up` chats before, until most of
 * what runs is compiled.
 */
const { values: options } = parseArgs({
  options: {
    postgres: { type: 'string' },
    redis: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    requests: { type: 'string', default: '200' },
    'warm-up': { type: 'string', default: '1500' },
    json: { type: 'boolean', default: false },
  },
})
const { postgres, redis } = options
if (postgres === undefined || redis === undefined) {
  throw new Error('expected --postgres postgres://... and --redis redis://... of idle stores')
}

interface Contender {
  readonly url: string
  readonly pid: number
  readonly times: number[]
  cpu: number
}

const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-stores-'))
const children: ChildProcess[] = []
const answer = JSON.stringify({
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
})
const upstream = createServer((request, response) => {
  request.resume()
  request.once('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end(answer)
  })
})
try {
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const command = await buildCommand(root)
  const own = await start(command, 'own', undefined)
  const shared = await start(command, 'shared', { stores: [postgres, redis], replicas: 2 })
  const rounds = Number(options.rounds)
  for (const one of [own, shared]) {
    await take(one, Number(options['warm-up']))
    Object.assign(one, { times: [], cpu: 0 })
  }
  for (let round = 1; round <= rounds; round++) {
    for (const contender of round % 2 ? [own, shared] : [shared, own]) {
      await take(contender, Number(options.requests))
    }
    terminal.onProgress({ stage: 'taking turns', done: round, total: rounds })
  }
  terminal.endProgress()
  const each = (contender: Contender) => ({
    p50: middle(contender.times),
    cpu: (contender.cpu / contender.times.length) * 1000,
  })
  const [mine, theirs] = [each(own), each(shared)]
  const figures = {
    own_p50_ms: mine.p50,
    stores_p50_ms: theirs.p50,
    added_p50_ms: theirs.p50 - mine.p50,
    own_cpu_ms: mine.cpu,
    stores_cpu_ms: theirs.cpu,
    added_cpu_share: theirs.cpu / mine.cpu - 1,
  }
  if (options.json) terminal.json({ figures })
  else terminal.print(figureTable(figures))
} finally {
  for (const child of children) child.kill('SIGKILL')
  upstream.close()
  upstream.closeAllConnections()
  await rm(root, { recursive: true, force: true })
}

async function start(command: string, name: string, state: object | undefined): Promise<Contender> {
  const { port } = upstream.address() as AddressInfo
  const model = {
    upstreams: [{ upstream: 'one' }],
    price: { input: 1, output: 2 },
    context: 8000,
    output_tokens: 1000,
  }
  const config = {
    routers: [],
    ...(state && { state }),
    rate_per_minute: 1_000_000,
    log: { folder: join(root, name) },
    gateway: {
      upstreams: { one: { base_url: `http://127.0.0.1:${port}/v1` } },
      models: { big: model },
      // biome-ignore lint/suspicious/noThenProperty: a setting's name, on no object that anyone awaits
      budgets: [{ name: `bench-${name}`, usd: 1000, per: 'day', then: 'stop' }],
    },
  }
  const path = join(root, `${name}.json`)
  await writeFile(path, JSON.stringify(config))
  const child = spawn(
    process.execPath,
    [command, 'serve', '--config', path, '--port', '0', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  children.push(child)
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  const { url } = JSON.parse(line) as { url: string }
  return { url, pid: child.pid!, times: [], cpu: 0 }
}

async function take(contender: Contender, requests: number): Promise<void> {
  const { url, pid, times } = contender
  const body = JSON.stringify({
    model: 'big',
    messages: [{ role: 'user', content: 'why is the sky blue? '.repeat(20) }],
    max_tokens: 50,
  })
  const before = cpuSeconds(pid)
  for (let i = 0; i < requests; i++) {
    const began = performance.now()
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    await response.text()
    if (response.status !== 200) throw new Error(`a chat was answered with ${response.status}`)
    times.push(performance.now() - began)
  }
  contender.cpu += cpuSeconds(pid) - before
}
