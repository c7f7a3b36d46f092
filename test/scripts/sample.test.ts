import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { SAMPLE_ROWS, SAMPLE_SEED } from '../../scripts/make-sample.ts'
import { expectedApgr } from '../../scripts/sample/best-possible.ts'
import { logText, summaryOf, truthText } from '../../scripts/sample/files.ts'
import { successProbability } from '../../scripts/sample/outcomes.ts'
import { simulate, stemOf } from '../../scripts/sample/simulator.ts'

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
interface TruthLine {
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
const truth = new Map(parse<TruthLine>(unpacked('truth.jsonl.gz')).map((line) => [line.id, line]))
const families = [...new Set(log.map((line) => line.category))]

describe('the shipped sample', () => {
  test('is what its seed gives, byte for byte', () => {
    const rows = simulate(SAMPLE_ROWS, SAMPLE_SEED)
    expect(logText(rows) === unpacked('outcomes.jsonl.gz')).toBe(true)
    expect(truthText(rows) === unpacked('truth.jsonl.gz')).toBe(true)
    expect(JSON.parse(shipped('summary.json').toString('utf8'))).toEqual(
      summaryOf(rows, SAMPLE_SEED),
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

  test('has no two prompts with the same stem', () => {
    expect(new Set(log.map((line) => stemOf(line.prompt))).size).toBe(log.length)
  })

  test('opens its prompts in so many ways that no opening is shared by over 5% of them', () => {
    const openings = new Map<string, number>()
    for (const { prompt } of log) {
      const opening = prompt.toLowerCase().slice(0, 16)
      openings.set(opening, (openings.get(opening) ?? 0) + 1)
    }
    expect(Math.max(...openings.values())).toBeLessThan(0.05 * log.length)
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
    for (const row of log) {
      expect(Object.keys(row.scores)).toEqual(['big-1', 'small-1'])
      for (const model of ['big-1', 'small-1']) {
        expect([0, 1]).toContain(row.scores[model])
        expect(row.costs[model]).toBeGreaterThan(0)
        expect(Number.isInteger(row.tokens[model])).toBe(true)
      }
    }
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
    expect(logText(simulate(60, 1))).not.toBe(logText(simulate(60, 2)))
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
