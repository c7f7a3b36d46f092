import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { calibrateCascadeCommand } from '../../scripts/cli/commands/calibrate-cascade.ts'

let root: string
let path: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-cascade-cli-'))
  path = join(root, 'rows.jsonl')
  const random = createRandom(1)
  const rows = Array.from({ length: 1000 }, () => {
    const score = random.next()
    return { score, weak: random.next() < score ? 1 : 0, strong: random.next() < 0.9 ? 1 : 0 }
  })
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
})
afterAll(() => rm(root, { recursive: true }))

async function run(...flags: string[]): Promise<string> {
  let printed = ''
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    printed += String(chunk)
    return true
  })
  try {
    await calibrateCascadeCommand()
      .exitOverride()
      .parseAsync([path, ...flags], { from: 'user' })
  } finally {
    out.mockRestore()
  }
  return printed
}

test('prints what is expected, what is promised, and the threshold to set', async () => {
  const printed = await run('--max-loss', '0.05', '--confidence', '0.9')
  expect(printed).toContain('900 rows; left out: 100 set aside for the grid')
  expect(printed).toMatch(/^escalated +\d+\.\d%/m)
  expect(printed).toMatch(/^Promised: net loss at most 0\.05 at 90\.0%/m)
  expect(printed).toMatch(/^Next: threshold: 0\.\d+ in the policy's check/m)
})

test('an estimate is said to be none of a promise', async () => {
  const printed = await run('--quality', '0.9')
  expect(printed).toContain('This is an estimate, not a promise')
  expect(printed).not.toContain('Promised')
})

test('prints one JSON object, with the threshold at full precision', async () => {
  const { threshold, expected, used } = JSON.parse(await run('--escalate-share', '0.3', '--json'))
  expect(threshold).toBeCloseTo(0.3, 1)
  expect(expected.share.value).toBeCloseTo(0.3, 2)
  expect(used).toBe(1000)
})

test('says where nothing but escalating everything would do', async () => {
  expect(await run('--escalate-share', '1')).toContain('Every answer must be escalated')
})

test('wants exactly one target, by its own names', async () => {
  await expect(run()).rejects.toThrow('expected exactly one of --escalate-share, --quality')
  await expect(run('--escalate-share', '2')).rejects.toThrow('for --escalate-share, got 2')
  await expect(run('--escalate-share', '.2', '--quality', '.9')).rejects.toThrow(
    'got --escalate-share and --quality',
  )
})
