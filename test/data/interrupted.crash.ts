import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { encodeToCache } from '../../data/embedding-cache.ts'
import { ingest } from '../../data/ingest.ts'
import { hashEncoder } from './hash-encoder.ts'
import { bytesOf, jsonl, scratch } from './scratch.ts'

const CHILD = fileURLToPath(new URL('./interrupted-child.ts', import.meta.url))

/** Starts the job in a process of its own and kills it (no clean-up of any kind) at its k-th line, or at a stage. */
async function killAt(
  k: number | 'writing',
  job: string,
  from: string,
  to: string,
): Promise<string | undefined> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, job, from, to], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise((resolve) => child.on('exit', resolve))
  let lines = 0
  let last: string | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    last = line
    if (++lines === k || line.startsWith(String(k))) child.kill('SIGKILL')
  }
  await exited
  expect(child.signalCode).toBe('SIGKILL')
  return last
}

const random = createRandom(11)

test('an ingest that is killed at any moment leaves no dataset, and the next one is as if nothing had been', async () => {
  const rows = [...Array(30_000).keys()].map((i) => ({
    prompt: `prompt ${i} ${'of some length '.repeat(12)}`,
    model_a: `m${i % 5}`,
    model_b: 'n',
    winner: i % 2 === 0 ? 'a' : 'b',
  }))
  const folder = await scratch({ 'log.jsonl': jsonl(rows) })
  const log = join(folder, 'log.jsonl')
  const out = join(folder, 'dataset')
  for (let kill = 0; kill < 5; kill++) {
    // It prints some 25 lines while it reads, and one while it writes.
    await killAt(kill === 0 ? 'writing' : 1 + random.int(22), 'ingest', log, out)
    expect(existsSync(out)).toBe(false)
  }
  await ingest([log], { out, seed: 3 })
  await ingest([log], { out: join(folder, 'undisturbed'), seed: 3 })
  expect(await bytesOf(out)).toEqual(await bytesOf(join(folder, 'undisturbed')))
  expect((await readdir(folder)).sort()).toEqual(['dataset', 'log.jsonl', 'undisturbed'])
}, 120_000)

test('an encode that is killed at any moment goes on where it was, to the same bytes', async () => {
  const folder = await scratch()
  const prompts = [...Array(8_000).keys()].map((i) => `prompt ${i}`)
  for (let kill = 0; kill < 5; kill++) {
    await killAt(1 + random.int(40), 'encode', String(prompts.length), folder)
  }
  const encoder = hashEncoder('dense')
  const resumed = await encodeToCache(prompts, encoder, { folder })
  expect(encoder.calls).toBeGreaterThan(0)
  expect(encoder.calls).toBeLessThan(prompts.length)
  const undisturbed = await encodeToCache(prompts, hashEncoder('dense'), {
    folder: await scratch(),
  })
  expect(await bytesOf(resumed.folder)).toEqual(await bytesOf(undisturbed.folder))
}, 120_000)
