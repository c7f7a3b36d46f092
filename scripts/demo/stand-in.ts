import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { createGunzip } from 'node:zlib'
import { yamlText } from '../../core/yaml-source.ts'
import { openTerminal } from '../terminal/terminal.ts'

/**
 * `npm run stand-in`: a provider on this machine for trying `weir collect` and `weir quickstart` without a key. Its models
 * `big-1` and `small-1` answer the prompts of data/sample as well as the sample's scores say; `judge-1` compares two answers, is
 * wrong on one in ten, and takes the first of two on one in ten. It writes the configuration and the prompts.
 */
const ROOT = join(import.meta.dirname, '../..')
const SAMPLE = join(ROOT, 'data/sample/outcomes.jsonl.gz')
const PRICES = {
  'big-1': { input: 5, output: 20 },
  'small-1': { input: 0.2, output: 0.8 },
  'judge-1': { input: 1, output: 4 },
}

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8099' },
    out: { type: 'string', default: 'stand-in' },
    prompts: { type: 'string', default: '1500' },
  },
})
const terminal = openTerminal()
const scores = new Map<string, Readonly<Record<string, number>>>()
const lines = createInterface({ input: createReadStream(SAMPLE).pipe(createGunzip()) })
for await (const line of lines) {
  const row = JSON.parse(line) as { prompt: unknown; scores: Record<string, number> }
  if (typeof row.prompt === 'string') scores.set(row.prompt, row.scores)
}

/** In [0, 1), the same for the same texts. */
const draw = (...texts: readonly string[]): number =>
  createHash('sha256').update(texts.join('\n')).digest().readUInt32LE(0) / 2 ** 32

interface Chat {
  readonly model: keyof typeof PRICES
  /** text of each message */
  readonly said: readonly string[]
}

/** What a body asks, or what is wrong with it. */
function chatOf(text: string): Chat | string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return 'expected JSON'
  }
  const { model, messages } = (body ?? {}) as { model?: unknown; messages?: unknown }
  const known = Object.keys(PRICES).find((name) => name === model)
  if (known === undefined) return `expected a model of ${Object.keys(PRICES).join(', ')}`
  if (!Array.isArray(messages)) return 'expected a list of messages'
  return { model: known as Chat['model'], said: messages.map(textOf) }
}

function textOf(message: unknown): string {
  const { content } = (message ?? {}) as { content?: unknown }
  if (!Array.isArray(content)) return typeof content === 'string' ? content : ''
  return content.map((part) => String((part as { text?: unknown } | null)?.text ?? '')).join('')
}

function answer({ model, said: texts }: Chat): string {
  const said = texts.at(-1) ?? ''
  if (model === 'judge-1') return verdict(said)
  const score = scores.get(said)?.[model] ?? 0.5
  const words = ' so'.repeat(Math.floor(60 * draw(model, said)))
  return `An answer of quality ${Math.round(10 * score)}:${words}`
}

function verdict(asked: string): string {
  const [first, second] = [...asked.matchAll(/An answer of quality (\d+)/g)].map(([, quality]) =>
    Number(quality),
  )
  const chance = draw('judge', asked)
  const better = chance < 0.1 ? 1 : Math.sign(first! - second!) * (chance < 0.2 ? -1 : 1)
  return JSON.stringify({ better: better > 0 ? '1' : better < 0 ? '2' : 'tie' })
}

const tokens = (text: string): number => Math.ceil(text.length / 4)

const server = createServer(async (request, response) => {
  const reply = (status: number, body: object): void => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  }
  const refuse = (status: number, message: string): void => reply(status, { error: { message } })
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const asked = `${request.method} ${request.url}`
  if (asked === 'GET /v1/models') {
    const data = Object.keys(PRICES).map((id) => ({ id, object: 'model' }))
    return reply(200, { object: 'list', data })
  }
  if (asked !== 'POST /v1/chat/completions') return refuse(404, `no such endpoint: ${asked}`)
  const chat = chatOf(Buffer.concat(parts).toString())
  if (typeof chat === 'string') return refuse(400, chat)
  const content = answer(chat)
  const message = { role: 'assistant', content }
  const [read, written] = [tokens(chat.said.join('')), tokens(content)]
  reply(200, {
    id: 'chatcmpl-stand-in',
    object: 'chat.completion',
    created: 0,
    model: chat.model,
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage: { prompt_tokens: read, completion_tokens: written, total_tokens: read + written },
  })
})
server.listen(Number(values.port), '127.0.0.1')
await once(server, 'listening').catch((error: Error) => {
  terminal.note(`${error.message}: give another port, npm run stand-in -- --port 8098`)
  process.exit(1)
})
const { port } = server.address() as AddressInfo
const models = Object.fromEntries(
  Object.entries(PRICES).map(([name, price]) => [
    name,
    { upstreams: [{ upstream: 'local' }], price, context: 16_000, output_tokens: 1000 },
  ]),
)
const upstreams = { local: { base_url: `http://127.0.0.1:${port}/v1` } }
await mkdir(values.out, { recursive: true })
await writeFile(join(values.out, 'weir.yaml'), yamlText({ gateway: { upstreams, models } }))
const rows = [...scores.keys()].slice(0, Number(values.prompts))
await writeFile(
  join(values.out, 'prompts.jsonl'),
  rows.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''),
)
terminal.print(
  `A provider without keys on http://127.0.0.1:${port}/v1: ${Object.keys(PRICES).join(', ')}`,
)
terminal.print(
  `In another terminal: npx weir quickstart ${values.out}/prompts.jsonl --models big-1,small-1 --judge judge-1 --config ${values.out}/weir.yaml --budget 20`,
)
