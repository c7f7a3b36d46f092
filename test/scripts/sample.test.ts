import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { findSharedPrefixes, stem } from '../../data/splits/stem.ts'
import {
  expectedApgr,
  logText,
  modelsText,
  preferenceText,
  summaryOf,
  thumbsText,
  truthText,
} from '../../scripts/sample/files.ts'
import {
  SAMPLE_OUTCOMES,
  SAMPLE_PREFERENCES,
  SAMPLE_SEED,
} from '../../scripts/sample/make-sample.ts'

import { successProbability } from '../../scripts/sample/outcomes.ts'
import { RATED_SHARE } from '../../scripts/sample/served.ts'
import { simulate } from '../../scripts/sample/simulator.ts'

const shipped = (name: string): Buffer =>
  readFileSync(new URL(`../../data/sample/${name}`, import.meta.url))
const unpacked = (name: string): string => gunzipSync(shipped(name)).toString('utf8')

interface LogLine {
  id: string
  prompt: string
  category: string
  scores: Record<string, number>
  costs: Record<string, number>
  tokens: Record<string, number>
}
interface PreferenceLine {
  id: string
  prompt: string
  model_a: string
  model_b: string
  winner: 'model_a' | 'model_b' | 'tie' | 'both_bad'
}
interface TruthLine {
  win_rate_a: number
  id: string
  difficulty: number
  p_strong: number
  p_weak: number
}

