import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { describeObservational } from '../../models/bundle/manifest.ts'
import { loadRouter } from '../../models/router.ts'
import { renderReport } from '../../scripts/report/terminal-report.ts'
import { calibrate } from '../../training/calibrate/calibrate.ts'
import { evaluate } from '../../training/evaluate/evaluate.ts'
import { fitRouter } from '../../training/fit-router.ts'
import { withPairEstimates } from '../../training/ope/pair-estimates.ts'
import { type TrainOptions, type TrainResult, train } from '../../training/train.ts'
import { singleLines, singleLog, TRUE_GAP } from './single-log.ts'

const PAIR = { strong: 'big', weak: 'small' }
/** hard prompts went to the strong model more often */
const CONFOUNDED = { rows: 2000, seed: 21, asked: (hard: boolean) => (hard ? 0.6 : 0.4) }

let folder: string
let trained: TrainResult
const options = (more: Partial<TrainOptions> = {}): TrainOptions => ({
  ...PAIR,
  router: 'classifier',
  engine: 'onnx',
  out: folder,
  name: 'single',
  seed: 1,
  threads: 1,
  ...more,
})
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-single-answers-'))
  trained = await train(await singleLog(CONFOUNDED), options())
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a router from a log in which one model answered each prompt', () => {
  test('beats prompt length, and its report and its bundle say what they rest on', () => {
    const { report, bundle } = trained
    expect(report.evidence).toEqual({ paired: 0, single: report.rows, votes: 0 })
    expect(report.routers[0]!.works).toBe(true)
    expect(report.routers[0]!.sensitivity!.random).toBeGreaterThan(1)
    // single answers show neither who was better on one prompt nor what an oracle would do
    expect(report.baselines.oracle).toBeUndefined()
    expect(report.routers[0]!.auc.value).toBeNull()
    const { observational } = bundle.manifest.data
    expect(observational).toMatchObject({ paired: 0, used: 2000, propensities: 'estimated' })
    const text = renderReport(report)
    expect(text).toMatch(/one model’s score, the other’s estimated/)
    expect(text).toMatch(/sensitivity: "classifier beats random" stands unless/)
  })

  test('explains a decision with that fact', async () => {
    const router = await loadRouter(trained.bundle.path)
    try {
      const { explanation } = await router.route({ prompt: 'word0 word3', explain: true })
      expect(explanation!.observational).toBe(
        describeObservational(trained.bundle.manifest.data.observational!),
      )
    } finally {
      await router.close()
    }
  })

  test('is judged on another such log with intervals that hold the truth', async () => {
    const other = await singleLog({ ...CONFOUNDED, rows: 1500, seed: 22, asked: () => 0.5 })
    const report = await evaluate([trained.bundle.path], other, { seed: 1, replicates: 200 })
    if (!('pair' in report)) throw new Error('expected a pair')
    const { gap } = report.quality
    expect(gap.low).toBeLessThan(TRUE_GAP)
    expect(gap.high).toBeGreaterThan(TRUE_GAP)
    // APGR of a router that knows which half is hard: 1/2 + (.6 - .05) / 4 / (.6 + .05)
    const apgr = report.routers[0]!.apgr
    const best = 0.5 + (0.6 - 0.05) / 4 / (0.6 + 0.05)
    expect(apgr.low).toBeLessThan(best)
    expect(apgr.high).toBeGreaterThan(best)
  })

  test('is calibrated for a loss, a quality and a share, and the certificate names the estimator', async () => {
    const log = await singleLog({ ...CONFOUNDED, seed: 23, asked: () => 0.5, logged: true })
    const of = { seed: 1, date: '2026-01-01', dryRun: true, keepProbabilities: true }
    const target = { kind: 'max-loss', loss: 0.08, confidence: 0.9 } as const
    const { certificate } = await calibrate(
      trained.bundle.path,
      { dataset: log },
      { ...of, target },
    )
    expect(certificate).toMatchObject({
      method: 'learn-then-test/betting',
      off_policy: { estimator: 'doubly robust, cross-fitted', propensities: 'logged' },
    })
    if (!('off_policy' in certificate)) throw new Error('expected an off-policy certificate')
    const { gain_high, least_propensity } = certificate.off_policy!
    expect(gain_high).toBeGreaterThan(1)
    expect(least_propensity).toBeCloseTo(0.5, 6)
    expect(certificate.assumptions.join()).toMatch(/logged propensities/)
    const share = await calibrate(
      trained.bundle.path,
      { dataset: log },
      { ...of, target: { kind: 'strong-share', share: 0.3 } },
    )
    expect((share.expected as { share: { value: number } }).share.value).toBeCloseTo(0.3, 1)
    await expect(
      calibrate(
        trained.bundle.path,
        { dataset: log },
        { ...of, target: { kind: 'max-harm', harm: 0.1, confidence: 0.9 } },
      ),
    ).rejects.toMatchObject({ code: 'calibration_needs' })
    await expect(
      calibrate(trained.bundle.path, { dataset: log }, { ...of, target, method: 'paired-exact' }),
    ).rejects.toMatchObject({ code: 'option_invalid' })
  })

  test('can be given a share from a log whose models never meet, and nothing else', async () => {
    const apart = await singleLog({
      ...CONFOUNDED,
      rows: 600,
      seed: 24,
      asked: (hard) => (hard ? 1 : 0),
    })
    const of = { seed: 1, date: '2026-01-01', dryRun: true, keepProbabilities: true }
    const { certificate } = await calibrate(
      trained.bundle.path,
      { dataset: apart },
      { ...of, target: { kind: 'strong-share', share: 0.4 } },
    )
    expect(certificate.n).toBe(600)
    await expect(
      calibrate(
        trained.bundle.path,
        { dataset: apart },
        { ...of, target: { kind: 'quality', pgr: 0.9 } },
      ),
    ).rejects.toMatchObject({ code: 'overlap_missing' })
    await expect(train(apart, options({ name: 'apart' }))).rejects.toMatchObject({
      code: 'overlap_missing',
    })
  })
})

describe('of such a log', () => {
  let log: Dataset
  const fitted = new Map()
  beforeAll(async () => {
    const single = await singleLog({ ...CONFOUNDED, rows: 900, seed: 25 })
    log = await withPairEstimates(single, PAIR, { seed: 1 })
  })

  test.each(['knn', 'sw', 'kernel', 'mf', 'mlp'])('%s learns as well', async (router) => {
    const small = { kernel: { rank: 24, centres: 24 }, mf: { epochs: 8 }, mlp: { epochs: 8 } }
    const hyperparameters = router in small ? small[router as keyof typeof small] : {}
    const fit = await fitRouter(log, { ...options({ router, hyperparameters }), fitted })
    if (router === 'mf') expect(fit.hyperparameters.form).toBe('success')
    const fresh = singleLines({ ...CONFOUNDED, rows: 120, seed: 26 }) as { prompt: string }[]
    const { embeddings } = await fit.encoder.encoder.encode(fresh.map(({ prompt }) => prompt))
    const { winRate } = fit.family.forward(fit.weights, fit.pair, embeddings)
    const of = (word: string) => winRate.filter((_, i) => fresh[i]!.prompt.includes(`${word} `))
    const [hard, easy] = [of('word0'), of('word1')]
    let ahead = 0
    for (const h of hard) for (const e of easy) ahead += h > e ? 1 : 0
    expect(ahead / (hard.length * easy.length)).toBeGreaterThan(0.75)
  })
})
