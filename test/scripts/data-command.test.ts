import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { openDataset } from '../../data/dataset/dataset.ts'
import { dataCommand } from '../../scripts/cli/commands/data/data.ts'
import { jsonl, refusal, scratch } from '../data/scratch.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** What the command prints on stdout. */
async function weirData(...args: string[]): Promise<string> {
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    printed += String(chunk)
    return true
  })
  await dataCommand().parseAsync(args, { from: 'user' })
  vi.restoreAllMocks()
  return printed
}

const ROWS = [...Array(60).keys()].map((i) => ({
  question: `what is ${i}`,
  left: 'big',
  model_b: 'small',
  winner: i % 3 === 0 ? 'b' : 'a',
}))
const MAP = ['--map', 'prompt=question,model_a=left']

test('weir data ingest writes a dataset, and inspect reads it back', async () => {
  const folder = await scratch({ 'log.jsonl': jsonl(ROWS) })
  const out = join(folder, 'dataset')
  const printed = await weirData('ingest', join(folder, 'log.jsonl'), '--out', out, ...MAP)
  expect(printed).toContain('60 rows read: 60 kept, 0 refused, 0 met before')
  expect(printed).toContain(`Next: weir data inspect ${out}`)
  const found = JSON.parse(
    await weirData('inspect', out, '--strong', 'big', '--weak', 'small', '--leaks', '--json'),
  )
  expect(found.pair).toMatchObject({ prompts: 60, strong_better: 2 / 3 })
  expect(found.leaks.splits.test).toHaveProperty('near')
  expect(await weirData('inspect', out)).toContain('60 prompts')
})

test('weir data ingest takes a mapping from a file, and flags over it', async () => {
  const list = ROWS.map(({ question, winner }, i) => ({
    doc: { question },
    metrics: [{ value: winner === 'a' ? 1 : 0 }],
    kind: i % 6 === 0 ? 'other' : 'answer',
  }))
  const folder = await scratch({
    'run.json': JSON.stringify({ model: 'big', results: { results: list } }),
    'tool.yaml':
      'rows: results.results\nfields:\n  prompt: doc.question\n  model: $.model\n  score: nothing\n',
    'bad.yaml': 'fields:\n  prompt: [1]\n',
  })
  const run = (map: string, ...more: string[]) =>
    weirData(
      'ingest',
      join(folder, 'run.json'),
      ...['--out', join(folder, 'dataset'), '--map', join(folder, map)],
      ...more,
    )
  const printed = await run(
    'tool.yaml',
    '--map',
    'score=metrics[0].value',
    '--where',
    'kind=answer',
  )
  expect(printed).toContain('60 rows read: 50 kept, 0 refused, 0 met before')
  expect(printed).toContain('10 rows left out: kind is not answer')
  expect(printed).toMatch(/model +rows +mean score\nbig +50 +\.800/)
  expect((await refusal(run('bad.yaml'), 'config_invalid')).message).toContain('bad.yaml:2')
})

test('weir data ingest --explain shows three rows, what is not used, and writes nothing', async () => {
  const rows = ROWS.map(({ question, winner }, i) => ({
    doc: { question, source: 'web' },
    model: i % 2 ? 'big' : 'small',
    score: winner === 'a' ? 1 : 0,
    latency: 3,
  }))
  const folder = await scratch({ 'log.jsonl': jsonl(rows) })
  const run = (...more: string[]) =>
    weirData('ingest', join(folder, 'log.jsonl'), '--explain', ...more)
  const printed = await run('--map', 'prompt=doc.question')
  expect(printed).toContain('log.jsonl: layout long')
  expect(printed).toMatch(/record 3\n +prompt +"what is 2"\n +scores +small 1/)
  expect(printed).not.toContain('record 4')
  expect(printed).toContain('Not used: doc.source, latency')
  expect(await run()).toContain('Try: weir data ingest')
  expect(await readdir(folder)).toEqual(['log.jsonl'])
})

