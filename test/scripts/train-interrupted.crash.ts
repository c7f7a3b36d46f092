import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, watch } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { readBundle } from '../../models/bundle/read.ts'
import { writeSmallLog } from '../training/small-log.ts'

const WEIR = resolve(import.meta.dirname, '../../scripts/weir.ts')
const NAME = 'demo'
const CHECKPOINT = `.${NAME}.checkpoint`

let folder: string
let log: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-interrupted-'))
  log = await writeSmallLog(500, 5)
})

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly said: string
}

/** `weir train --router mf` in a process of its own; `onCheckpoint` is called once, when one is written. */
async function trainMf(
  out: string,
  epochs: number,
  onCheckpoint?: (child: ChildProcess) => void,
): Promise<Ended> {
  await mkdir(out, { recursive: true })
  const set = [`epochs=${epochs}`, `patience=${epochs}`, 'rank=8', 'batch_size=16']
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', WEIR, 'train', log, '--router', 'mf', '--threads', '1'],
      ...['--strong', 'big', '--weak', 'small', '--out', out, '--name', NAME],
      ...set.flatMap((pair) => ['--set', pair]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const watcher = watch(out, (_, file) => {
    if (file !== CHECKPOINT || !existsSync(join(out, CHECKPOINT))) return
    watcher.close()
    onCheckpoint?.(child)
  })
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) =>
    child.on('close', (...ended) => done(ended)),
  )
  watcher.close()
  return { code, signal, said }
}

test('a training that was killed goes on where it was, to the bytes of one that never was', async () => {
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')]
  const undisturbed = await trainMf(whole, 40)
  expect(undisturbed.said).not.toContain('Went on')
  expect(undisturbed.code).toBe(0)

  expect((await trainMf(killed, 40, (child) => child.kill('SIGKILL'))).signal).toBe('SIGKILL')
  expect(existsSync(join(killed, NAME))).toBe(false)
  const again = await trainMf(killed, 40)
  expect(again.said).toMatch(/Went on after epoch \d+ of an earlier run/)
  expect(again.code).toBe(0)
  expect(existsSync(join(killed, CHECKPOINT))).toBe(false)

  const [first, second] = [
    await readBundle(join(whole, NAME)),
    await readBundle(join(killed, NAME)),
  ]
  // the version is a hash of every file
  expect(second.manifest.version).toBe(first.manifest.version)
  const curve = first.manifest.metrics.curve as { validationApgr?: number; trainLoss: number }[]
  expect(curve).toHaveLength(40)
  expect(curve[0]!.validationApgr).toBeGreaterThan(0)
}, 120_000)

test('Ctrl-C writes the best so far as a bundle, and says so', async () => {
  const out = join(folder, 'stopped')
  const { code, said } = await trainMf(out, 100_000, (child) => child.kill('SIGINT'))
  expect(said).toContain('Stopped early: this is the best so far.')
  expect(code).toBe(0)
  const { manifest } = await readBundle(join(out, NAME))
  expect(manifest.metrics.stopped).toBe(true)
  expect((manifest.metrics.curve as unknown[]).length).toBeLessThan(100_000)
}, 120_000)
