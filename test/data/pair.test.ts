import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SPLITS } from '../../data/dataset/dataset.ts'
import { samplePrompts } from '../../data/dataset/take-prompts.ts'
import { readLogs } from '../../data/ingest.ts'
import { pairLabels, splitRows } from '../../data/pair.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

async function dataset(rows: readonly unknown[]) {
  const folder = await scratch({ 'log.jsonl': jsonl(rows) })
  return readLogs([join(folder, 'log.jsonl')], { seed: 1 })
}

test('outcomes give (1 + s - w) / 2 where both models were observed', async () => {
  const data = await dataset([
    { prompt: 'one', scores: { s: 1, w: 0, other: 0.5 } },
    { prompt: 'two', scores: { s: 1, other: 0.5 } },
    { prompt: 'three', scores: { s: 0.25, w: 0.75 } },
  ])
  const labels = pairLabels(data, 's', 'w')
  expect([...labels.prompt]).toEqual([0, 2])
  expect([...labels.label]).toEqual([1, 0.25])
  expect([...labels.strong!]).toEqual([1, 0.25])
  expect([...labels.weak!]).toEqual([0, 0.75])
  expect([...pairLabels(data, 'w', 's').label]).toEqual([0, 0.75])
})

test('votes of a prompt are averaged by weight, whichever side the strong model stood on', async () => {
  const data = await dataset([
    { prompt: 'p', model_a: 's', model_b: 'w', winner: 'a', weight: 3 },
    { prompt: 'p', model_a: 'w', model_b: 's', winner: 'a' },
    { prompt: 'q', model_a: 'w', model_b: 's', winner: 'tie' },
    { prompt: 'r', model_a: 'w', model_b: 'other', winner: 'a' },
  ])
  const labels = pairLabels(data, 's', 'w')
  expect([...labels.label]).toEqual([0.75, 0.5])
  expect([...labels.votes]).toEqual([4, 1])
  expect(labels.strong).toBeUndefined()
})

test('a pair that is not there is refused with what is', async () => {
  const data = await dataset([
    { prompt: 'p', model_a: 's', model_b: 'w', winner: 'a' },
    { prompt: 'p', model_a: 's', model_b: 'other', winner: 'a' },
  ])
  const pair = (strong: string, weak: string) =>
    Promise.resolve().then(() => pairLabels(data, strong, weak))
  expect((await refusal(pair('gpt', 'w'), 'model_unknown')).message).toContain('other, s, w')
  await refusal(pair('s', 's'), 'models_equal')
  await refusal(pair('other', 'w'), 'rows_too_few')
})

test('the splits hold every prompt once', async () => {
  const rows = [...Array(200).keys()].map((i) => ({ prompt: `p ${i}`, scores: { s: 1, w: 0 } }))
  const data = await dataset(rows)
  const all = SPLITS.flatMap((split) => [...splitRows(data, split)]).sort((a, b) => a - b)
  expect(all).toEqual([...Array(200).keys()])
})

test('a sample keeps prompts with all that is known of them, in their order, the same for the same seed', async () => {
  const rows = [...Array(300).keys()].flatMap((i) => [
    { prompt: `p ${i}`, scores: { s: i / 300 }, category: `c ${i % 3}` },
    ...(i % 2 === 0 ? [{ prompt: `p ${i}`, model_a: 's', model_b: 'w', winner: 'a' }] : []),
  ])
  const data = await dataset(rows)
  const part = samplePrompts(data, 120, 1)
  expect(samplePrompts(data, 120, 1)).toEqual(part)
  expect(samplePrompts(data, 120, 2).prompts).not.toEqual(part.prompts)
  expect(samplePrompts(data, 300, 1)).toBe(data)
  const { counts } = part.manifest
  expect(counts.prompts).toBe(120)
  expect(counts.outcomes).toBe(120)
  expect(counts.train + counts.validation + counts.calibration + counts.test).toBe(120)
  const from = part.prompts.map((prompt) => data.prompts.indexOf(prompt))
  expect(from).toEqual(from.toSorted((a, b) => a - b))
  const s = part.models.indexOf('s')
  part.prompts.forEach((prompt, i) => {
    const row = Number(prompt.slice(2))
    expect(part.outcomes!.scores[2 * i + s]).toBeCloseTo(row / 300, 6)
    expect(part.categories[i]).toBe(`c ${row % 3}`)
    expect(part.split[i]).toBe(data.split[from[i]!])
    expect(part.hashes[i]).toBe(data.hashes[from[i]!])
  })
  const even = part.prompts.filter((prompt) => Number(prompt.slice(2)) % 2 === 0)
  expect(Array.from(part.preferences!.prompt, (at) => part.prompts[at])).toEqual(even)
  expect(counts.preferences).toBe(even.length)
})
