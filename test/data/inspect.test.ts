import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { readLogs } from '../../data/ingest.ts'
import { inspect } from '../../data/inspect/inspect.ts'
import { pairGain } from '../../data/inspect/pair-gain.ts'
import { jsonl, scratch } from './scratch.ts'

async function dataset(rows: readonly object[]) {
  const folder = await scratch({ 'log.jsonl': jsonl(rows) })
  return readLogs([join(folder, 'log.jsonl')], { seed: 1 })
}

describe('inspect', () => {
  test('counts wins, losses and ties between models, and averages scores and costs', async () => {
    const vote = (winner: string) => ({
      prompt: winner,
      model_a: 'b',
      model_b: 'a',
      winner,
      judge: 'human',
    })
    const found = inspect(
      await dataset([
        ...['a', 'a', 'b', 'tie', 'both_bad'].map(vote),
        { prompt: 'p', scores: { a: 1, b: 0.5 }, costs: { a: 3 }, category: 'maths' },
        { prompt: 'q', scores: { a: 0, c: 0.5 }, costs: { a: 1 }, category: 'maths' },
      ]),
    )
    expect(found.meetings[0]).toEqual({ a: 'a', b: 'b', wins: 2, losses: 2, ties: 1, both_bad: 1 })
    expect(found.models.find(({ model }) => model === 'a')).toEqual({
      model: 'a',
      scored: 2,
      score: 0.5,
      cost: 2,
      tokens: null,
      votes: 5,
      wins: 1,
      losses: 2,
      ties: 2,
    })
    expect(found.categories).toEqual([{ category: 'maths', prompts: 2 }])
    expect(found.judges).toEqual([{ judge: 'human', votes: 5 }])
  })

  test('a pair by one judge, by enough votes, or by a margin', async () => {
    const data = await dataset([
      { prompt: 'p', model_a: 's', model_b: 'w', winner: 'a', judge: 'human' },
      { prompt: 'p', model_a: 's', model_b: 'w', winner: 'b', judge: 'gpt-4' },
      { prompt: 'q', model_a: 's', model_b: 'w', winner: 'b', judge: 'human' },
      { prompt: 'r', scores: { s: 0.6, w: 0.5 } },
    ])
    expect(pairGain(data, 's', 'w').prompts).toBe(3)
    expect(pairGain(data, 's', 'w', { judge: 'human' })).toMatchObject({
      prompts: 2,
      strong_better: 0.5,
    })
    expect(pairGain(data, 's', 'w', { minVotes: 2 })).toMatchObject({ prompts: 1, equal: 1 })
    expect(pairGain(data, 's', 'w').gain.value).toBeCloseTo((0 - 1 + 0.1) / 3, 6)
    expect(pairGain(data, 's', 'w', { margin: 0.2 }).gain.value).toBeCloseTo((0 - 1 + 0) / 3, 6)
  })

  test('which model is better stays open where few prompts judge both, and the count says so', async () => {
    const data = await dataset([
      ...[1, 0, 1, 0].map((s, i) => ({ prompt: `both ${i}`, scores: { s, w: 1 - s } })),
      ...[...Array(40).keys()].map((i) => ({ prompt: `vote ${i}`, scores: { s: 1, other: 0 } })),
    ])
    expect(pairGain(data, 's', 'w').verdict).toBe(
      'which model is better on average is open: 4 of 44 prompts judge both, and their interval holds 0, so PGR is undefined',
    )
  })

  test('the margin of a guessing router is what guessing routers show', async () => {
    const random = createRandom(4)
    const rows = [...Array(800).keys()].map((i) => ({
      prompt: `${i} question`,
      scores: { s: random.next() < 0.7 ? 1 : 0, w: random.next() < 0.45 ? 1 : 0 },
    }))
    const data = await dataset(rows)
    const { chance, gain } = pairGain(data, 's', 'w')
    const gains = rows.map(({ scores }) => scores.s - scores.w)
    let inside = 0
    for (let trial = 0; trial < 1000; trial++) {
      const order = random.shuffle([...gains])
      let reached = 0
      let area = 0
      for (const step of order) {
        area += reached + step / 2
        reached += step
      }
      const apgr = area / order.length / reached
      if (Math.abs(apgr - 0.5) <= chance.all!) inside++
    }
    expect(gain.low).toBeGreaterThan(0)
    expect(inside / 1000).toBeGreaterThan(0.93)
    expect(inside / 1000).toBeLessThan(0.97)
  })

  test('a pair whose gap is not clear of 0 is said to have no PGR', async () => {
    const rows = [...Array(40).keys()].map((i) => ({
      prompt: `p${i}`,
      scores: { s: i % 2, w: (i + 1) % 2 },
    }))
    const pair = pairGain(await dataset(rows), 's', 'w')
    expect(pair).toMatchObject({ needed: null, chance: { test: null, all: null } })
    expect(pair.verdict).toContain('undefined')
  })
})
