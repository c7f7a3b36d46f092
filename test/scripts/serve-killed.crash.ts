import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { writeBundle } from '../../models/bundle/write.ts'
import { readDecisionLog } from '../../records/log-reader.ts'
import { verifyAudit } from '../../serving/audit/verify.ts'
import { built } from '../built/build.ts'
import { lexicalDraft } from './lexical-draft.ts'
import { startServing, workersOf } from './weir-process.ts'

/** Kills of each kind; `npm run ci:long` sets 200. */
const KILLS = Number(process.env.WEIR_KILLS ?? 3)
const LIMIT_MS = 90_000 + KILLS * 30_000
const random = createRandom(5)
const started: ChildProcess[] = []
let root: string
let weir: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-killed-'))
  weir = join(built(), 'scripts/weir.js')
  await writeBundle(root, await lexicalDraft(0.5))
  // a server that is killed early has not made it yet
  await mkdir(join(root, 'log'))
  await writeFile(join(root, 'policy.yaml'), policy('big'))
  const model = { upstreams: [{ upstream: 'one' }] }
  await writeFile(
    join(root, 'weir.json'),
    JSON.stringify({
      routers: [{ path: join(root, 'cli') }],
      log: { folder: join(root, 'log') },
      max_lag_ms: 60_000,
      gateway: {
        upstreams: { one: { base_url: 'http://127.0.0.1:9/v1' } },
        models: { big: model, small: model },
        policy: join(root, 'policy.yaml'),
      },
    }),
  )
})
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rm(root, { recursive: true }))

const policy = (route: string): string =>
  `version: 1\nmodels:\n  big: {}\n  small: {}\ndefault: ${route}\n`

const OPTIONS = (): string[] => [
  ...['--config', join(root, 'weir.json'), '--port', '0', '--workers', '2'],
]

/** What must hold whenever a server was killed. */
async function assertWhole(): Promise<void> {
  const { faults } = await verifyAudit(join(root, 'log')).catch(() => ({ faults: [] }))
  expect(faults).toEqual([])
  const stats = { torn: 0, invalid: 0 }
  for await (const _ of readDecisionLog(join(root, 'log'), stats)) {
    // read to the end
  }
  expect(stats.invalid).toBe(0)
  const version = basename(await realpath(join(root, 'cli/current')))
  expect((await readBundle(join(root, 'cli', version))).manifest.version).toBe(version)
  expect((await readdir(join(root, 'cli'))).filter((name) => name.includes('partial'))).toEqual([])
}

test(
  `after ${KILLS} kills within reloads of bundles and policies, logs are whole and no worker is left`,
  async () => {
    let reloads = 0
    for (let i = 0; i < KILLS; i++) {
      const served = await startServing([weir], OPTIONS(), started)
      const workers = await workersOf(served.child.pid!)
      expect(workers).toHaveLength(2)
      const until = performance.now() + random.int(600)
      while (performance.now() < until) {
        await writeBundle(root, await lexicalDraft((++reloads % 90) / 100))
        await writeFile(join(root, 'policy.yaml'), policy(reloads % 2 === 0 ? 'big' : 'small'))
        served.child.kill('SIGHUP')
        await fetch(`${served.url}/route`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ prompt: `prove ${reloads}` }),
        }).then((answer) => answer.arrayBuffer())
        await wait(random.int(60))
      }
      const ended = once(served.child, 'exit')
      served.child.kill('SIGKILL')
      await ended
      await expect
        .poll(() => workers.filter((pid) => isRunning(pid)), { timeout: 15_000 })
        .toEqual([])
      await assertWhole()
    }
    // the next one serves what is there, and says so
    const served = await startServing([weir], OPTIONS(), started)
    expect((await fetch(`${served.url}/health`)).status).toBe(200)
    const { records } = await verifyAudit(join(root, 'log'))
    const version = basename(await realpath(join(root, 'cli/current')))
    const last = records.findLast(({ event }) => event === 'bundle_loaded')
    expect(last).toMatchObject({ why: 'start', hash: version })
  },
  LIMIT_MS,
)

test(
  `after ${KILLS} kills while workers start, logs are whole and no worker is left`,
  async () => {
    for (let i = 0; i < KILLS; i++) {
      const child = spawn(process.execPath, [weir, 'serve', ...OPTIONS()], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      started.push(child)
      let errors = ''
      child.stderr.on('data', (chunk) => {
        errors += chunk
      })
      let workers: number[] = []
      await expect
        .poll(
          async () => {
            if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${errors}`)
            workers = await workersOf(child.pid!)
            return workers.length
          },
          // a busy machine takes long to start a process
          { timeout: 60_000, interval: 20 },
        )
        .toBeGreaterThan(0)
      await wait(random.int(1500))
      workers = [...new Set([...workers, ...(await workersOf(child.pid!))])]
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      await expect
        .poll(() => workers.filter((pid) => isRunning(pid)), { timeout: 15_000 })
        .toEqual([])
      await assertWhole()
    }
  },
  LIMIT_MS,
)

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
