import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inspect } from '../../../data/inspect/inspect.ts'
import { readPrompts } from '../../../data/prompt-log.ts'
import { isBlunt } from '../../../models/bundle/manifest.ts'
import { evidenceNotes } from '../../../training/evaluate/log/scored-log.ts'
import { logEvidence } from '../../../training/ope/log-evidence.ts'
import { jsonl, scratch } from '../../data/scratch.ts'
import { singleLog } from '../single-log.ts'

const PAIR = { strong: 'big', weak: 'small' }

test('a log of single answers says what it can be used for', async () => {
  const log = await singleLog({ rows: 1200, seed: 31, asked: () => 0.5, paired: 0.1 })
  const { evidence, dataset } = await logEvidence(log, PAIR, { seed: 1 })
  const { paired, strong_only, weak_only } = evidence.counts
  expect(paired + strong_only + weak_only).toBe(1200)
  expect(evidence.can).toEqual({ train: true, judge: true, promise: false })
  expect(evidence.needed.join()).toMatch(/to promise a bounded loss: about [\d,]+ prompts/)
  const { pair } = inspect(dataset, PAIR)
  expect(pair!.prompts).toBe(1200)
  expect(pair!.oracle).toBeNull()
  expect(pair!.strong_better).toBeNull()
})

test('a log whose models never meet says what would help', async () => {
  const log = await singleLog({ rows: 500, seed: 32, asked: (hard) => (hard ? 1 : 0) })
  const { evidence } = await logEvidence(log, PAIR, { seed: 1 })
  expect(evidence.can).toEqual({ train: false, judge: false, promise: false })
  expect(evidence.refused).toMatch(/--explore/)
})

test('prompts are read from a decision log, without shadows and feedback', async () => {
  const decision = (id: string, more: object) => ({ object: 'decision', id, ...more })
  const folder = await scratch({
    'logs.jsonl': jsonl([
      { object: 'log', format: 1, created: '2026-01-01', text: 'full', embedding: false },
      decision('a', { text: 'one' }),
      decision('b', { text: 'two', shadow: true }),
      { object: 'gateway', id: 'g', decision_id: 'a' },
      { object: 'gateway', id: 'h', text: 'three' },
      { object: 'feedback', decision_id: 'a', score: 1, time: 1 },
    ]),
    'none.jsonl': jsonl([decision('a', {})]),
  })
  expect((await readPrompts([join(folder, 'logs.jsonl')])).prompts).toEqual(['one', 'three'])
  await expect(readPrompts([join(folder, 'none.jsonl')])).rejects.toMatchObject({
    code: 'log_needs',
  })
})

test('a sharp assignment without logged propensities is warned of, a logged one is not', async () => {
  const world = { rows: 900, seed: 33, asked: (hard: boolean) => (hard ? 0.85 : 0.15) }
  for (const logged of [false, true]) {
    const { dataset } = await logEvidence(await singleLog({ ...world, logged }), PAIR, { seed: 1 })
    expect(isBlunt(dataset.estimates!.summary)).toBe(!logged)
    const notes = evidenceNotes(dataset, PAIR).join()
    expect(notes.includes('may be off by more than their intervals say')).toBe(!logged)
  }
})