const parse = <T>(text: string): T[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
const log = parse<LogLine>(unpacked('outcomes.jsonl.gz'))
const preferences = parse<PreferenceLine>(unpacked('preferences.jsonl.gz'))
const truth = new Map(parse<TruthLine>(unpacked('truth.jsonl.gz')).map((line) => [line.id, line]))
const families = [...new Set(log.map((line) => line.category))]

describe('the shipped sample', () => {
  test('is what its seed gives, byte for byte', () => {
    const sample = simulate(SAMPLE_OUTCOMES, SAMPLE_PREFERENCES, SAMPLE_SEED)
    expect(logText(sample.outcomes) === unpacked('outcomes.jsonl.gz')).toBe(true)
    expect(preferenceText(sample.preferences) === unpacked('preferences.jsonl.gz')).toBe(true)
    expect(thumbsText(sample.thumbs) === unpacked('thumbs.jsonl.gz')).toBe(true)
    expect(modelsText(sample.models) === unpacked('models.jsonl.gz')).toBe(true)
    expect(truthText(sample) === unpacked('truth.jsonl.gz')).toBe(true)
    expect(JSON.parse(shipped('summary.json').toString('utf8'))).toEqual(
      summaryOf(sample, SAMPLE_SEED),
    )
  })

  test('has at least 10 task families, none over a tenth of the rows', () => {
    expect(families.length).toBeGreaterThanOrEqual(10)
    for (const family of families) {
      const rows = log.filter((line) => line.category === family).length
      expect(rows).toBeGreaterThan(100)
      expect(rows).toBeLessThan(log.length / 10)
    }
  })

  test('has no two prompts with the same stem, within a log or across the two', () => {
    const rows = [...log, ...preferences]
    expect(new Set(rows.map((line) => stem(line.prompt, []))).size).toBe(rows.length)
  })

  test('opens its prompts in so many ways that none is taken for a template', () => {
    expect(findSharedPrefixes(log.map((line) => line.prompt))).toEqual([])
  })

  test('leaves no unfilled slot in a prompt', () => {
    const slots = log.filter((line) =>
      /\{(?:name|city|good|n|m|text|q|task|language)\}/.test(line.prompt),
    )
    expect(slots).toEqual([])
  })

  test.each(families)('was drawn from its stated probabilities: %s', (family) => {
    const rows = log.filter((line) => line.category === family)
    for (const [model, key] of [
      ['big-1', 'p_strong'],
      ['small-1', 'p_weak'],
    ] as const) {
      let right = 0
      let expected = 0
      let variance = 0
      for (const row of rows) {
        const p = truth.get(row.id)![key]
        right += row.scores[model]!
        expected += p
        variance += p * (1 - p)
      }
      expect(Math.abs(right - expected)).toBeLessThan(4 * Math.sqrt(variance))
    }
  })

  test('gives each row scores of 0 or 1, positive costs and whole token counts for both models', () => {
    const models = ['big-1', 'small-1']
    const odd = log.filter(
      (row) =>
        Object.keys(row.scores).join() !== models.join() ||
        !models.every(
          (model) =>
            (row.scores[model] === 0 || row.scores[model] === 1) &&
            row.costs[model]! > 0 &&
            Number.isInteger(row.tokens[model]),
        ),
    )
    expect(odd).toEqual([])
  })

  test('has preferences as often as their stated win rates say, for each pair of its four models', () => {
    const pairs = new Map<string, { won: number; expected: number; rows: number }>()
    for (const row of preferences) {
      const pair = [row.model_a, row.model_b].sort().join(' ')
      const flip = pair.startsWith(row.model_a) ? 1 : -1
      const sums = pairs.get(pair) ?? { won: 0, expected: 0, rows: 0 }
      const y = row.winner === 'model_a' ? 1 : row.winner === 'model_b' ? 0 : 0.5
      sums.won += flip * (y - 0.5)
      sums.expected += flip * (truth.get(row.id)!.win_rate_a - 0.5)
      sums.rows += 1
      pairs.set(pair, sums)
    }
    expect(pairs.size).toBe(6)
    // a label's standard deviation is at most one half
    for (const { won, expected, rows } of pairs.values()) {
      expect(Math.abs(won - expected)).toBeLessThan(4 * 0.5 * Math.sqrt(rows))
    }
  })

  test('has a thumbs log that says of each answer what the outcome log says', () => {
    const thumbs = parse<{ id: string; model: string; thumb: string | null }>(
      unpacked('thumbs.jsonl.gz'),
    )
    const scores = new Map(log.map((row) => [row.id, row.scores]))
    const rated = thumbs.filter(({ thumb }) => thumb !== null)
    expect(thumbs.length).toBe(log.length)
    // five standard errors of a share of .5 or .6 in 5,000 rows
    expect(Math.abs(rated.length / log.length - RATED_SHARE)).toBeLessThan(0.035)
    const strong = thumbs.filter(({ model }) => model === 'big-1').length
    expect(Math.abs(strong / log.length - 0.5)).toBeLessThan(0.036)
    const wrong = rated.filter(
      ({ id, model, thumb }) => (scores.get(id)![model] === 1) !== (thumb === 'up'),
    )
    expect(wrong).toEqual([])
  })

  test('can be routed far better than by prompt length', () => {
    const rows = log.map((line) => truth.get(line.id)!)
    const gain = rows.map((row) => row.p_strong - row.p_weak)
    const lengths = log.map((line) => line.prompt.length)
    expect(expectedApgr(gain, gain)).toBeGreaterThan(0.75)
    expect(expectedApgr(lengths, gain)).toBeGreaterThan(0.53)
    expect(expectedApgr(lengths, gain)).toBeLessThan(0.62)
  })
})

describe('the simulator', () => {
  test('gives other rows for another seed', () => {
    expect(logText(simulate(60, 0, 1).outcomes)).not.toBe(logText(simulate(60, 0, 2).outcomes))
  })

  test('states the success probability as its README does', () => {
    expect(successProbability(0.5, 0.5)).toBe(0.5)
    expect(successProbability(0.9, 0.4)).toBe(0.9776)
    expect(successProbability(0, 1)).toBe(0.02)
  })
})

describe('expectedApgr', () => {
  test('is one half for a constant score', () => {
    expect(expectedApgr([1, 1, 1, 1], [0.9, 0, 0.3, 0])).toBeCloseTo(0.5, 12)
  })

  test('is 1 - f/2 when a share f of the prompts holds all of the gain', () => {
    expect(expectedApgr([1, 0, 0, 0], [0.8, 0, 0, 0])).toBeCloseTo(0.875, 12)
  })
})
