import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import type { Decision } from '../../models/decision/decision.ts'
import { score, table } from '../terminal/terminal.ts'
import { buildNeeded } from './build.ts'
import { startServer } from './server.ts'

/** `npm run demo`: every step from the shipped log to `POST /route`, with the commands a user would type. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WEIR = join(ROOT, 'dist/scripts/weir.js')
const LOG = 'data/sample/outcomes.jsonl.gz'
const PAIR = ['--strong', 'big-1', '--weak', 'small-1']
/** The prices that the sample's costs were made with. */
const PRICES = ['--price', 'big-1=5/20', '--price', 'small-1=0.2/0.8']

/** None of these is in the sample. */
const PROMPTS = [
  'What is the capital of Portugal?',
  'Thanks for your help yesterday! Any idea for a rainy Sunday in Ghent?',
  'Translate into Italian: "The museum opens at nine."',
  'Write a Python function that reverses a list.',
  'Prove that the sum of the first n odd cubes is n^2 (2n^2 - 1), then find all n for which it is divisible by 17.',
  'Write a Rust class that implements a lock-free concurrent queue, is safe under concurrent writers and is proven free of deadlock.',
  'What is 58213 * 40977 * 61158 / 3391?',
  'Two worker threads deadlock under load: pthread_mutex_lock(&pool->lock) is held across a callback. Memory ordering?',
]

const values = flags()
const BUNDLE = join(values.out, 'demo')
const started = Date.now()

try {
  if (buildNeeded(ROOT)) await run('npm', ['run', '--silent', 'build'], 'npm run build')
  await weir('train', LOG, ...PAIR, ...PRICES, '--out', values.out, '--name', 'demo')
  const model = join(BUNDLE, 'current/router.onnx')
  say(`\nExported to ONNX: ${model}, ${Math.ceil(statSync(resolve(ROOT, model)).size / 1024)} KB`)
  await weir('evaluate', BUNDLE, LOG)
  await weir('calibrate', BUNDLE, LOG, '--strong-share', '0.3')
  await serve()
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function serve(): Promise<void> {
  say(`\n$ weir serve ${BUNDLE} --port ${values.port}`)
  const server = await startServer(WEIR, resolve(ROOT, BUNDLE), Number(values.port), say)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.stop())
  say(`listening on ${server.url}\n`)
  try {
    await showDecisions(server.url)
  } catch (error) {
    server.stop()
    throw error
  }
  say(`\nFrom the log to these decisions: ${((Date.now() - started) / 1000).toFixed(1)} s.`)
  if (values.once) {
    server.stop()
  } else {
    say(`\nConsole: ${server.console}`)
    say('It shows prompts of the sample, which go on arriving until Ctrl-C. Or try:')
    void sendSample(server.url)
    say(
      `  curl -s ${server.url}/route -H 'content-type: application/json' -d '{"prompt": "Prove a tight bound on T(n) = 3T(n/4) + n log n."}'`,
    )
  }
  process.exitCode = await server.ended
}

async function showDecisions(url: string): Promise<void> {
  const rows = [['model', 'win rate', 'threshold', 'prompt']]
  for (const prompt of PROMPTS) {
    const { model, win_rate, threshold } = await decide(url, prompt)
    rows.push([model, score(win_rate ?? Number.NaN), score(threshold), shortened(prompt)])
  }
  say(table(rows))
}

/** Sends prompts of the sample, about eight a second with ups and downs, until the server ends. */
async function sendSample(url: string): Promise<never> {
  const sample = gunzipSync(readFileSync(join(ROOT, LOG)))
    .toString('utf8')
    .split('\n')
  for (let i = 0; ; i++) {
    const line = sample[i % (sample.length - 1)]!
    await decide(url, (JSON.parse(line) as { prompt: string }).prompt).catch(() => {})
    const pace = 120 + 70 * Math.sin(i / 60)
    await new Promise((resolve) => setTimeout(resolve, pace).unref())
  }
}

async function decide(url: string, prompt: string): Promise<Decision> {
  const response = await fetch(`${url}/route`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt }),
  })
  if (!response.ok)
    throw new Error(`POST /route answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Decision
}

function weir(...args: string[]): Promise<void> {
  return run(process.execPath, [WEIR, ...args], `weir ${args.join(' ')}`)
}

/** Runs a command in the project's folder and shows its output; throws if it fails. */
function run(command: string, args: readonly string[], shown: string): Promise<void> {
  say(`\n$ ${shown}`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit' })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${shown} ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}

function flags() {
  try {
    return parseArgs({
      options: {
        once: { type: 'boolean', default: false },
        port: { type: 'string', default: '8080' },
        out: { type: 'string', default: 'bundles' },
      },
    }).values
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(2)
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function shortened(prompt: string): string {
  return prompt.length > 70 ? `${prompt.slice(0, 67)}...` : prompt
}
