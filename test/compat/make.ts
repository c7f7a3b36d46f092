import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'

/**
 * Writes one of each thing that Weir keeps on disk, made by a built checkout of a release:
 *
 *     npx tsx test/compat/make.ts CHECKOUT test/compat/VERSION
 *
 * `compat.process.ts` then holds every later version against what that release said of them.
 */
const [checkout, target] = process.argv.slice(2)
if (!checkout || !target) throw new Error('usage: make.ts CHECKOUT FOLDER')
const folder = resolve(target)
const command = [resolve(checkout, 'dist/scripts/weir.js')]
const weir = async (...args: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [...command, ...args], { cwd: folder })).stdout

const ROWS = 200
const PORT = 18_999

await rm(folder, { recursive: true, force: true })
await mkdir(folder, { recursive: true })
const sample = gunzipSync(await readFile(resolve(checkout, 'data/sample/outcomes.jsonl.gz')))
const rows = sample.toString('utf8').split('\n').slice(0, ROWS)
await writeFile(join(folder, 'rows.jsonl'), `${rows.join('\n')}\n`)
const prompts = rows.slice(0, 40).map((row) => (JSON.parse(row) as { prompt: string }).prompt)

await writeFile(
  join(folder, 'train.yaml'),
  `strong: big-1
weak: small-1
router: classifier
encoder: lexical
name: demo
seed: 7
split: 0.65,0.1,0.1,0.15
`,
)
await weir('train', 'rows.jsonl', '--config', 'train.yaml', '--out', 'trained')
await weir('data', 'ingest', 'rows.jsonl', '--out', 'dataset')

await writeFile(
  join(folder, 'policy.yaml'),
  `version: 1
models: { big-1: {}, small-1: {} }
routes:
  code: { models: [big-1], parameters: { temperature: 0 } }
rules:
  - { name: code, when: { keywords: [python, typescript] }, route: code }
budgets:
  - { name: big-total, usd: 0.5, per: total, of: { model: big-1 }, then: downgrade }
learned: { threshold: 0.5 }
default: small-1
`,
)
await writeFile(
  join(folder, 'serve.yaml'),
  `routers: [{ path: trained/demo }]
aliases: { auto: demo }
keys:
  # sha256 of "secret"
  - { name: team, sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b }
alarms: {}
log: { folder: log, text: full, metadata: true }
gateway:
  upstreams: { local: { base_url: "http://127.0.0.1:${PORT}/v1" } }
  models:
    big-1:
      upstreams: [{ upstream: local }]
      price: { input: 1.25, output: 10 }
      context: 400000
      output_tokens: 1000
    small-1:
      upstreams: [{ upstream: local }]
      price: { input: 0.1, output: 0.4 }
      context: 40000
      output_tokens: 1000
  budgets:
    - { name: total, usd: 2, per: total, then: stop }
  policy: policy.yaml
`,
)

const upstream = createServer((request, response) => {
  let text = ''
  request.on('data', (chunk) => {
    text += chunk
  })
  request.on('end', () => {
    const { model } = JSON.parse(text) as { model: string }
    response.setHeader('content-type', 'application/json')
    const message = { role: 'assistant', content: 'an answer' }
    const usage = { prompt_tokens: 50, completion_tokens: 100, total_tokens: 150 }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    response.end(JSON.stringify({ id: 'x', object: 'chat.completion', model, choices, usage }))
  })
})
upstream.listen(PORT, '127.0.0.1')
await once(upstream, 'listening')
const server = spawn(
  process.execPath,
  [...command, 'serve', '--config', 'serve.yaml', '--port', '0', '--json'],
  { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
)
server.once('exit', (code) => {
  if (code !== 0) process.exit(1)
})
const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string]
const { url } = JSON.parse(line) as { url: string }
const post = async (path: string, body: unknown): Promise<unknown> => {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}
const winRates: Record<string, number> = {}
for (const prompt of prompts) {
  const decision = (await post('/route', { prompt })) as { id: string; win_rate: number }
  winRates[prompt] = decision.win_rate
  await post('/feedback', { decision_id: decision.id, score: 1, source: 'user' })
}
for (const content of prompts.slice(0, 10)) {
  const weirHints = { metadata: { team: 'a' } }
  await post('/v1/chat/completions', {
    model: 'auto',
    messages: [{ role: 'user', content }],
    max_tokens: 200,
    weir: weirHints,
  })
}
server.kill('SIGTERM')
await once(server, 'exit')
upstream.close()

const decisionLog = (await readdir(join(folder, 'log'))).find((name) => name.endsWith('.jsonl'))
if (!decisionLog) throw new Error('no decision log was written')
const expected = {
  win_rates: winRates,
  spend: JSON.parse(await weir('spend', 'log', '--by', 'model', '--json')),
  replay: JSON.parse(await weir('replay', 'log', '--threshold', '0.6', '--json')),
  inspect: JSON.parse(await weir('data', 'inspect', 'dataset', '--json')),
}
await writeFile(join(folder, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`)
