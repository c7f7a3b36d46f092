import { mkdtemp, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import { createRandom } from '../../../core/random.ts'
import { readLogs } from '../../../data/ingest.ts'
import { loadRouter } from '../../../models/router.ts'
import { decisionLine } from '../../../records/decision-record.ts'
import { type LearnOptions, learn } from '../../../training/loop/learn.ts'
import { train } from '../../../training/train.ts'
import { singleLines, singleLog } from '../single-log.ts'

const FIT = { router: 'classifier', engine: 'onnx', seed: 1, threads: 1, name: 'demo' } as const
const ROWS = 1600
const EXPLORED = 0.2
let folder: string
let log: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-learn-'))
  const few = await singleLog({ rows: 420, seed: 41, asked: () => 0.5 })
  const pair = { strong: 'big', weak: 'small' }
  await train(few, { ...FIT, ...pair, out: join(folder, 'bundles') })
  log = await serve()
}, 60_000)
afterAll(() => rm(folder, { recursive: true }))

/** Traffic that the first router served with a floor of exploration, each answer rated. */
async function serve(): Promise<string> {
  const router = await loadRouter(join(folder, 'bundles/demo'))
  const { version, threshold } = router.manifest
  const world = { rows: ROWS, seed: 42, asked: () => 0.5, paired: 1 }
  const truth = singleLines(world) as { prompt: string; scores: Record<string, number> }[]
  const { winRate } = await router.score(truth.map(({ prompt }) => prompt))
  await router.close()
  const random = createRandom(43)
  const head = { object: 'log', format: 1, created: '2026-01-01', text: 'full', embedding: false }
  const lines = truth.flatMap(({ prompt, scores }, i) => {
    const greedy = winRate[i]! >= threshold.value ? 'big' : 'small'
    const other = greedy === 'big' ? 'small' : 'big'
    const turned = random.next() < EXPLORED
    const model = turned ? other : greedy
    return [
      decisionLine({
        object: 'decision',
        id: `d${i}`,
        time: i,
        router: 'demo',
        version,
        model,
        win_rate: winRate[i]!,
        threshold: threshold.value,
        reason: turned ? 'explored' : greedy === 'big' ? 'win_rate_above' : 'win_rate_below',
        propensity: turned ? EXPLORED : 1 - EXPLORED,
        propensities: { [greedy]: 1 - EXPLORED, [other]: EXPLORED },
        prompt_hash: promptHash(prompt),
        text: prompt,
      }),
      JSON.stringify({ object: 'feedback', time: i, decision_id: `d${i}`, score: scores[model] }),
    ]
  })
  const path = join(folder, 'served.jsonl')
  await writeFile(path, [JSON.stringify(head), ...lines].join('\n'))
  return path
}

const options = (more: Partial<LearnOptions> = {}): LearnOptions => ({
  ...FIT,
  log,
  serving: join(folder, 'bundles/demo'),
  out: join(folder, 'next'),
  load: (path) => loadRouter(path),
  date: '2026-01-01',
  ...more,
})

test('served traffic becomes a calibrated candidate, valued on requests it was not made from', async () => {
  const before = await readlink(join(folder, 'bundles/demo/current'))
  const dataset = await readLogs([log], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
  const { trained, calibrated, target, report, candidate } = await learn(dataset, options())
  expect(candidate).toBe(join(folder, 'next/demo'))
  // the first router has no certificate, so its own share is kept
  expect(target.kind).toBe('strong-share')
  expect((target as { share: number }).share).toBeCloseTo(0.5, 1)
  expect(calibrated.bundle!.manifest.threshold.source).toBe('calibrated')
  expect(trained.bundle.manifest.data.observational).toMatchObject({ propensities: 'logged' })
  // three quarters trained and validated it
  expect(report.counts.seen).toBeGreaterThan(0.6 * ROWS)
  expect(report.rows + report.counts.seen).toBe(ROWS)
  expect(report.over_served.low!).toBeLessThan(report.over_served.high!)
  expect(report.router.threshold).toBe(calibrated.threshold)
  // what serves is as it was
  expect(await readlink(join(folder, 'bundles/demo/current'))).toBe(before)
  expect((await stat(join(candidate, 'current'))).isDirectory()).toBe(true)
}, 60_000)
