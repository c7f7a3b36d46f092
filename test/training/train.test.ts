import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { loadRouter } from '../../models/router.ts'
import { evaluate } from '../../training/evaluate/evaluate.ts'
import { type TrainOptions, type TrainResult, train } from '../../training/train.ts'

const SAMPLE = resolve(import.meta.dirname, '../../data/sample/outcomes.jsonl.gz')

async function options(more: Partial<TrainOptions> = {}): Promise<TrainOptions> {
  return {
    strong: 'big-1',
    weak: 'small-1',
    router: 'classifier',
    engine: 'onnx',
    out: await mkdtemp(join(tmpdir(), 'weir-train-')),
    name: 'test',
    seed: 1,
    threads: 1,
    ...more,
  }
}

async function logOf(lines: readonly object[]): Promise<Dataset> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-log-'))
  const path = join(folder, 'log.jsonl')
  await writeFile(path, lines.map((line) => JSON.stringify(line)).join('\n'))
  return readLogs([path], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
}

let sample: Dataset
/** Some of the sample's rows: fitting the encoder takes as long as there are prompts. */
let few: Dataset
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-sample-'))
  sample = await readLogs([SAMPLE], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
  const lines = gunzipSync(await readFile(SAMPLE))
    .toString()
    .split('\n', 400)
  few = await logOf(lines.map((line) => JSON.parse(line)))
})

/** Fewer epochs than by default are enough to beat prompt length. */
const FEW: Readonly<Record<string, Record<string, number>>> = { classifier: {}, mf: { epochs: 6 } }

for (const router of ['classifier', 'mf']) {
  describe(`train --router ${router} on the sample`, () => {
    let result: TrainResult
    beforeAll(async () => {
      result = await train(sample, await options({ router, hyperparameters: FEW[router]! }))
    }, 120_000)

    it('beats prompt length on the held-out split, interval clear', () => {
      const trained = result.report.routers[0]!
      expect(trained.works).toBe(true)
      expect(trained.versus.prompt_length!.low).toBeGreaterThan(0)
    })

    it('stays below the oracle and above random', () => {
      const apgr = result.report.routers[0]!.apgr.value!
      expect(apgr).toBeLessThan(result.report.baselines.oracle!.apgr.value!)
      expect(apgr).toBeGreaterThan(0.55)
    })

    it('writes a bundle that loads, remembers its rows and sends half of validation strong', async () => {
      const bundle = await readBundle(result.bundle.path)
      const router = await loadRouter(result.bundle.path)
      const hashes = await bundle.dataHashes()
      const of = (split: number): number[] =>
        [...sample.split.keys()].filter((i) => sample.split[i] === split)
      expect(of(0).every((i) => hashes.seenIn(sample.hashes[i]!) === 'train')).toBe(true)
      expect(of(3).every((i) => hashes.seenIn(sample.hashes[i]!) === undefined)).toBe(true)
      const { winRate } = await router.score(of(1).map((i) => sample.prompts[i]!))
      const share = winRate.filter((rate) => rate >= bundle.manifest.threshold.value).length
      // the threshold is that of the head before validation rows joined it
      expect(share / winRate.length).toBeCloseTo(0.5, 1)
      expect(bundle.manifest.threshold.source).toBe('default')
      await router.close()
    })

    it('scores the held-out prompts as the loaded bundle does: the same APGR to the last bit', async () => {
      const again = await evaluate([result.bundle.path], sample, {
        seed: 1,
        replicates: 50,
      })
      if (!('pair' in again)) throw new Error('this bundle decides between two models')
      expect(again.rows).toBe(result.report.rows)
      expect(again.routers[0]!.apgr.value).toBe(result.report.routers[0]!.apgr.value)
    })

    it('gives the same version for the same seed', async () => {
      const versions = new Set<string>()
      const hyperparameters = router === 'mf' ? { epochs: 3, rank: 16 } : {}
      for (let run = 0; run < 2; run++) {
        const made = await train(few, await options({ router, hyperparameters }))
        versions.add(made.bundle.manifest.version)
      }
      expect(versions.size).toBe(1)
    }, 120_000)
  })
}

describe('train', () => {
  it('learns mf from preferences of many models', async () => {
    const models = ['m0', 'm1', 'm2', 'm3']
    const lines = Array.from({ length: 400 }, (_, i) => ({
      prompt: `${i % 3 === 0 ? 'prove the theorem' : 'say hello'} number ${i} to ${i * 7}`,
      model_a: models[i % 4],
      model_b: models[(i + 1 + (i % 2)) % 4],
      winner: i % 3 === 0 ? (i % 4 > 1 ? 'a' : 'b') : 'tie',
    }))
    const pairs = lines.concat(
      Array.from({ length: 300 }, (_, i) => ({
        prompt: `${i % 2 === 0 ? 'prove the theorem' : 'say hello'} once more ${i} of ${i * 3}`,
        model_a: 'm3',
        model_b: 'm0',
        winner: i % 2 === 0 ? 'a' : 'tie',
      })),
    )
    const { report, bundle } = await train(
      await logOf(pairs),
      await options({
        router: 'mf',
        strong: 'm3',
        weak: 'm0',
        hyperparameters: { epochs: 20, rank: 32 },
      }),
    )
    expect(bundle.manifest.candidates.map(({ model }) => model)).toEqual(models)
    expect(report.routers[0]!.apgr.value).toBeGreaterThan(0.6)
  }, 60_000)

  it('names the models of the log when one is asked for that is not there', async () => {
    await expect(train(sample, await options({ strong: 'gpt-9' }))).rejects.toMatchObject({
      code: 'model_unknown',
      message: expect.stringMatching(/gpt-9.*big-1.*small-1/),
    })
  })

  it('refuses a log in which every prompt says the same', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => ({
      prompt: `question ${i} about ${i * 13}`,
      scores: { big: 1, small: 0 },
    }))
    const dataset = await logOf(rows)
    await expect(
      train(dataset, await options({ strong: 'big', weak: 'small' })),
    ).rejects.toMatchObject({ code: 'labels_one_class' })
  })

  it('refuses a log too small to split', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => ({
      prompt: `question ${i} about ${i * 13}`,
      scores: { big: i % 2, small: 0 },
    }))
    const dataset = await logOf(rows)
    await expect(
      train(dataset, await options({ strong: 'big', weak: 'small' })),
    ).rejects.toMatchObject({
      code: 'rows_too_few',
      message: expect.stringContaining('the log has 30'),
    })
  })

  it('refuses a hyperparameter that the family does not have', async () => {
    await expect(train(sample, await options({ hyperparameters: { depth: 3 } }))).rejects.toThrow(
      /l2_min/,
    )
  })
})
