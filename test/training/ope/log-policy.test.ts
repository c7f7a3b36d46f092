import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import { createRandom } from '../../../core/random.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter, type Router } from '../../../models/router.ts'
import { decisionLine, type FeedbackRecord } from '../../../records/decision-record.ts'
import { evaluateOnLog } from '../../../training/ope/log-policy.ts'
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
  more: { version?: string; floor?: number } = {},
): Promise<string> {
  const { version = '0123456789abcdef', floor = 0.1 } = more
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
      score: strong || i % 2 === 1 ? 1 : 0,
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
  const report = await evaluateOnLog(await served('full', 'full'), router)
  // proofs go strong, greetings weak: every answer right, where half were
  expect(report.strong_share).toBeCloseTo(0.5, 12)
  expect(report.doubly_robust.low).toBeGreaterThan(0.9)
  expect(report.over_served.low).toBeGreaterThan(0.3)
  expect(report.counts).toMatchObject({ decisions: N, repeated: N, orphaned: 1, torn: 1 })
  expect(report.rows).toBe(N)
  const charged = await evaluateOnLog(join(root, 'full.jsonl'), router, { strongPrice: 0.2 })
  expect(charged.doubly_robust.value! - report.doubly_robust.value!).toBeCloseTo(-0.1, 1)
})

test('without prompts only another threshold of the same router can be valued', async () => {
  const other = await served('hashes', 'none')
  await expect(evaluateOnLog(other, router)).rejects.toMatchObject({ code: 'log_needs' })
  const own = await served('own', 'none', { version: router.manifest.version })
  const report = await evaluateOnLog(own, router, { threshold: 0 })
  expect(report.strong_share).toBe(1)
  expect(report.doubly_robust.value).toBeGreaterThan(0.9)
})

test('a log without exploration is refused', async () => {
  const path = await served('certain', 'full', { floor: 0 })
  await expect(evaluateOnLog(path, router)).rejects.toMatchObject({
    code: 'ope_propensities_missing',
  })
})
