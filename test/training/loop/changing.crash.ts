import { spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { watch } from 'node:fs'
import { mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { readBundle } from '../../../models/bundle/read.ts'
import { finishServingChange } from '../../../models/bundle/serving-change.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { readHistory, readRollout } from '../../../records/rollout.ts'
import { verifyAudit } from '../../../serving/audit/verify.ts'
import { built } from '../../built/build.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'

/** Kills of each kind; `npm run ci:long` sets 200. */
const KILLS = Number(process.env.WEIR_KILLS ?? 6)
const LIMIT_MS = 60_000 + KILLS * 10_000
const random = createRandom(11)
let root: string
let home: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-changing-'))
  home = join(root, 'bundles/sample')
  await writeBundle(join(root, 'bundles'), sampleDraft({ threshold: 0.99 }))
  await writeBundle(join(root, 'next'), sampleDraft({ threshold: 0.5 }))
  const lines = Array.from({ length: 400 }, (_, i) => {
    const proof = i % 2 === 0
    const prompt = `${proof ? 'prove' : 'hello'} number ${i} of ${i * 7919}`
    return JSON.stringify({ prompt, scores: { big: 1, small: proof && i % 4 === 0 ? 0 : 1 } })
  })
  await writeFile(join(root, 'outcomes.jsonl'), lines.join('\n'))
})
afterAll(() => rm(root, { recursive: true }))

/** Resolves once the folder has changed a random number of times. */
async function changed(folder: string): Promise<void> {
  let left = 1 + random.int(14)
  const watcher = watch(folder)
  for await (const _ of on(watcher, 'change')) if (--left === 0) break
  watcher.close()
}

/**
 * Starts a process that makes changes, and kills it (-9) at a random moment within them.
 *
 * @param folder changes seldom, so the moment is counted in its changes
 */
async function killed(kind: 'promote' | 'write' | 'audit', folder?: string): Promise<void> {
  const entry = join(built(), 'test/training/loop/changing-process.js')
  const child = spawn(process.execPath, [entry, kind, root], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const ended = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), ended])
  if (folder === undefined) await wait(random.int(300))
  else await Promise.race([changed(folder), ended])
  child.kill('SIGKILL')
  const [code, signal] = await ended
  expect([code, signal], errors).toEqual([null, 'SIGKILL'])
}

const currentOf = async (folder: string): Promise<string> =>
  basename(await realpath(join(folder, 'current')))

const leftOvers = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => /partial|pending|\.old$/.test(name))

test(
  `after ${KILLS} kills within promotions and rollbacks, current, rollout and history agree`,
  async () => {
    let changes = 0
    for (let i = 0; i < KILLS; i++) {
      await killed('promote', home)
      // whole before anybody repairs anything
      const version = await currentOf(home)
      expect((await readBundle(join(home, version))).manifest.version).toBe(version)
      await finishServingChange(home)
      const history = await readHistory(home)
      const last = history.findLast(({ event }) => event === 'all' || event === 'rollback')
      if (last) expect(last.version).toBe(await currentOf(home))
      // promotions and rollbacks take turns, none is missing and none is there twice
      const events = history.map(({ event }) => event)
      expect(events).toEqual(events.map((_, k) => (k % 2 === 0 ? 'all' : 'rollback')))
      expect(await readRollout(home)).toBeUndefined()
      expect(await leftOvers(home)).toEqual([])
      changes = history.length
    }
    expect(changes).toBeGreaterThan(KILLS / 2)
  },
  LIMIT_MS,
)

test(
  `after ${KILLS} kills while versions of a bundle are written, current is whole`,
  async () => {
    const folder = join(root, 'written/sample')
    for (let i = 0; i < KILLS; i++) {
      await killed('write')
      const version = await currentOf(folder)
      for (const name of await readdir(folder)) {
        if (!/^[0-9a-f]{16}$/.test(name)) continue
        expect((await readBundle(join(folder, name))).manifest.version).toBe(name)
      }
      expect(version).toMatch(/^[0-9a-f]{16}$/)
    }
    await writeBundle(join(root, 'written'), sampleDraft({ threshold: 0.5 }))
    expect(await leftOvers(folder)).toEqual([])
  },
  LIMIT_MS,
)

test(
  `after ${KILLS} kills while reloads are audited, the chain holds`,
  async () => {
    for (let i = 0; i < KILLS; i++) {
      await killed('audit')
      expect((await verifyAudit(join(root, 'log'))).faults).toEqual([])
    }
    const { records } = await verifyAudit(join(root, 'log'))
    expect(records.length).toBeGreaterThan(KILLS)
  },
  LIMIT_MS,
)
