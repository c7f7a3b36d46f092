import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import { createRandom } from '../../../core/random.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { readLogs } from '../../../data/ingest.ts'
import { DEFAULT_FRACTIONS, SPLITS, splitOf } from '../../../data/splits/assign-splits.ts'
import { stem } from '../../../data/splits/stem.ts'
import { encodeDataHashes } from '../../../models/bundle/data-hashes.ts'
import type { SplitRule } from '../../../models/bundle/manifest.ts'
import { readBundle } from '../../../models/bundle/read.ts'
import { type WrittenBundle, writeBundle } from '../../../models/bundle/write.ts'
import type { CalibrationMap } from '../../../models/calibration-map.ts'
import { loadRouter } from '../../../models/router.ts'
import {
  bundleMenu,
  type CalibrateInput,
  type CalibrateOptions,
  calibrate,
} from '../../../training/calibrate/calibrate.ts'
import { driftOfBundle } from '../../../training/calibrate/drift-bundle.ts'
import type { Target } from '../../../training/calibrate/target.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { loadWordEncoder, WORDS } from '../../models/word-encoder.ts'

const rule: SplitRule = { seed: 5, fractions: DEFAULT_FRACTIONS, prefixes: [] }
let root: string
let dataset: Dataset
let trained: WrittenBundle

/** Prompts in which 'prove' and 'integral' ask for the big model and 'hello' for the small one. */
function logLines(rows: number, seed: number): string[] {
  const random = createRandom(seed)
  return Array.from({ length: rows }, (_, i) => {
    const words = Array.from({ length: 1 + random.int(12) }, () => WORDS[random.int(WORDS.length)])
    const hard = words.filter((word) => word === 'prove' || word === 'integral').length
    const scores = {
      big: random.next() < 0.85 ? 1 : 0,
      small: random.next() < 0.9 - 0.12 * hard ? 1 : 0,
    }
    return JSON.stringify({ prompt: `${words.join(' ')} number ${seed} ${i}`, scores })
  })
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-calibrate-'))
  const log = join(root, 'log.jsonl')
  await writeFile(log, logLines(4000, 3).join('\n'))
  dataset = await readLogs([log], { seed: 1 })
  const partOf = (prompt: string): string =>
    SPLITS[splitOf(stem(prompt, []), 5, DEFAULT_FRACTIONS)]!
  const draft = sampleDraft()
  const hashes = (part: string): string[] =>
    dataset.prompts.filter((prompt) => partOf(prompt) === part).map(promptHash)
  const files = new Map(draft.files).set(
    'data-hashes.bin',
    encodeDataHashes({ train: hashes('train'), validation: hashes('validation') }),
  )
  const data = { ...draft.manifest.data, split: rule }
  trained = await writeBundle(root, { manifest: { ...draft.manifest, data }, files })
})
afterAll(() => rm(root, { recursive: true }))

const open = (path: string, calibration?: CalibrationMap) =>
  loadRouter(path, { loadEncoder: loadWordEncoder, ...(calibration && { calibration }) })
interface RunOptions {
  readonly dryRun?: boolean
  readonly waiting?: CalibrateOptions['waiting']
  readonly log?: Dataset
  readonly input?: CalibrateInput
  readonly probabilities?: boolean
}
const run = async (target: Target, options: RunOptions = {}) => {
  const input = options.input ?? { dataset: options.log ?? dataset }
  const result = await calibrate(trained.path, input, {
    target,
    seed: 1,
    keepProbabilities: !options.probabilities,
    date: '2026-01-05T00:00:00.000Z',
    openRouter: open,
    ...(options.dryRun && { dryRun: true }),
    waiting: options.waiting,
  })
  if ('rule' in result) throw new Error('the sample bundle decides by a threshold')
  return result
}

