// The client suite: each client library asks a stand-in upstream, directly and through Weir, and what it makes of the
// answers must be the same, error classes included. `node run.mjs [--short] [names...]`
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { standIn } from './stand-in.mjs'

const HERE = import.meta.dirname
const ROOT = resolve(HERE, '../..')
const args = process.argv.slice(2)
const short = args.includes('--short')
/** Clients that want Node 22. */
const NODE_22 = new Set(['openai7', 'ai7', 'langchain', 'mastra', 'promptfoo'])
/** Those of the short form, which are plain dependencies; the others are those for development. */
const SHORT = ['openai6', 'openai7', 'ai6']
const ALL = readdirSync(join(HERE, 'clients')).map((file) => file.replace(/\.mjs$/, ''))
const named = args.filter((arg) => !arg.startsWith('--'))
const names = named.length > 0 ? named : short ? SHORT : ALL
const run = promisify(execFile)

function install() {
  const omit = short ? ['--omit=dev'] : []
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  execFileSync('npm', ['ci', ...quiet, ...omit], { cwd: HERE, stdio: 'inherit' })
  // the package `node` fetches its binary in a script
  execFileSync('npm', ['rebuild', 'node', '--loglevel=error'], { cwd: HERE, stdio: 'inherit' })
}

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

/** `weir serve` from source, with a bundle trained on the sample, in front of the upstream. */
async function weir(upstream) {
  const folder = mkdtempSync(join(tmpdir(), 'weir-clients-'))
  const command = [join(ROOT, 'node_modules/tsx/dist/cli.mjs'), join(ROOT, 'scripts/weir.ts')]
  const sample = join(ROOT, 'data/sample/outcomes.jsonl.gz')
  const training = ['train', sample, '--strong', 'big-1', '--weak', 'small-1', '--name', 'demo']
  await run(process.execPath, [...command, ...training], { cwd: folder })
  const model = { upstreams: [{ upstream: 'stand-in' }], price: { input: 1, output: 2 } }
  const config = {
    routers: [{ path: 'bundles/demo' }],
    max_lag_ms: 60_000,
    gateway: {
      upstreams: { 'stand-in': { base_url: upstream } },
      models: { 'big-1': model, 'small-1': model },
      // an upstream that always fails must not close the way for the cases after it
      breaker: { failures: 1_000_000, share: 1 },
    },
  }
  writeFileSync(join(folder, 'weir.json'), JSON.stringify(config))
  const port = await freePort()
  const child = spawn(
    process.execPath,
    [...command, 'serve', '--config', 'weir.json', '--port', String(port)],
    { cwd: folder },
  )
  let output = ''
  await new Promise((done, failed) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        output += data
        if (/ on http:/.test(output)) done()
      })
    }
    child.on('exit', () => failed(new Error(`weir serve ended: ${output}`)))
  })
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close() {
      child.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ask(name, url) {
  const node = NODE_22.has(name) ? join(HERE, 'node_modules/node/bin/node') : process.execPath
  const env = {
    ...process.env,
    OPENAI_API_KEY: 'sk-test',
    OPENAI_AGENTS_DISABLE_TRACING: '1',
    PROMPTFOO_DISABLE_TELEMETRY: '1',
    PROMPTFOO_DISABLE_UPDATE: '1',
    PROMPTFOO_CACHE_ENABLED: 'false',
    MASTRA_TELEMETRY_DISABLED: '1',
    NO_COLOR: '1',
  }
  const options = { cwd: HERE, env, maxBuffer: 1 << 26, timeout: 120_000 }
  const { stdout, stderr } = await run(node, ['client.mjs', name, url], options)
  const line = stdout.split('\n').find((each) => each.startsWith('RESULTS '))
  if (!line) throw new Error(`${name} gave no results: ${stdout}${stderr}`)
  return JSON.parse(line.slice('RESULTS '.length))
}

if (!existsSync(join(HERE, 'node_modules')) || !args.includes('--installed')) install()
const upstream = await standIn()
const gateway = await weir(upstream.url)
let failed = 0
let compared = 0
for (const name of names) {
  try {
    const [direct, through] = [await ask(name, upstream.url), await ask(name, gateway.url)]
    const titles = Object.keys(direct)
    const differing = titles.filter((title) => !isDeepStrictEqual(direct[title], through[title]))
    compared += titles.length
    console.log(
      `${differing.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${titles.length} cases${differing.length > 0 ? `, ${differing.length} differ` : ''}`,
    )
    // a suite that compares failures with failures would show nothing
    const broken = titles.filter((title) => 'failed' in direct[title] !== title.startsWith('fails'))
    for (const title of [...differing, ...broken]) {
      console.log(
        `     ${title}\n       direct:  ${JSON.stringify(direct[title])?.slice(0, 1500)}\n       through: ${JSON.stringify(through[title])?.slice(0, 1500)}`,
      )
    }
    if (differing.length + broken.length > 0) failed++
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error.stack ?? error).slice(0, 2000)}`)
    failed++
  }
}
gateway.close()
upstream.close()
console.log(
  `figures ${JSON.stringify({ clients: names.length, clients_failed: failed, cases_compared: compared })}`,
)
process.exit(failed > 0 ? 1 : 0)
