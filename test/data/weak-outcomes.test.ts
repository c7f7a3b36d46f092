import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { SPLITS } from '../../data/dataset/dataset.ts'
import { ingest } from '../../data/ingest.ts'
import { readLogs } from '../../data/read-logs.ts'
import { weirLogReader } from '../../data/readers/weir-log.ts'
import type { Decisions, Rating } from '../../data/rows/reader.ts'
import { weakOutcomes, withWeakOutcomes } from '../../data/weak-outcomes.ts'
import type { SignalRecord } from '../../records/decision-record.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-weak-'))
})
afterEach(() => rm(root, { recursive: true }))

interface World {
  readonly answers: number
  /** share of answers that users rate */
  readonly rated: number
  readonly seed?: number
}

/** P(sign | good answer), P(sign | bad answer). */
const RATES = { correction: [0.05, 0.5], stopped: [0.3, 0.3] } as const
const GOOD = { big: 0.8, small: 0.5 }

interface Line extends Record<string, unknown> {
  readonly object: string
}

/** Lines of a decision log of a server with two models, whose answers are good with the probabilities above. */
function linesOf({ answers, rated, seed = 1 }: World): Line[] {
  const random = createRandom(seed)
  const lines: Line[] = []
  for (let i = 0; i < answers; i++) {
    const model = random.next() < 0.5 ? 'big' : 'small'
    const good = random.next() < GOOD[model]
    const id = `r${i}`
    lines.push({
      ...{ object: 'gateway', id, time: 1e12 + i, endpoint: 'chat', key: 'app', asked: 'auto' },
      ...{ step: 'split', reason: 'drawn', strategy: 'single', targets: [model], model },
      ...{ propensity: 0.5, attempts: [], ms: 1, status: 200, text: `question ${i}` },
    })
    if (random.next() < 0.7) {
      const signs = Object.entries(RATES).flatMap(([sign, [ifGood, ifBad]]) =>
        random.next() < (good ? ifGood : ifBad) ? [sign] : [],
      )
      lines.push({ object: 'signal', decision_id: id, time: 1e12 + i, model, signs, key: 'app' })
    }
    if (random.next() < rated) {
      const score = good ? 1 : 0
      lines.push({ object: 'feedback', decision_id: id, time: 1e12 + i, score, key: `u${i % 9}` })
    }
  }
  return lines
}

async function log(world: World): Promise<string> {
  const header = {
    ...{ object: 'log', format: 1, created: '2026-01-01T00:00:00Z' },
    ...{ text: 'full', embedding: false },
  }
  const path = join(root, 'log.jsonl')
  const lines = [header, ...linesOf(world)].map((line) => `${JSON.stringify(line)}\n`)
  await writeFile(path, lines.join(''))
  return path
}

test('signs are measured against ratings; those that say something score unrated answers, on train prompts alone', async () => {
  const notes: string[] = []
  const { manifest } = await ingest([await log({ answers: 3000, rated: 0.3 })], {
    out: join(root, 'dataset'),
    seed: 1,
    onNote: (note) => void notes.push(note),
  })
  const report = manifest.weak_signals!
  const [correction, stopped] = report.signs
  // P(good | correction) with .65 good on average, and without
  expect(correction).toMatchObject({ sign: 'correction', used: true })
  expect(correction!.score).toBeCloseTo(0.157, 1)
  expect(correction!.without).toBeCloseTo(0.779, 1)
  expect(stopped).toMatchObject({ sign: 'stopped', used: false })
  expect(report.scored).toBe(report.answers - report.rated)
  expect(notes.join('\n')).toMatch(/correction: \d+ answers, .*; counts/)
  expect(notes.join('\n')).toMatch(/stopped: .* does not count, as the difference may be none/)
  const dataset = await readLogs(join(root, 'dataset'))
  expect(manifest.rows.read).toBe(
    manifest.rows.kept + (manifest.rows.left_out ?? 0) + manifest.rows.duplicates,
  )
  const { scores, weak } = dataset.outcomes!
  // ratings are whole, weak scores are not: by model and sign, four values
  const found = new Map<string, number[]>()
  const bySign = [...weak!].map((value) => Math.round(value * 1000) / 1000)
  bySign.forEach((value, at) => {
    if (Number.isNaN(value)) return
    expect(scores[at]).toBeNaN()
    const model = dataset.models[at % 2]!
    const its = found.get(model) ?? []
    found.set(model, its.includes(value) ? its : [...its, value].sort())
  })
  const bayes = (model: keyof typeof GOOD, sign: boolean): number => {
    const [ifGood, ifBad] = RATES.correction
    const p = GOOD[model]
    const a = p * (sign ? ifGood : 1 - ifGood)
    return a / (a + (1 - p) * (sign ? ifBad : 1 - ifBad))
  }
  for (const model of ['big', 'small'] as const) {
    const [low, high] = found.get(model)!
    expect(low).toBeCloseTo(bayes(model, true), 1)
    expect(high).toBeCloseTo(bayes(model, false), 1)
  }
  const merged = withWeakOutcomes(dataset).outcomes!.scores
  const learnt = [SPLITS.indexOf('train'), SPLITS.indexOf('validation')]
  const expected = scores.map((score, at) =>
    learnt.includes(dataset.split[Math.floor(at / 2)]!) && Number.isNaN(score) ? weak![at]! : score,
  )
  expect(merged).toEqual(expected)
})

test('a sign that says nothing counts in few logs of many', async () => {
  let counted = 0
  for (let seed = 1; seed <= 30; seed++) {
    const signals: SignalRecord[] = []
    const decisions: Decisions = Object.assign(new Map(), { signals })
    const ratings: Rating[] = []
    for (const line of linesOf({ answers: 400, rated: 0.5, seed })) {
      const origin = { path: 'log', line: 1 }
      if (line.object === 'feedback') ratings.push({ record: line as never, origin })
      else weirLogReader.open(new Set(), [], { decisions })(line, origin)
    }
    const [correction, stopped] = weakOutcomes(decisions, ratings).report.signs
    expect(correction!.used).toBe(true)
    counted += Number(stopped!.used)
  }
  // at a one-sided level of 2.5%: .75 expected, above 3 in one run of 140
  expect(counted).toBeLessThanOrEqual(3)
})

test('without enough ratings nothing is scored, and training with the flag is refused with what was found', async () => {
  const path = await log({ answers: 300, rated: 0.05 })
  const { manifest } = await ingest([path], { out: join(root, 'dataset'), seed: 1 })
  expect(manifest.weak_signals).toMatchObject({ scored: 0 })
  const dataset = await readLogs(join(root, 'dataset'))
  expect(dataset.outcomes!.weak).toBeUndefined()
  expect(() => withWeakOutcomes(dataset)).toThrow(
    /expected decision logs .* for --weak-signals, got weak signals: \d+ answers[\s\S]*does not count: 20 ratings/,
  )
})

test('a signal line that is none is refused with its field; one of an unknown answer is passed over', async () => {
  const path = await log({ answers: 100, rated: 1 })
  const more = join(root, 'more.jsonl')
  await writeFile(
    more,
    '{"object":"signal","decision_id":"r1"}\n{"object":"signal","decision_id":"none","time":1,"model":"big","signs":["correction"],"key":"app"}\n',
  )
  const dataset = await readLogs([path, more], { rejectsPath: join(root, 'rejects.jsonl') })
  expect(dataset.manifest.rows.rejected).toBe(1)
})
