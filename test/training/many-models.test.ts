import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { loadRouter } from '../../models/router.ts'
import { type CalibrateOptions, calibrate } from '../../training/calibrate/calibrate.ts'
import { chooseModels } from '../../training/choose-models.ts'
import { checkEfforts, type SharedEfforts } from '../../training/efforts.ts'
import { evaluate } from '../../training/evaluate/evaluate.ts'
import { train as trainByLibrary } from '../../training/library.ts'
import { type TrainResult, train } from '../../training/train.ts'

/** The general one gets most right; each specialist its own topic, for a tenth of the price. */
const TOPICS = ['algebra', 'poetry', 'chemistry'] as const
const SKILL: Record<string, readonly number[]> = {
  general: [0.85, 0.85, 0.85],
  maths: [0.85, 0.3, 0.3],
  verse: [0.3, 0.85, 0.3],
  idle: [0.2, 0.2, 0.2],
}
const PRICES = new Map(
  Object.entries({ general: 10, maths: 1, verse: 1, idle: 0.5 }).map(([model, output]) => [
    model,
    { input: 0, output },
  ]),
)

async function topicLog(rows: number): Promise<Dataset> {
  const random = createRandom(5)
  const lines = Array.from({ length: rows }, (_, i) => {
    const topic = random.int(TOPICS.length)
    const filler = Array.from({ length: 4 }, () => `w${random.int(500)}`).join(' ')
    const scores = Object.entries(SKILL).map(([model, skill]) => [
      model,
      random.next() < skill[topic]! ? 1 : 0,
    ])
    const tokens = Object.keys(SKILL).map((model) => [model, 50 + random.int(100)])
    return {
      prompt: `${filler}: a question of ${TOPICS[topic]}, number ${i}`,
      scores: Object.fromEntries(scores),
      tokens: Object.fromEntries(tokens),
    }
  })
  const folder = await mkdtemp(join(tmpdir(), 'weir-many-'))
  const path = join(folder, 'log.jsonl')
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join('\n'))
  return readLogs([path], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
}

let log: Dataset
let chosen: ReturnType<typeof chooseModels>
let trained: TrainResult
beforeAll(async () => {
  log = await topicLog(1600)
  chosen = chooseModels(log, { models: 'all', prices: PRICES })
  trained = await train(chosen.dataset, {
    strong: chosen.strong,
    weak: chosen.weak,
    choice: { kind: 'best-value' },
    prices: PRICES,
    router: 'classifier',
    engine: 'onnx',
    out: await mkdtemp(join(tmpdir(), 'weir-many-')),
    name: 'many',
    seed: 1,
    threads: 1,
  })
}, 120_000)

const MODELS_SECONDS: readonly (readonly [string, number])[] = [
  ['general', 1],
  ['idle', 1],
  ['maths', 60],
  ['verse', 1],
]

