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
 * processes add to the time by the clock. The least and the median of all chats. `--kind` sends another body of that size
 * (`text`, `messages`, `numbers`, `misnamed`: an image as chat bodies have it), `--api` another API's (`messages`, `responses`, `count`).
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    chats: { type: 'string', default: '10' },
    megabytes: { type: 'string', default: '20' },
    text: { type: 'string', default: 'What is in this image? é' },
    kind: { type: 'string', default: 'image' },
    api: { type: 'string', default: 'chat' },
  },
})

/** In a process of its own: sends one chat for each line that it reads, and then prints a line. */
const CLIENT = `
const [url, megabytes, text, kind, api] = process.argv.slice(1)
const filled = (piece, parts = 1) => piece.repeat(megabytes * 1048576 / piece.length / parts)
const data = kind === 'image' || kind === 'misnamed' ? filled('iVBORw0K') : ''
const image = 'data:image/png;base64,' + data
const source = { type: 'base64', media_type: 'image/png', data }
const asChat = [{ type: 'text', text }, { type: 'image_url', image_url: { url: image } }]
const images = {
  chat: asChat,
  messages: [{ type: 'text', text }, { type: 'image', source }],
  responses: [{ type: 'input_text', text }, { type: 'input_image', image_url: image }],
}
images.count = images.messages
const words = 'The quick brown fox jumps over the lazy dog. '
const said = (content, i = 0) => ({ role: i % 2 ? 'assistant' : 'user', content })
const messages = {
  image: () => [said(images[api])],
  misnamed: () => [said(asChat)],
  text: () => [said(filled(words))],
  messages: () => Array.from({ length: 9001 }, (_, i) => said(filled(words, 9001), i)),
  numbers: () => [said(filled(words).slice(2e6))],
}[kind]()
const more = kind === 'numbers' ? { extra: Array.from({ length: 390000 }, () => 1) } : {}
const field = api === 'responses' ? 'input' : 'messages'
const limit = api === 'chat' || api === 'responses' ? {} : { max_tokens: 10 }
const body = JSON.stringify({ model: 'big-1', [field]: messages, ...limit, ...more })
const paths = { chat: 'chat/completions', responses: 'responses', messages: 'messages', count: 'messages/count_tokens' }
const headers = { 'content-type': 'application/json' }
process.stdin.on('data', async () => {
  const answer = await fetch(url + '/v1/' + paths[api], { method: 'POST', headers, body })
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
  const client = started(CLIENT, url, values.megabytes, values.text, values.kind, values.api)
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
    const refused = values.kind === 'misnamed' ? '400' : '200'
    if (String(status).trim() !== (values.api === 'count' ? '200' : refused))
      throw new Error(`status ${status}`)
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
