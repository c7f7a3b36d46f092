import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Dataset, openDataset } from '../../data/dataset/dataset.ts'
import { exportDataset } from '../../data/export.ts'
import { ingest } from '../../data/ingest.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

const SCORES = [...Array(60).keys()].map((i) => ({
  prompt: i % 2 ? `what is ${i}` : `"quoted", ${i}\nand a line`,
  category: i % 3 ? 'maths' : undefined,
  scores: i % 4 ? { big: 0.1 * (i % 10), small: 0.3 } : { small: 1 },
  costs: { small: 0.00012 },
  tokens: { small: 7 },
  propensities: i % 4 ? { big: 0.25, small: 0.75 } : { small: 0.75 },
}))
const NOT_RATED = [...Array(5).keys()].map((i) => ({
  prompt: `unrated ${i}`,
  scores: { big: null },
  propensities: { big: 0.25 },
}))
const VOTES = [...Array(40).keys()].map((i) => ({
  prompt: `question ${i % 30}`,
  model_a: 'big',
  model_b: i % 2 ? 'small' : 'tiny',
  winner: ['a', 'b', 'tie', 'both_bad'][i % 4],
  judge: i % 5 ? 'human' : undefined,
  weight: 1.5,
  timestamp: 1_740_823_200 + i,
}))

const ingested = async (folder: string, rows: readonly object[], name: string): Promise<string> => {
  const out = join(folder, name)

  await writeFile(join(folder, `${name}.jsonl`), jsonl(rows))
  await ingest([join(folder, `${name}.jsonl`)], { out, seed: 1 })
  return out
}

/** All that a dataset holds, but not where it came from. */
function contents({
  prompts,
  models,
  categories,
  split,
  preferences,
  outcomes,
  manifest,
}: Dataset) {
  return {
    ...{ prompts, models, categories, split, preferences, outcomes },
    judges: manifest.judges,
    kept: manifest.counts,
  }
}

describe.each(['parquet', 'jsonl'])('export to %s', (ending) => {
  test.each([
    ['scores', SCORES, 'long'],
    ['answers without ratings', [...NOT_RATED, ...SCORES], 'long'],
    ['votes', VOTES, 'pairwise'],
  ] as const)('of %s is read again as the same dataset', async (_, rows, layout) => {
    const folder = await scratch()
    const dataset = await ingested(folder, rows, 'dataset')
    const file = join(folder, `again.${ending}`)
    const written = await exportDataset(dataset, file)
    const notRated = rows.length - (layout === 'long' ? SCORES.length : VOTES.length)
    expect(written.layout).toBe(layout)
    expect(written.rows).toBe(layout === 'long' ? 105 + notRated : 40)
    await ingest([file], { out: join(folder, 'again'), seed: 1 })
    const again = contents(await openDataset(join(folder, 'again')))
    expect(again).toEqual(contents(await openDataset(dataset)))
  })
})

test('numbers are written as short as they are exact', async () => {
  const folder = await scratch()
  const dataset = await ingested(folder, SCORES, 'dataset')
  await exportDataset(dataset, join(folder, 'rows.jsonl'))
  const [first, second] = (await readFile(join(folder, 'rows.jsonl'), 'utf8')).split('\n')
  expect(JSON.parse(first!)).toMatchObject({ model: 'small', score: 1, cost: 0.00012, tokens: 7 })
  expect(JSON.parse(second!)).toEqual({
    prompt: 'what is 1',
    model: 'big',
    score: 0.1,
    propensity: 0.25,
    category: 'maths',
    split: expect.stringMatching(/^(train|validation|calibration|test)$/),
  })
})

test('a model that might have been asked is a row without a score', async () => {
  const folder = await scratch()
  const row = { prompt: 'p', scores: { big: 1 }, propensities: { big: 0.25, small: 0.75 } }
  const dataset = await ingested(folder, [row], 'dataset')
  await exportDataset(dataset, join(folder, 'rows.jsonl'))
  const [, small] = (await readFile(join(folder, 'rows.jsonl'), 'utf8')).split('\n')
  expect(JSON.parse(small!)).toMatchObject({ model: 'small', propensity: 0.75 })
  expect(JSON.parse(small!)).not.toHaveProperty('score')
})

test('what cannot be exported is refused, and nothing is left behind', async () => {
  const folder = await scratch()
  const dataset = await ingested(folder, VOTES, 'dataset')
  const before = await readdir(folder)
  const tried = (out: string, options = {}) => exportDataset(dataset, join(folder, out), options)
  expect((await refusal(tried('rows.xlsx'), 'option_invalid')).message).toContain('.parquet')
  await refusal(tried('rows.jsonl', { layout: 'long' }), 'rows_too_few')
  await refusal(tried('rows.jsonl', { signal: AbortSignal.abort() }), 'cancelled')
  await refusal(tried('no/such/folder.jsonl'), 'file_unwritable')
  expect(await readdir(folder)).toEqual(before)
})

test('a dataset of scores and votes asks which', async () => {
  const folder = await scratch()
  const dataset = await ingested(folder, [...VOTES, ...SCORES], 'dataset')
  const out = join(folder, 'rows.jsonl')
  await refusal(exportDataset(dataset, out), 'option_invalid')
  expect(await exportDataset(dataset, out, { layout: 'pairwise' })).toMatchObject({ rows: 40 })
})

test.each(['parquet', 'jsonl'])(
  'conversations are read again from %s as they were',
  async (ending) => {
    const folder = await scratch()
    const prompt = [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'yes' },
      { role: 'user', content: 'two' },
    ]
    const rows = [
      { prompt, system: 'Be brief.', tools: [{ name: 'find' }], scores: { big: 1, small: 0 } },
    ]
    const dataset = await ingested(folder, rows, 'dataset')
    const file = join(folder, `again.${ending}`)
    await exportDataset(dataset, file)
    await ingest([file], { out: join(folder, 'again'), seed: 1 })
    const { hashes } = await openDataset(join(folder, 'again'))
    expect(hashes).toEqual((await openDataset(dataset)).hashes)
  },
)
