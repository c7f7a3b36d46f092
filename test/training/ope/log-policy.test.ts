import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import { createRandom } from '../../../core/random.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter, type Router } from '../../../models/router.ts'
import { decisionLine, type FeedbackRecord } from '../../../records/decision-record.ts'
import { evaluateOnLog, priceAtThreshold } from '../../../training/ope/log-policy.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { loadWordEncoder } from '../../models/word-encoder.ts'

const N = 2000
let root: string
let router: Router
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-ope-'))
  const { path } = await writeBundle(root, sampleDraft())
  router = await loadRouter(path, { loadEncoder: loadWordEncoder })
})
afterAll(async () => {
  await router.close()
  await rm(root, { recursive: true })
})

/** Served all weak but for a tenth; proofs are answered right by the strong model only. */
async function served(
  name: string,
  text: 'none' | 'full',
  more: {
    version?: string
    floor?: number
    /** who rates a decision, and how, in place of the truth */
    rate?: (i: number, truth: number) => Pick<FeedbackRecord, 'score' | 'key' | 'role'>
  } = {},
): Promise<string> {
  const { version = '0123456789abcdef', floor = 0.1, rate } = more
  const random = createRandom(31)
  const lines = [
    JSON.stringify({ object: 'log', format: 1, created: '2026-01-01', text, embedding: false }),
  ]
  for (let i = 0; i < N; i++) {
    const prompt = `${i % 2 === 0 ? 'prove' : 'hello'} ${i}`
    const strong = random.next() < floor
    const { winRate } = await router.score([prompt])
    const propensity = strong ? floor : 1 - floor
    lines.push(
      decisionLine({
        object: 'decision',
        id: `d${i}`,
        time: i,
        router: 'sample',
        version,
        model: strong ? 'big' : 'small',
        win_rate: winRate[0]!,
        threshold: 1,
        reason: strong ? 'explored' : 'win_rate_below',
        propensity,
        prompt_hash: promptHash(prompt),
        ...(floor > 0 ? { propensities: { big: floor, small: 1 - floor } } : {}),
        ...(text === 'full' ? { text: prompt } : {}),
      }),
    )
    const word: FeedbackRecord = {
      object: 'feedback',
      time: N + i,
      decision_id: `d${i}`,
      ...(rate ?? ((_, score) => ({ score })))(i, strong || i % 2 === 1 ? 1 : 0),
    }
    // delivered twice
    lines.push(JSON.stringify(word), JSON.stringify(word))
  }
  lines.push('{"object":"feedback","time":1,"decision_id":"gone","score":1}', '{"object":"deci')
  const path = join(root, `${name}.jsonl`)
  await writeFile(path, lines.join('\n'))
  return path
}

test('a log that another router served says what this one would have earned', async () => {
  const report = await evaluateOnLog(await served('full', 'full'), router, { strongPrice: 0 })
  // proofs go strong, greetings weak: every answer right, where half were
  expect(report.strong_share).toBeCloseTo(0.5, 12)
  expect(report.doubly_robust.low).toBeGreaterThan(0.9)
  expect(report.over_served.low).toBeGreaterThan(0.3)
  expect(report.counts).toMatchObject({ decisions: N, repeated: N, orphaned: 1, torn: 1 })
  expect(report.rows).toBe(N)
  const charged = await evaluateOnLog(join(root, 'full.jsonl'), router, { strongPrice: 0.2 })
  expect(charged.doubly_robust.value! - report.doubly_robust.value!).toBeCloseTo(-0.1, 1)
  expect(charged.quality_over_served).toEqual(report.over_served)
})

test('where a third of the decisions is rated, the report says so and speaks for all', async () => {
  const lines = (await readFile(join(root, 'full.jsonl'), 'utf8')).split('\n')
  const path = join(root, 'third.jsonl')
  const kept = lines.filter(
    (line) => Number(/"decision_id":"d(\d+)"/.exec(line)?.[1] ?? 0) % 3 === 0,
  )
  await writeFile(path, kept.join('\n'))
  const report = await evaluateOnLog(path, router, { strongPrice: 0 })
  const rated = Math.ceil(N / 3)
  expect(report.response).toMatchObject({ rated, unrated: N - rated, rare: 0 })
  expect(report.response!.assumption).toContain('whether an answer is rated depends on')
  expect(report.response!.auc).toBeLessThan(0.6)
  expect(report.doubly_robust.low).toBeGreaterThan(0.85)
})

test('a strong call is charged what the serving threshold says it must gain', async () => {
  const path = join(root, 'full.jsonl')
  // the log's router served with a threshold of 1: a strong call is worth it only where it gains 1
  const report = await evaluateOnLog(path, router)
  expect(report.strong_price).toBe(1)
  expect(report.served_strong_share).toBeCloseTo(0.1, 1)
  expect(report.over_served.value!).toBeLessThan(report.quality_over_served.value!)
  expect([0.3, 0.5, 0.62, 2].map(priceAtThreshold)).toEqual([0, 0, 0.24, 1])
})

test('without prompts only another threshold of the same router can be valued', async () => {
  const other = await served('hashes', 'none')
  await expect(evaluateOnLog(other, router)).rejects.toMatchObject({ code: 'log_needs' })
  const own = await served('own', 'none', { version: router.manifest.version })
  const report = await evaluateOnLog(own, router, { threshold: 0, strongPrice: 0 })
  expect(report.strong_share).toBe(1)
  expect(report.doubly_robust.value).toBeGreaterThan(0.9)
})

test('a log without exploration is refused', async () => {
  const path = await served('certain', 'full', { floor: 0 })
  await expect(evaluateOnLog(path, router)).rejects.toMatchObject({
    code: 'ope_propensities_missing',
  })
})

test('a key that gives most of the feedback, and gives it wrong, moves the estimate by its share at most', async () => {
  // every fifth decision belongs to one of eight honest keys; the truth is that every answer is right
  const rate = (i: number, truth: number) =>
    i % 5 === 0 ? { score: truth, key: `honest-${(i / 5) % 8}` } : { score: 1 - truth, key: 'eve' }
  const log = await served('flooded', 'full', { rate })
  const all = await evaluateOnLog(log, router, { keyShare: 1, strongPrice: 0 })
  expect(all.doubly_robust.value).toBeLessThan(0.25)
  expect(all.limited_keys).toEqual([])
  const half = await evaluateOnLog(log, router, { strongPrice: 0 })
  expect(half.limited_keys).toEqual([{ key: 'eve', rated: 1600, counted: 400 }])
  expect(half.rows).toBe(800)
  const tenth = await evaluateOnLog(log, router, { keyShare: 1 / 9, strongPrice: 0 })
  expect(tenth.limited_keys).toEqual([{ key: 'eve', rated: 1600, counted: 50 }])
  // known truth 1, moved by no more than the share that eve has, and what chance adds
  for (const [{ doubly_robust: value }, share] of [
    [half, 1 / 2],
    [tenth, 1 / 9],
  ] as const) {
    expect(value.high).toBeGreaterThan(1 - share)
  }
  expect(tenth.doubly_robust.value).toBeGreaterThan(0.8)
  // a judge with `feedback: any` is the operator's
  const judged = await served('judged', 'full', {
    rate: (i, truth) =>
      i % 5 === 0 ? rate(i, truth) : { score: truth, key: 'judge', role: 'any' },
  })
  const trusted = await evaluateOnLog(judged, router, { strongPrice: 0 })
  expect([trusted.limited_keys, trusted.rows]).toEqual([[], N])
  expect(trusted.doubly_robust.low).toBeGreaterThan(0.9)
})
