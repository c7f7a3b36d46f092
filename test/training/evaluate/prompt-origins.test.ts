import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readLogs } from '../../../data/ingest.ts'
import { periodNames, promptOrigins } from '../../../training/evaluate/log/prompt-origins.ts'

const seconds = (date: string): number => Date.parse(date) / 1000

test('prompts are named by the file they first came in and by when', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-origins-'))
  const paths = ['a.jsonl', 'b.jsonl'].map((name) => join(folder, name))
  const line = (prompt: string, timestamp: string) =>
    JSON.stringify({ prompt, timestamp, scores: { big: 1, small: 0 } })
  await writeFile(paths[0]!, `${line('one', '2024-01-05')}\n${line('two', '2024-03-05')}\n`)
  await writeFile(paths[1]!, `${line('three', '2024-03-09')}\n`)
  const dataset = await readLogs(paths, { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
  const groupings = await promptOrigins(paths, dataset, {})
  const byPrompt = (by: string) =>
    Object.fromEntries(
      dataset.prompts.map((prompt, i) => [prompt, groupings.find((g) => g.by === by)!.names[i]]),
    )
  expect(byPrompt('source')).toEqual({ one: paths[0], two: paths[0], three: paths[1] })
  expect(byPrompt('time')).toEqual({ one: '2024-01', two: '2024-03', three: '2024-03' })
  await rm(folder, { recursive: true, force: true })
})

test('periods are days, months or years, so that there are not too many', () => {
  const names = (...dates: string[]) => periodNames(Float64Array.from(dates, seconds))
  expect(names('2024-05-17', '2024-05-18')).toEqual(['2024-05-17', '2024-05-18'])
  expect(names('2020-05-17', '2024-05-18')).toEqual(['2020', '2024'])
  expect(periodNames(Float64Array.of(Number.NaN, seconds('2024-05-17')))).toEqual([
    undefined,
    '2024-05-17',
  ])
  expect(periodNames(Float64Array.of(Number.NaN))).toBeUndefined()
})
