import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

describe('npm run demo -- --once', () => {
  const out = mkdtempSync(join(tmpdir(), 'weir-demo-run-'))
  let demo: { readonly code: number | null; readonly stdout: string; readonly stderr: string }
  beforeAll(async () => {
    demo = await run(['--once', '--port', '0', '--out', out])
  }, 120_000)
  afterAll(() => rmSync(out, { recursive: true, force: true }))

  test('ends by itself with exit code 0', () => {
    expect(demo.stderr).not.toContain('demo:')
    expect(demo.code).toBe(0)
  })

  test('trains, evaluates, calibrates and serves by the commands it shows', () => {
    const shown = [...demo.stdout.matchAll(/^\$ weir (\w+)/gm)].map((match) => match[1])
    expect(shown).toEqual(['train', 'evaluate', 'calibrate', 'serve'])
    expect(demo.stdout).toMatch(/Exported to ONNX: .*router\.onnx, \d+ KB/)
  })

  test('beats prompt length', () => {
    expect(demo.stdout).toMatch(/beats prompt length/)
  })

  test('shows decisions for both models', () => {
    expect(demo.stdout).toMatch(/^small-1 .*capital of Portugal/m)
    expect(demo.stdout).toMatch(/^big-1 .*lock-free concurrent queue/m)
  })
})

test('npm run demo refuses an unknown flag in one line', async () => {
  const demo = await run(['--twice'])
  expect(demo.code).toBe(2)
  expect(demo.stderr).toMatch(/^demo: .*--twice/)
  expect(demo.stderr).not.toContain('    at ')
})

function run(args: readonly string[]) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/demo/demo.ts', ...args], {
      cwd: ROOT,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8')
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}
