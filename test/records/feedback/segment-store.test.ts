import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { openFeedbackStore } from '../../../records/feedback/open-store.ts'
import { storeContract, wordsOf } from '../../../testing/feedback-store-contract.ts'
import { built } from '../../built/build.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-feedback-'))
})
afterAll(() => rm(root, { recursive: true }))

storeContract((name) => openFeedbackStore(join(root, name)))

/** Kills a writer once it has acknowledged so many; what it acknowledged. */
async function killedAfter(location: string, acknowledgements: number): Promise<string[]> {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(built(), 'test/records/feedback/store-writer.js'), location],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = once(child, 'exit')
  const acknowledged: string[] = []
  for await (const id of createInterface({ input: child.stdout! })) {
    acknowledged.push(id)
    if (acknowledged.length === acknowledgements) child.kill('SIGKILL')
  }
  await ended
  return acknowledged
}

test('kill -9 at any moment loses no acknowledged feedback and counts none twice', async () => {
  const random = createRandom(4)
  const acknowledged: string[] = []
  for (let round = 0; round < 3; round++) {
    acknowledged.push(...(await killedAfter(join(root, 'killed'), 20 + random.int(200))))
  }
  const store = await openFeedbackStore(join(root, 'killed'))
  const kept = (await wordsOf(store)).map((record) => record.decision_id)
  await store.close()
  expect(new Set(kept).size).toBe(kept.length)
  expect(acknowledged.length).toBeGreaterThan(60)
  expect(acknowledged.filter((id) => !kept.includes(id))).toEqual([])
})
