import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { startWorker } from '../../../core/worker-entry.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-session-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What ONNX Runtime's telemetry writes when it starts, in a process that is asked for nothing else. */
function telemetryFiles(code: string): string[] {
  const environment: NodeJS.ProcessEnv = { ...process.env, TMPDIR: folder }
  // a CI system's variable turns it off as well
  for (const name of ['CI', 'ORT_DISABLE_TELEMETRY']) delete environment[name]
  const flags = ['--import', 'tsx', '--input-type=module']
  execFileSync(process.execPath, [...flags, '-e', code], { env: environment })
  const files = readdirSync(folder).filter((name) => name.startsWith('mat-debug'))
  for (const name of files) rmSync(join(folder, name))
  return files
}

test('ONNX Runtime reports nothing to its maker', () => {
  const ours = pathToFileURL('models/onnx/session.ts').href
  const refused = 'await made.catch(() => {})'
  expect(
    telemetryFiles(`const ort = (await import('onnxruntime-node')).default
      const made = ort.InferenceSession.create(new Uint8Array(3)); ${refused}`),
  ).toHaveLength(1)
  expect(
    telemetryFiles(`const { createSession } = await import('${ours}')
      const made = createSession(new Uint8Array(3), { threads: 1 }); ${refused}`),
  ).toEqual([])
})

test('nor does it in a worker thread, which cannot say so itself', async () => {
  const before = process.env.ORT_DISABLE_TELEMETRY
  delete process.env.ORT_DISABLE_TELEMETRY
  const worker = startWorker('./line-worker', pathToFileURL('data/source/line-pool.ts').href)
  expect(process.env.ORT_DISABLE_TELEMETRY).toBe('1')
  if (before !== undefined) process.env.ORT_DISABLE_TELEMETRY = before
  await worker.terminate()
})
