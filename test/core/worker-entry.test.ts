import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startWorker } from '../../core/worker-entry.ts'
import { readSources } from '../../scripts/structure.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** Every thread that we start: where its caller is, what it is told, and what it then answers. */
const THREADS = {
  'models/encoders/encode-worker': {
    data: { spec: { kind: 'none' }, files: new Map(), threads: 1 },
    question: undefined,
    answer: { kind: 'broken', reason: expect.stringContaining('none') },
  },
  'training/engine/session-worker': {
    data: undefined,
    question: { id: 7, kind: 'read', names: [] },
    answer: { id: 7, result: { tensors: {} } },
  },
  'data/source/line-worker': {
    data: {
      spec: { path: 'log', format: 'canonical', columns: new Set(['prompt']), sample: [] },
      seed: 1,
    },
    question: { head: new Uint8Array(0), bytes: new TextEncoder().encode('{}\n{}\n') },
    answer: { lines: 2 },
  },
  'core/json/large-worker': {
    data: undefined,
    question: { id: 3, question: new TextEncoder().encode('{"a": 1}') },
    answer: { id: 3, value: { outline: {} } },
  },
  'serving/policy/privacy-worker': {
    data: undefined,
    question: {
      id: 4,
      question: { rules: { detect: true }, parts: [new TextEncoder().encode('{"a":"b@c.de"}')] },
    },
    answer: { id: 4, value: true },
  },
}

test('what our sources start as threads and processes is built into the package; threads are tested here', () => {
  const { include } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.build.json'), 'utf8')) as {
    include: string[]
  }
  const started = { Worker: new Set<string>(), Process: new Set<string>() }
  for (const path of readSources(ROOT).keys()) {
    const text = readFileSync(join(ROOT, path), 'utf8')
    for (const [, kind, module] of text.matchAll(
      /(startWorker|AskedThread|startProcess)\(\s*'([^']+)',\s*import\.meta\.url/g,
    )) {
      started[kind === 'startProcess' ? 'Process' : 'Worker'].add(
        normalize(join(dirname(path), module!)),
      )
    }
  }
  expect([...started.Worker].sort()).toEqual(Object.keys(THREADS).sort())
  expect(started.Process).toContain('scripts/collect/asking-process')
  for (const module of [...started.Worker, ...started.Process]) {
    expect(existsSync(join(ROOT, `${module}.ts`)), module).toBe(true)
    const isBuilt = include.some((one) => `${module}.ts` === one || module.startsWith(`${one}/`))
    expect(isBuilt, module).toBe(true)
  }
})

test.each(Object.entries(THREADS))(
  '%s starts from TypeScript source, its imports of ours included',
  async (path, { data, question, answer }) => {
    const caller = pathToFileURL(join(ROOT, 'caller.ts')).href
    const worker = startWorker(`./${path}`, caller, { workerData: data })
    if (question) worker.postMessage(question)
    expect(await once(worker, 'message')).toMatchObject([answer])
    await worker.terminate()
  },
)

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
