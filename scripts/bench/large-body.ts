import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runServer } from '../../serving/server/run-server.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { SOURCE, startServer } from './load.ts'
import { writeRouteBundle } from './route-bundle.ts'

/**
 * `tsx scripts/bench/large-body.ts`: how long one turn of the event loop takes while chats with an image of 20 MB
 * pass through the gateway, which is how long `/health` may have to wait. Processor time is counted, as other
 * processes add to the time by the clock; the longest turn of each chat, the least and the median of all chats.
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
    const longest = await turnsOf(server.url)
    const ordered = longest.toSorted((a, b) => a - b)
    const figures = {
      least_ms: ordered[0]!,
      median_ms: ordered[Math.floor(ordered.length / 2)]!,
    }
    if (values.json) terminal.json({ figures })
    else {
      terminal.print(
        `longest turn of the event loop in a chat of ${values.megabytes} MB: ${figures.least_ms.toFixed(1)} ms of processor time (median ${figures.median_ms.toFixed(1)} ms)`,
      )
    }
  } finally {
    await server.close()
  }
} finally {
  for (const child of children) child.kill()
  await rm(root, { recursive: true })
}

/** The longest turn of each chat, in milliseconds of processor time; the first two warm up and are left out. */
async function turnsOf(url: string): Promise<number[]> {
  const args = ['-e', CLIENT, url, values.megabytes, values.text]
  const client = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(client)
  const found: number[] = []
  for (let chat = 0; chat < Number(values.chats) + 2; chat++) {
    let longest = 0
    let running = true
    let last = process.cpuUsage()
    const look = (): void => {
      const now = process.cpuUsage()
      longest = Math.max(longest, now.user + now.system - last.user - last.system)
      last = now
      if (running) setImmediate(look)
    }
    setImmediate(look)
    client.stdin.write('\n')
    const [status] = (await once(client.stdout, 'data')) as [Buffer]
    running = false
    if (String(status).trim() !== '200') throw new Error(`status ${status}`)
    if (chat > 1) found.push(longest / 1000)
  }
  return found
}
