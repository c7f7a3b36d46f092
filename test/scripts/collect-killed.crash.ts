import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { built } from '../built/build.ts'
import { type StandIn, standIn, standInGateway } from './collect/stand-in.ts'

/** `npm run ci:long` sets 200 for all series of kills; ten is what collecting states. */
const KILLS = Number(process.env.WEIR_KILLS ?? 10)
const PROMPTS = 40
const random = createRandom(11)
let root: string
let provider: StandIn
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-collect-killed-'))
  provider = await standIn({ quality: { big: 0.9, small: 0.5 }, delayMs: 30 })
  const rows = Array.from({ length: PROMPTS }, (_, i) =>
    JSON.stringify({ prompt: `Question ${i}` }),
  )
  await writeFile(join(root, 'prompts.jsonl'), rows.join('\n'))
  await writeFile(
    join(root, 'weir.json'),
    JSON.stringify({ gateway: standInGateway(provider.url) }),
  )
})
afterAll(async () => {
  await provider.close()
  await rm(root, { recursive: true, force: true })
})

interface Result {
  readonly code: number | null
  readonly out: string
}

function start(): { readonly child: ChildProcess; readonly ended: Promise<Result> } {
  const child = spawn(
    process.execPath,
    [
      ...[join(built(), 'scripts/weir.js'), 'collect', join(root, 'prompts.jsonl'), '--json'],
      ...['--models', 'big,small', '--judge', 'judge', '--config', join(root, 'weir.json')],
      ...['--budget', '10', '--out', join(root, 'out'), '--concurrency', '2'],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    out += chunk
  })
  return {
    child,
    ended: once(child, 'exit').then(([code]) => ({ code: code as number | null, out })),
  }
}

test('a collection that is killed again and again pays each question once and has every row', async () => {
  for (let kill = 0; kill < Math.min(KILLS, 40); kill++) {
    const { child, ended } = start()
    await wait(150 + random.int(700))
    child.kill('SIGKILL')
    await ended
  }
  const { code, out } = await start().ended
  expect(out).toContain('"ending":"done"')
  expect(code).toBe(0)
  const summary = JSON.parse(out.slice(out.indexOf('{"folder"')).split('\n')[0]!)
  expect(summary.rows).toEqual({ sample: PROMPTS, answered: PROMPTS, failed: 0 })
  expect(summary.in_doubt).toEqual({ calls: 0, most_usd: 0 })
  expect([...provider.billed.values()]).toEqual(Array(PROMPTS * 4).fill(1))
  expect(summary.spent_usd).toBeCloseTo(provider.usd, 9)
  const log = await readFile(join(root, 'out', 'log.jsonl'), 'utf8')
  expect(log.trim().split('\n')).toHaveLength(PROMPTS * 2)
}, 300_000)