describe('weir calibrate', () => {
  it('writes a new version that sends the asked share of fresh prompts strong', async () => {
    const { bundle, threshold, expected } = await run({ kind: 'strong-share', share: 0.3 })
    expect(expected.share.value).toBeCloseTo(0.3, 2)
    expect(bundle!.manifest.version).not.toBe(trained.manifest.version)
    const router = await open(join(root, 'sample'))
    expect(router.manifest.threshold).toMatchObject({ value: threshold, source: 'calibrated' })
    const fresh = logLines(3000, 99).map((line) => JSON.parse(line).prompt as string)
    const { winRate } = await router.score(fresh)
    const share = winRate.filter((score) => score >= threshold).length / fresh.length
    expect(share).toBeGreaterThan(expected.share.low)
    expect(share).toBeLessThan(expected.share.high)
    await router.close()
  })

  it('never changes the version it read', async () => {
    await run({ kind: 'strong-share', share: 0.2 })
    const old = await readBundle(trained.path)
    expect(old.manifest.threshold).toEqual(trained.manifest.threshold)
  })

  it('leaves out what the router was made from and what evaluate needs, and counts it', async () => {
    const { data, certificate } = await run({ kind: 'strong-share', share: 0.3 }, { dryRun: true })
    const { train, validation, test } = data.left_out as Record<string, number>
    expect(train).toBeGreaterThan(2500)
    expect(validation).toBeGreaterThan(300)
    expect(test).toBeGreaterThan(300)
    expect(train! + validation! + test! + certificate.n).toBe(4000)
  })

  it('remembers the calibration prompts in the new version', async () => {
    const { bundle, certificate } = await run({ kind: 'strong-share', share: 0.3 })
    const hashes = await (await readBundle(bundle!.path)).dataHashes()
    const parts = dataset.hashes.map((hash) => hashes.seenIn(hash))
    expect(parts.filter((part) => part === 'calibration')).toHaveLength(certificate.n)
    expect(parts.filter((part) => part === 'train').length).toBeGreaterThan(2500)
  })

  it('uses every row of a log the router has not seen', async () => {
    const other = join(root, 'other.jsonl')
    await writeFile(other, logLines(300, 77).join('\n'))
    const log = await readLogs([other], { seed: 1 })
    const result = await run({ kind: 'strong-share', share: 0.3 }, { dryRun: true, log })
    expect(result.certificate.n).toBe(300)
  })

  it('writes nothing on a dry run', async () => {
    const before = await readdir(join(root, 'sample'))
    const result = await run({ kind: 'quality', pgr: 0.77 }, { dryRun: true })
    expect(result.bundle).toBeUndefined()
    expect(await readdir(join(root, 'sample'))).toEqual(before)
  })

  it('keeps a promise of a bounded loss with its certificate', async () => {
    const target = { kind: 'max-loss', loss: 0.1, confidence: 0.9 } as const
    const { bundle } = await run(target)
    expect(bundle!.manifest.threshold.certificate).toMatchObject({
      target,
      method: 'learn-then-test/paired-exact',
      promise: 'confidence',
      bound: { quantity: 'net loss', value: 0.1, confidence: 0.9 },
      date: '2026-01-05T00:00:00.000Z',
      data: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
  })

  it('refuses a promise that the rows cannot carry, and says how many more would', async () => {
    await expect(run({ kind: 'max-loss', loss: 0.001, confidence: 0.999 })).rejects.toMatchObject({
      code: expect.stringMatching(/calibration_(data_short|impossible)/),
    })
  })

  it('needs prices for a budget, and takes the bundle’s', async () => {
    const { certificate, expected } = await run(
      { kind: 'budget', usd_per_1k: 4, confidence: 0.9 },
      { dryRun: true },
    )
    expect(expected.dollars!.value).toBeLessThan(4)
    expect(certificate.cost_basis).toContain('of the mean length in the training log')
  })

  it('weighs seconds beside dollars: a budget asks the slow strong model less', async () => {
    const target = { kind: 'budget', usd_per_1k: 6, confidence: 0.9 } as const
    const { candidates } = trained.manifest
    const [strong, weak] = ['strong', 'weak'].map(
      (role) => candidates.find((one) => one.role === role)!.model,
    ) as [string, string]
    const waiting = (secondUsd: number, slow = strong) => ({
      secondUsd,
      seconds: new Map([strong, weak].map((model) => [model, model === slow ? 10 : 1])),
    })
    const plain = await run(target, { dryRun: true })
    const { bundle, certificate, expected } = await run(target, { waiting: waiting(0.0002) })
    expect(expected.share.value).toBeLessThan(plain.expected.share.value - 0.05)
    // the dollars are those of the answers and of the waiting
    expect(expected.dollars!.value).toBeLessThan(6)
    expect(certificate.cost_basis).toMatch(/, and what waiting counts as$/)
    expect(bundle!.manifest.candidates.map(({ wait_usd: usd }) => usd)).toEqual([0.002, 0.0002])
    await expect(run(target, { dryRun: true, waiting: waiting(0.01, weak) })).rejects.toThrow(
      `still costs more than ${weak} (else ask ${strong} always)`,
    )
    await expect(
      run(target, { waiting: { secondUsd: 1, seconds: new Map([[strong, 1]]) } }),
    ).rejects.toThrow(`none for ${weak}`)
  })

  it('calibrates the win rates too, in the manifest and inside the graph, without moving a decision', async () => {
    const target = { kind: 'strong-share', share: 0.3 } as const
    const plain = await run(target, { dryRun: true })
    const { bundle, probability, threshold } = await run(target, { probabilities: true })
    expect(bundle!.manifest.calibration.method).not.toBe('identity')
    expect(probability!.ece_after.value).toBeLessThan(probability!.ece_before.value)
    expect(probability!.brier_after!).toBeLessThan(probability!.brier_before!)
    const raw = await open(trained.path)
    const calibrated = await open(bundle!.path)
    const before = await raw.score(dataset.prompts)
    const after = await calibrated.score(dataset.prompts)
    // prompts between the same two calibration rows may fall either way: the midpoint moves with the map
    const moved = dataset.prompts.filter(
      (_, i) => after.winRate[i]! >= threshold !== before.winRate[i]! >= plain.threshold,
    )
    expect(moved.length).toBeLessThan(20)
    // the folded head and the exported graph still say the same raw win rates
    expect(await calibrated.parity(dataset.prompts.slice(0, 50))).toBeLessThan(1e-6)
    await raw.close()
    await calibrated.close()
  })

  it('takes the share on unlabelled prompts of another mix', async () => {
    const prompts = Array.from(
      { length: 400 },
      (_, i) => `hello hello ${i} ${'why '.repeat(i % 9)}`,
    )
    const sources = [{ path: 'own.jsonl', sha256: promptHash('own'), rows: 400 }]
    const target = { kind: 'strong-share', share: 0.3 } as const
    const input = { dataset, unlabelled: { prompts, sources } }
    const { threshold, expected, certificate } = await run(target, { input, dryRun: true })
    const router = await open(trained.path)
    const { winRate } = await router.score(prompts)
    const share = winRate.filter((score) => score >= threshold).length / 400
    expect(expected.share.value).toBe(share)
    expect(Math.abs(share - 0.3)).toBeLessThan(0.1)
    expect(certificate.unlabelled_n).toBe(400)
    expect(expected.quality).toBeDefined()
    await router.close()
    const alone = { unlabelled: { prompts, sources } }
    expect((await run(target, { input: alone, dryRun: true })).threshold).toBe(threshold)
  })

  it('re-weights towards target prompts, and refuses where nothing resembles them', async () => {
    const near = logLines(300, 55).map((line) => JSON.parse(line).prompt as string)
    const target = { kind: 'strong-share', share: 0.3 } as const
    const { certificate } = await run(target, {
      input: { dataset, targetPrompts: near },
      dryRun: true,
    })
    expect(certificate.effective_n).toBeGreaterThan(0.7 * certificate.n)
    const far = Array.from({ length: 300 }, (_, i) => `code `.repeat(60 + (i % 5)))
    await expect(
      run(target, { input: { dataset, targetPrompts: far }, dryRun: true }),
    ).rejects.toMatchObject({ code: 'shift_too_large' })
  })
})

describe('the target table', () => {
  it('shows falling shares with rising loss bounds above what was seen', async () => {
    const { menu } = await bundleMenu(trained.path, dataset, {
      seed: 1,
      confidence: 0.9,
      keepProbabilities: true,
      openRouter: open,
    })
    expect(menu.rows[0]!.expected.share.value).toBe(1)
    expect(menu.rows.at(-1)!.expected.share.value).toBe(0)
    let share = 2
    for (const row of menu.rows) {
      expect(row.expected.share.value).toBeLessThan(share)
      expect(row.lossBound!).toBeGreaterThan(row.expected.loss!.value)
      expect(row.expected.dollars).toBeDefined()
      share = row.expected.share.value
    }
  })
})

describe('weir drift', () => {
  const recent = (seed: number) =>
    logLines(400, seed).map((line) => JSON.parse(line).prompt as string)
  const far = Array.from({ length: 400 }, (_, i) => `prove integral ${'prove '.repeat(i % 20)}`)
  const drift = (path: string, prompts: readonly string[], options = {}) =>
    driftOfBundle(path, prompts, { seed: 1, openRouter: open, ...options })

  it('calls traffic of the calibrated mix stable, and its share what was calibrated', async () => {
    const { bundle } = await run({ kind: 'strong-share', share: 0.3 })
    const report = await drift(bundle!.path, recent(41), { reference: dataset })
    expect(report.verdict).toBe('stable')
    expect(report.classifier!.p).toBeGreaterThan(0.01)
    expect(report.share.now.low).toBeLessThan(0.3)
    expect(report.share.now.high).toBeGreaterThan(0.3)
  })

  it('sees another mix, and writes a version that gives it the calibrated share, promising no more', async () => {
    const { bundle } = await run({ kind: 'max-loss', loss: 0.1, confidence: 0.9 })
    const recalibrate = { date: '2026-02-01T00:00:00.000Z', sources: [] }
    const report = await drift(bundle!.path, far, { recalibrate })
    expect(report.verdict).toBe('shifted')
    const { manifest } = report.bundle!
    expect(manifest.version).not.toBe(bundle!.manifest.version)
    expect(manifest.threshold.value).toBe(report.recalibrated.threshold)
    expect(manifest.threshold.certificate).toMatchObject({ promise: 'estimate' })
    expect(manifest.threshold.certificate).not.toHaveProperty('bound')
    expect((await drift(report.bundle!.path, far)).verdict).toBe('stable')
  })

  it('needs a calibrated bundle', async () => {
    await expect(drift(trained.path, far)).rejects.toMatchObject({ code: 'not_calibrated' })
  })
})
