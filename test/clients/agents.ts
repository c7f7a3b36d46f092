/**
 * The real programs of coding agents, set up by `weir init`, against a stand-in upstream: each must come back with the
 * stand-in's answer. `npx tsx test/clients/agents.ts --claude-code PATH --codex PATH`; the programs are not installed here
 * (npm @anthropic-ai/claude-code, @openai/codex: 800 MB).
 */
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { standIn } from '../serving/gateway/api-stand-in.ts'
import { gatewayApp } from '../serving/gateway/gateway-app.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const WEIR = [join(ROOT, 'node_modules/tsx/dist/cli.mjs'), join(ROOT, 'scripts/weir.ts')]
const ASKED = 'Say hello. want=plain'
const PROGRAMS = {
  'claude-code': ['-p', ASKED],
  codex: ['exec', '--skip-git-repo-check', ASKED],
} as const
const KINDS = [
  { kind: 'openai', responses: false },
  { kind: 'openai', responses: true },
  { kind: 'anthropic', responses: false },
]

const { values } = parseArgs({
  options: { 'claude-code': { type: 'string' }, codex: { type: 'string' } },
})
let failed = 0
for (const [name, given] of Object.entries(PROGRAMS)) {
  const program = values[name as keyof typeof PROGRAMS]
  if (program === undefined) continue
  for (const { kind, responses } of KINDS) {
    const upstream = await standIn(responses)
    const behind = { upstreams: [{ upstream: 'it' }], price: { input: 1, output: 2 } }
    const gateway = await gatewayApp({
      upstreams: { it: { kind, base_url: upstream.url } },
      models: { small: behind, big: behind },
    })
    const folder = await mkdtemp(join(tmpdir(), 'weir-agent-'))
    const env = {
      ...process.env,
      HOME: folder,
      CODEX_HOME: join(folder, '.codex'),
      WEIR_API_KEY: 'k',
    }
    try {
      const init = [...WEIR, 'init', name, '--url', gateway.url, '--write']
      await promisify(execFile)(process.execPath, init, { cwd: folder, env })
      const said = await answer(program, given, folder, env)
      const { endpoint, status } = gateway.served.at(-1)!
      const ok = said.includes('Hello world') && status === 200 && gateway.bugs.length === 0
      const through = upstream.received.map(({ path }) => path)
      console.log(
        `${ok ? 'ok  ' : 'FAIL'} ${name}: /v1/${endpoint} to ${kind} by ${[...new Set(through)]}`,
      )
      if (!ok) {
        failed++
        console.log(
          said,
          gateway.served.map((one) => [one.status, one.code]),
          gateway.bugs,
        )
      }
    } finally {
      await gateway.close()
      await upstream.close()
      await rm(folder, { recursive: true, force: true })
    }
  }
}
process.exitCode = failed > 0 ? 1 : 0

/** What a program writes; it gets no input, and two minutes. */
function answer(
  program: string,
  given: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  return new Promise((done) => {
    const child = spawn(program, given, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill(), 120_000)
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data))
    child.on('close', () => {
      clearTimeout(timer)
      done(said)
    })
  })
}
