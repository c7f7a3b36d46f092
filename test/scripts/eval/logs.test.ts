import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { findLogs, GSM8K, MMLU } from '../../../scripts/eval/logs.ts'

afterEach(() => vi.unstubAllEnvs())

it('reads the logs that WEIR_DATA holds, and says so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-logs-'))
  await writeFile(join(folder, GSM8K.file), '')
  vi.stubEnv('WEIR_DATA', folder)
  const notes: string[] = []
  const found = findLogs([MMLU, GSM8K], [], (line) => notes.push(line))
  await rm(folder, { recursive: true })
  expect(found).toEqual({ folder, logs: [GSM8K] })
  expect(notes).toEqual([`reading ${folder} (WEIR_DATA)`])
})

it('falls back on the sample, and says why', () => {
  vi.stubEnv('WEIR_DATA', '/nowhere')
  const notes: string[] = []
  const { folder, logs } = findLogs([MMLU], ['mmlu'], (line) => notes.push(line))
  expect(folder).toMatch(/data\/sample$/)
  expect(logs.map(({ name }) => name)).toEqual(['sample'])
  expect(notes).toEqual([
    'reading data/sample, because /nowhere (WEIR_DATA) holds none of the logs',
  ])
})

it('refuses a log it does not know', () => {
  vi.stubEnv('WEIR_DATA', '/nowhere')
  expect(() => findLogs([MMLU], ['mmlu2'], () => undefined)).toThrow(
    'expected some of mmlu, sample',
  )
})
