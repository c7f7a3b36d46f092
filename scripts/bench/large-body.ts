import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runServer } from '../../serving/server/run-server.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { figureTable, middle } from './figures.ts'
import { SOURCE, startServer } from './load.ts'
import { writeRouteBundle } from './route-bundle.ts'

/**
 * `tsx scripts/bench/large-body.ts`: how long `/health` takes at most while a chat with an image of 20 MB passes through
 * the gateway, and how long one turn of the event loop takes, in processor time of the main thread, as other
 * processes add to the time by the clock. The least and the median of all chats.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    chats: { type: 'string', default: '10' },
    megabytes: { type: 'string', default: '20' },
    text: { type: 'string', default: 'What is in this image? é' },
  },
})

/** In a process of its own: sends one chat for each line that it reads, and then prints a line. */
const CLIENT = `
const [url, megabytes, text] = process.argv.slice(1)
const image = 'data:image/png;base64,' + 'iVBORw0K'.repeat(megabytes * 131072)
const content = [{ type: 'text', text }, { type: 'image_url', image_url: { url: image } }]
const body = JSON.stringify({ model: 'big-1', messages: [{ role: 'user', content }] })
const headers = { 'content-type': 'application/json' }
process.stdin.on('data', async () => {
  const answer = await fetch(url + '/v1/chat/completions', { method: 'POST', headers, body })
  await answer.text()
  process.stdout.write(answer.status + '\\n')
})`

/** In a process of its own: asks for `/health` all the time; prints the slowest answer since the last line that it read. */
const PINGER = `
const [url] = process.argv.slice(1)
let slowest = 0
process.stdin.on('data', () => { process.stdout.write(slowest + '\\n'); slowest = 0 })
for (;;) {
  const started = performance.now()
  await (await fetch(url + '/health')).arrayBuffer()
  slowest = Math.max(slowest, performance.now() - started)
  await new Promise((resume) => setTimeout(resume, 1))
}`

const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-large-'))
const children: ChildProcess[] = []
try {
  const command = [...SOURCE, join(import.meta.dirname, 'proxy/upstream.ts')]
  const upstream = await startServer(1, command, children)
  const model = { upstreams: [{ upstream: 'local' }], price: { input: 1, output: 3 } }
  const upstreams = { local: { base_url: `${upstream.url}/v1` } }
  const server = await runServer(
    {
      routers: [{ path: await writeRouteBundle(root) }],
      max_lag_ms: 60_000,
      gateway: { upstreams, models: { 'big-1': model, 'small-1': model } },
    },
    {
      host: '127.0.0.1',
      port: 0,
      onBug: (error) => terminal.note(String(error)),
      onWarning: (message) => terminal.note(message),
    },
  )
  try {
    const { turns, health } = await chatsAt(server.url)
    const figures = {
      health_least_ms: Math.min(...health),
      health_median_ms: middle(health),
      turn_least_ms: Math.min(...turns),
      turn_median_ms: middle(turns),
    }
    if (values.json) terminal.json({ figures })
    else terminal.print(figureTable(figures))
  } finally {
    await server.close()
  }
} finally {
  for (const child of children) child.kill()
  await rm(root, { recursive: true })
}

interface Chats {
  /** the longest turn of each chat, in milliseconds of the main thread's processor time */
  readonly turns: number[]
  /** the slowest answer of `/health` in each, in milliseconds */
  readonly health: number[]
}

/** The first two chats warm up and are left out. */
async function chatsAt(url: string): Promise<Chats> {
  const started = (script: string, ...args: string[]) => {
    const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...args], { stdio })
    children.push(child)
    return child
  }
  const client = started(CLIENT, url, values.megabytes, values.text)
  const pinger = started(PINGER, url)
  const slowest = async (): Promise<number> => {
    pinger.stdin.write('\n')
    return Number(String(((await once(pinger.stdout, 'data')) as [Buffer])[0]))
  }
  const turns: number[] = []
  const health: number[] = []
  for (let chat = 0; chat < Number(values.chats) + 2; chat++) {
    let longest = 0
    let running = true
    await slowest()
    let last = mainThreadMs()
    const look = (): void => {
      const now = mainThreadMs()
      longest = Math.max(longest, now - last)
      last = now
      if (running) setImmediate(look)
    }
    setImmediate(look)
    client.stdin.write('\n')
    const [status] = (await once(client.stdout, 'data')) as [Buffer]
    running = false
    if (String(status).trim() !== '200') throw new Error(`status ${status}`)
    const waited = await slowest()
    if (chat < 2) continue
    turns.push(longest)
    health.push(waited)
  }
  pinger.kill()
  client.kill()
  return { turns, health }
}

/** Processor time of this process's main thread, in milliseconds, from /proc. */
function mainThreadMs(): number {
  const file = `/proc/self/task/${process.pid}/schedstat`
  return Number(readFileSync(file, 'utf8').split(' ')[0]) / 1e6
}