test('weir data ingest --json prints one object', async () => {
  const folder = await scratch({ 'log.jsonl': jsonl(ROWS) })
  const out = join(folder, 'dataset')
  const args = [
    'ingest',
    join(folder, 'log.jsonl'),
    '--out',
    out,
    '--split',
    '0.4,0.2,0.2,0.2',
    '--json',
    ...MAP,
  ]
  const summary = JSON.parse(await weirData(...args))
  expect(summary.rows).toEqual({ read: 60, kept: 60, rejected: 0, duplicates: 0 })
  expect(summary.split.fractions.train).toBe(0.4)
  expect(summary.rejects).toBeNull()
})

test.each([
  ['--split', '1,2'],
  ['--score-range', '10-1'],
  ['--test-by', 'mood'],
  ['--test-after', 'soon'],
  ['--format', 'xml'],
  ['--max-rejects', '2'],
])('weir data ingest refuses %s %s and writes nothing', async (option, value) => {
  const folder = await scratch({ 'log.jsonl': jsonl(ROWS) })
  const out = join(folder, 'dataset')
  const error = await refusal(
    weirData('ingest', join(folder, 'log.jsonl'), '--out', out, option, value, ...MAP),
    'option_invalid',
  )
  expect(error.message).toContain(option)
  expect(error.exitCode).toBe(2)
  expect(await readdir(folder)).toEqual(['log.jsonl'])
})

test('weir data fetch lists the sets it knows', async () => {
  expect(await weirData('fetch')).toContain('lmsys-arena-55k')
})

test('weir data encode refuses a shard that is none', async () => {
  const args = ['encode', 'x', '--encoder', 'use-lite', '--shard']
  for (const shard of ['4/4', '1', '0/1000']) {
    await refusal(weirData(...args, shard), 'option_invalid')
  }
  expect(existsSync('x')).toBe(false)
})

test('weir data export --for writes training files without held-out rows, and the script', async () => {
  const folder = await scratch({ 'log.jsonl': jsonl(ROWS) })
  const out = join(folder, 'dataset')
  await weirData('ingest', join(folder, 'log.jsonl'), '--out', out, ...MAP)
  const pair = ['--strong', 'big', '--weak', 'small']
  const dataset = await openDataset(out)
  const held = dataset.prompts.filter((_, i) => dataset.split[i]! >= 2)
  expect(held.length).toBeGreaterThan(0)
  for (const [form, script] of [
    ['classification', 'classifier.py'],
    ['sft', 'sft.py'],
  ] as const) {
    const to = join(folder, form)
    const printed = await weirData('export', out, '--for', form, ...pair, '--out', to)
    expect(printed).toContain(`python ${script}`)
    const files = ['train.jsonl', 'validation.jsonl', 'weir-export.json', script]
    expect((await readdir(to)).sort()).toEqual(files.sort())
    const written = await Promise.all(
      ['train', 'validation'].map((name) => readFile(join(to, `${name}.jsonl`), 'utf8')),
    )
    const lines = written.join('').trim().split('\n')
    expect(lines.length).toBe(dataset.prompts.length - held.length)
    for (const prompt of held) expect(written.join('')).not.toContain(`${prompt}"`)
    const rows = lines.map((line) => JSON.parse(line))
    if (form === 'classification') {
      const share = rows.filter(({ labels: [strong, weak] }) => strong === 1 && weak === 0).length
      expect(share / rows.length).toBeCloseTo(2 / 3, 0)
    } else {
      const [first] = rows
      expect(first.messages.at(-1)).toEqual({
        role: 'assistant',
        content: first.win_rate === 1 ? '1' : '5',
      })
    }
  }
  for (const [args, expected] of [
    [['--for', 'sft', '--out', join(folder, 'x')], '--strong'],
    [['--for', 'sft', ...pair], '--out'],
    [['--for', 'sft', ...pair, '--out', join(folder, 'x'), '--layout', 'long'], '--layout'],
    [[...pair, '--out', join(folder, 'x.jsonl')], '--strong'],
    [['--for', 'sft', '--strong', 'big', '--weak', 'none', '--out', join(folder, 'x')], 'none'],
  ] as const) {
    await expect(weirData('export', out, ...args)).rejects.toThrow(expected)
  }
  expect(existsSync(join(folder, 'x'))).toBe(false)
})