describe('a router among many models, from a log to a decision', () => {
  it('takes the best and the cheapest on train for the pair', () => {
    expect(chosen).toMatchObject({ strong: 'general', weak: 'idle' })
  })

  it('keeps every candidate with its price and answer length, and a rule that is not calibrated', () => {
    const { candidates, choice } = trained.bundle.manifest
    expect(candidates.map(({ model }) => model)).toEqual(['general', 'idle', 'maths', 'verse'])
    for (const { model, price, output_tokens: tokens } of candidates) {
      expect(price).toEqual(PRICES.get(model))
      expect(tokens).toBeGreaterThan(90)
      expect(tokens).toBeLessThan(110)
    }
    expect(choice).toMatchObject({ rule: { kind: 'best-value' }, source: 'default' })
  })

  it('calibrated to a share of the best model’s quality sends each topic to its specialist', async () => {
    const folder = dirname(trained.bundle.path)
    const rule = async (options: Omit<CalibrateOptions, 'seed' | 'date'>) => {
      const result = await calibrate(
        folder,
        { dataset: log },
        { ...options, seed: 1, date: '2026-01-01' },
      )
      if (!result.rule) throw new Error('a bundle of many models decides by a rule')
      return result
    }
    const sure = await rule({
      target: { kind: 'best-share', share: 0.9, confidence: 0.8 },
      dryRun: true,
    })
    expect(sure.certificate.promise).toBe('confidence')
    expect(sure.bundle).toBeUndefined()
    const { bundle, expected } = await rule({
      target: { kind: 'best-share', share: 0.98 },
    })
    expect(expected.best_share!.value).toBeGreaterThan(0.98 - 1e-9)
    const again = await readBundle(folder)
    expect(again.manifest.version).toBe(bundle!.manifest.version)
    expect(again.manifest.choice).toMatchObject({ source: 'calibrated' })

    const evaluation = await evaluate([folder], log, { seed: 1, replicates: 200 })
    if ('pair' in evaluation) throw new Error('rules are judged by their frontier')
    const [report] = evaluation.routers
    expect(report!.works).toBe(true)
    expect(report!.operating.above_best_single.low).toBeGreaterThan(0)
    expect(report!.operating.cost_per_1k).toBeLessThan(
      report!.models.find(({ model }) => model === 'general')!.cost_per_1k * 0.7,
    )

    const router = await loadRouter(folder)
    const model = async (topic: string): Promise<string> =>
      (await router.route({ prompt: `w1 w2 w3 w4: a question of ${topic}, number 7` })).model
    expect(await model('algebra')).toBe('maths')
    expect(await model('poetry')).toBe('verse')
    expect(await model('chemistry')).toBe('general')
    await router.close()
  })

  it('weighs seconds beside dollars: a slow specialist answers only where waiting is cheap', async () => {
    const folder = dirname(trained.bundle.path)
    const target = { kind: 'best-share', share: 0.6 } as const
    const seconds = new Map(MODELS_SECONDS)
    const calibrated = (secondUsd: number, given = seconds) =>
      calibrate(
        folder,
        { dataset: log },
        { target, waiting: { seconds: given, secondUsd }, seed: 1, date: '2026-01-01' },
      )
    const shareOfMaths = async (secondUsd: number): Promise<number> => {
      const { expected } = await calibrated(secondUsd)
      return (expected as { shares: readonly number[] }).shares[2]!
    }
    expect(await shareOfMaths(0)).toBeGreaterThan(0.1)
    expect(await shareOfMaths(0.1)).toBe(0)
    const router = await loadRouter(folder)
    const decision = await router.route({ prompt: 'w1 w2 w3 w4: a question of algebra, number 7' })
    expect(decision.model).not.toBe('maths')
    // what a request costs stays dollars
    const { candidates } = router.manifest
    expect(candidates.find(({ model }) => model === 'maths')!.wait_usd).toBeCloseTo(6, 9)
    for (const one of decision.candidates) expect(one.est_cost_usd!).toBeLessThan(0.1)
    await router.close()
    await expect(calibrated(1, new Map([['maths', 1]]))).rejects.toThrow(/none for general/)
    await expect(calibrated(1, new Map([...seconds, ['x', 1]]))).rejects.toThrow(/got "?x/)
  })

  it('comes from the library by naming the models, with the same bundle', async () => {
    const out = await mkdtemp(join(tmpdir(), 'weir-many-'))
    const options = { prices: Object.fromEntries(PRICES), out, name: 'many', threads: 1 }
    const { bundle, choice } = await trainByLibrary(log, { ...options, models: 'all' })
    expect(bundle.manifest.version).toBe(trained.bundle.manifest.version)
    expect(choice!.models.map(({ model }) => model)).toContain('verse')
  })

  it('checks what the library is given before it trains', async () => {
    const prices = Object.fromEntries(PRICES)
    const given = (options: object) => trainByLibrary(log, { ...options, prices } as never)
    await expect(given({})).rejects.toThrow(/for strong, got nothing/)
    await expect(given({ strong: 'general' })).rejects.toThrow(/for weak, got nothing/)
    await expect(given({ models: ['general', 'none'] })).rejects.toThrow(/none/)
    const rule = { kind: 'cheapest-within', loss: 2 }
    await expect(given({ models: 'all', rule })).rejects.toThrow(/from 0 to 1 for --loss, got 2/)
  })

  it('asks for a price of every model, and for outcomes of all of them', async () => {
    expect(() => chooseModels(log, { models: 'all' })).toThrow(/general, idle, maths, verse/)
    expect(() => chooseModels(log, { models: ['general'], prices: PRICES })).toThrow(/at least two/)
    expect(() => chooseModels(log, { models: ['general', 'none'], prices: PRICES })).toThrow(/none/)
    const partly = { ...log, outcomes: { scores: log.outcomes!.scores.map(() => Number.NaN) } }
    await expect(evaluate([dirname(trained.bundle.path)], partly, { seed: 1 })).rejects.toThrow(
      /at least 50/,
    )
  })
})

describe('efforts of one model', () => {
  const several = { several: true, router: 'classifier' }

  it('are in the manifest with what they share', async () => {
    const { bundle } = await trainByLibrary(log, {
      models: ['idle', 'maths', 'general'],
      efforts: { thinker: ['maths', 'general'] },
      prices: Object.fromEntries(PRICES),
      recipe: 'last',
      out: await mkdtemp(join(tmpdir(), 'weir-many-')),
    })
    const [shared] = bundle.manifest.metrics.efforts as SharedEfforts[]
    expect(shared).toMatchObject({ model: 'thinker', tiers: ['maths', 'general'] })
    expect(shared!.quality[0]).toBeLessThan(shared!.quality[1]!)
    expect(shared!.labels[0]).toBeGreaterThan(500)
  })

  it.each([
    [[{ model: 'm', tiers: ['maths'] }], several, 'two or more efforts of m'],
    [[{ model: 'm', tiers: ['maths', 'nobody'] }], several, 'nobody is not in the log'],
    [[{ model: 'm', tiers: ['maths', 'maths'] }], several, 'maths twice for m'],
    [
      [
        { model: 'm', tiers: ['maths', 'verse'] },
        { model: 'n', tiers: ['idle', 'verse'] },
      ],
      several,
      'verse for m and for n',
    ],
    [
      [
        { model: 'm', tiers: ['maths', 'verse'] },
        { model: 'm', tiers: ['idle', 'general'] },
      ],
      several,
      'm twice',
    ],
    [[{ model: 'm', tiers: ['maths', 'verse'] }], { ...several, router: 'knn' }, '--router knn'],
    [[{ model: 'm', tiers: ['maths', 'verse'] }], { ...several, router: 'auto' }, '--router auto'],
    [[{ model: 'm', tiers: ['maths', 'verse'] }], { ...several, several: false }, '--models'],
  ])('%j, %j: refused', async (efforts, of, message) => {
    await expect(checkEfforts(chosen.dataset, efforts, of)).rejects.toThrow(message)
  })
})
