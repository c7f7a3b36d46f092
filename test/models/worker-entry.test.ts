import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startWorker } from '../../models/worker-entry.ts'

test('a worker starts from TypeScript source, its imports of ours included', async () => {
  const worker = startWorker('./worker/echo', import.meta.url, { workerData: 1 })
  worker.postMessage(0)
  expect(await once(worker, 'message')).toEqual([1.5])
  await worker.terminate()
})

test('a worker starts from built JavaScript', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-worker-'))
  writeFileSync(
    join(folder, 'echo.js'),
    "require('node:worker_threads').parentPort.on('message', (v) => require('node:worker_threads').parentPort.postMessage(v + 1))",
  )
  const worker = startWorker('./echo', pathToFileURL(join(folder, 'caller.js')).href)
  worker.postMessage(1)
  expect(await once(worker, 'message')).toEqual([2])
  await worker.terminate()
  rmSync(folder, { recursive: true })
})
