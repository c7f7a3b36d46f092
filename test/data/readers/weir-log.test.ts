import { join } from 'node:path'
import { expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import { type IngestOptions, readLogs } from '../../../data/ingest.ts'
import { transcript } from '../../../models/reading/transcript.ts'
import type { FeedbackRecord } from '../../../records/decision-record.ts'
import { jsonl, scratch } from '../scratch.ts'

const header = { object: 'log', format: 1, created: '2026-01-01', text: 'full', embedding: false }
const decision = (id: string, model: string, propensity: number, text: string): object => ({
  object: 'decision',
  id,
  time: 1_700_000_000_000,
  router: 'demo',
  version: 'v',
  model,
  win_rate: 0.4,
  threshold: 0.5,
  reason: 'win_rate_below',
  propensity,
  prompt_hash: 'h',
  text,
})
const said = (decision_id: string, score: number, more: object = {}): FeedbackRecord => ({
  object: 'feedback',
  decision_id,
  score,
  time: 1_700_000_000_001,
  ...more,
})

async function read(
  lines: object[],
  stored?: readonly FeedbackRecord[],
  more: Partial<IngestOptions> = {},
) {
  const folder = await scratch({ 'log.jsonl': jsonl([header, ...lines]) })
  return readLogs([join(folder, 'log.jsonl')], {
    seed: 1,
    rejectsPath: join(folder, 'rejects.jsonl'),
    maxRejects: 1,
    ...more,
    ...(stored
      ? {
          feedback: (async function* () {
            yield* stored
          })(),
        }
      : {}),
  })
}

test('outcomes of a decision log keep the probability with which their model was given', async () => {
  const { outcomes, models, prompts } = await read([
    decision('d1', 'small', 0.95, 'one'),
    decision('d2', 'big', 0.05, 'two'),
    said('d1', 1),
    said('d2', 0),
    // the audited other model answered without a draw
    said('d2', 1, { model: 'small' }),
  ])
  expect(models).toEqual(['big', 'small'])
  expect(prompts).toEqual(['one', 'two'])
  const nan = Number.NaN
  expect([...outcomes!.scores]).toEqual([nan, 1, 0, 1])
  expect([...outcomes!.propensities!]).toEqual([nan, Math.fround(0.95), Math.fround(0.05), nan])
})

test('several ratings of one answer count by their weights; decisions without any are counted', async () => {
  const { outcomes, manifest, prompts } = await read([
    decision('d2', 'small', 0.9, 'two'),
    decision('d1', 'small', 1, 'one'),
    decision('d3', 'small', 1, 'three'),
    said('d1', 1, { kind: 'thumbs', source: 'user' }),
    said('d1', 0, { kind: 'score', source: 'judge', weight: 0.25 }),
  ])
  // in the order of the decisions, so that a prompt's place says nothing of whether it was rated
  expect(prompts).toEqual(['two', 'one', 'three'])
  const nan = Number.NaN
  expect([...outcomes!.scores]).toEqual([nan, Math.fround(0.8), nan])
  expect([...outcomes!.unrated!]).toEqual([1, nan, 1])
  expect(outcomes!.propensities![0]).toBeCloseTo(0.9, 6)
  expect(manifest.left_out).toEqual({ 'no feedback yet': 2 })
  expect(manifest.rows).toMatchObject({ read: 4, kept: 2, rejected: 0, left_out: 2 })
})

test('preferences between two answers become votes, with their propensity', async () => {
  const { preferences, outcomes, manifest } = await read([
    decision('d1', 'small', 0.75, 'one'),
    said('d1', 0, { kind: 'preference', against: 'big', source: 'user' }),
    said('d1', 0.5, { kind: 'preference', against: 'big', source: 'judge' }),
  ])
  expect([...preferences!.label]).toEqual([0, 0.5])
  expect([...preferences!.propensity!]).toEqual([0.75, 0.75])
  expect(manifest.models[preferences!.modelA[0]!]).toBe('small')
  expect(manifest.judges).toEqual(['user', 'judge'])
  expect(outcomes).toBeUndefined()
})

test('feedback of a store is joined with the log’s decisions; what is in both counts once', async () => {
  const { outcomes, manifest } = await read(
    [decision('d1', 'small', 0.9, 'one'), decision('d2', 'big', 1, 'two'), said('d1', 1)],
    [said('d1', 1), said('d2', 0.25), said('nobody', 1)],
  )
  expect([...outcomes!.scores]).toEqual([Number.NaN, 1, 0.25, Number.NaN])
  expect(manifest.rows).toEqual({ read: 4, kept: 2, rejected: 1, duplicates: 1 })
  expect(manifest.sources.map(({ path, rows }) => [path.split('/').at(-1), rows])).toEqual([
    ['log.jsonl', 1],
    ['(feedback store)', 3],
  ])
})

test('at most half of the feedback is one key’s, wherever it was given', async () => {
  const rated = Array.from({ length: 400 }, (_, i) => [
    decision(`d${i}`, 'small', 1, `prompt ${i}`),
    { ...said(`d${i}`, i < 300 ? 1 : 0), key: i < 300 ? 'loud' : `key-${i % 3}` },
  ])
  const stored = Array.from({ length: 50 }, (_, i) => ({ ...said(`s${i}`, 0), key: 'key-0' }))
  const more = stored.map((_, i) => decision(`s${i}`, 'small', 1, `stored ${i}`))
  const notes: string[] = []
  const lines = [...rated.flat(), ...more]
  const { outcomes, manifest } = await read(lines, stored, { onNote: (note) => notes.push(note) })
  const small = [...outcomes!.scores].filter((score) => !Number.isNaN(score))
  expect(small.filter((score) => score === 1)).toHaveLength(150)
  expect(small.filter((score) => score === 0)).toHaveLength(150)
  expect(manifest.rows).toMatchObject({ read: 450, kept: 300, rejected: 0 })
  expect(manifest.sources.map(({ rows }) => rows)).toEqual([400, 50])
  expect(notes).toEqual(['of the 300 decisions that the key loud rated, 150 count (--key-share)'])
  const all = await read(lines, stored, { keyShare: 1 })
  expect(all.manifest.rows.kept).toBe(450)
  // one key alone is the operator's
  expect((await read(rated.slice(0, 300).flat(), [])).manifest.rows.kept).toBe(300)
})

test('other logs have no propensities', async () => {
  const folder = await scratch({
    'a.jsonl': jsonl([{ prompt: 'x', scores: { big: 1 } }]),
    'b.jsonl': jsonl([{ prompt: 'x', model_a: 'big', model_b: 'small', winner: 'a' }]),
  })
  const { outcomes, preferences } = await readLogs(
    [join(folder, 'a.jsonl'), join(folder, 'b.jsonl')],
    { seed: 1 },
  )
  expect(outcomes!.propensities).toBeUndefined()
  expect(preferences!.propensity).toBeUndefined()
})

test('what a server writes beside its log is not data: its audit and its spending', async () => {
  const folder = await scratch({
    'a.jsonl': jsonl([header, decision('d1', 'small', 1, 'one'), said('d1', 1)]),
    'audit.jsonl': jsonl([{ object: 'audit', seq: 1, event: 'policy_loaded' }]),
    'spend-0000.jsonl': jsonl([{ object: 'spend', id: 'a', cost_usd: 1 }]),
    'budgets-0000.jsonl': jsonl([{ object: 'budget_state' }, { object: 'hold' }]),
  })
  const { prompts, outcomes } = await readLogs([folder], { seed: 1 })
  expect(prompts).toEqual(['one'])
  expect([...outcomes!.scores]).toEqual([1])
})

test('a logged conversation is the prompt again that it was', async () => {
  const messages = [
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'yes' },
    { role: 'user', content: 'two' },
  ]
  const text = transcript(messages, 'be brief', [{ name: 'find' }])
  const { prompts, hashes } = await read([decision('d1', 'small', 1, text), said('d1', 1)])
  expect(prompts).toEqual([text])
  expect(hashes).toEqual([promptHash(text)])
})
