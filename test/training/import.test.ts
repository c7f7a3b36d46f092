import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { exportForTraining } from '../../data/training-export.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { TEMPLATES } from '../../models/encoders/causal-lm/template.ts'
import { RECIPES } from '../../models/reading/recipe.ts'
import { loadRouter } from '../../models/router.ts'
import { evaluate } from '../../training/evaluate/evaluate.ts'
import {
  type ImportOptions,
  type ImportResult,
  importClassifier,
} from '../../training/import/import-classifier.ts'
import { meaningOf } from '../../training/import/labels.ts'
import { plainLogits, writeTinyClassifier } from '../models/encoders/hf/tiny-classifier.ts'
import { writeSmallLog } from './small-log.ts'

const PROMPTS = ['hello there', 'word0 word7 42', 'zz', 'prove that x is 7 and y is 9']
let folder: string
let log: Dataset
let logPath: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-import-'))
  logPath = await writeSmallLog(400, 3)
  log = await readLogs([logPath], { seed: 1, rejectsPath: `${logPath}.rejects` })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const softmax = (logits: readonly number[]): number[] => {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0)
  return logits.map((logit) => Math.exp(logit) / total)
}

let count = 0
async function made(
  classifier: Parameters<typeof writeTinyClassifier>[1],
  options: Partial<ImportOptions> = {},
): Promise<ImportResult & { readonly model: string }> {
  const model = join(folder, `model-${count++}`)
  await writeTinyClassifier(model, classifier)
  const result = await importClassifier(model, {
    ...{ strong: 'big', weak: 'small', out: join(folder, 'bundles'), name: 'imported', seed: 1 },
    ...{ recipe: RECIPES[0]!, tolerance: 1e-3 },
    ...options,
  })
  return { ...result, model }
}

async function winRates(bundle: string, prompts: readonly string[] = PROMPTS): Promise<number[]> {
  const router = await loadRouter(bundle)
  try {
    return [...(await router.score(prompts)).winRate]
  } finally {
    await router.close()
  }
}

const classesOf = (prompt: string): number[] => softmax(plainLogits(prompt, 3))

const THREE = { labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'] }

describe('importClassifier', () => {
  it('equals a plain forward pass to 1e-5, in worker threads, for each kind of classifier', async () => {
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
    const cases: readonly [
      Parameters<typeof writeTinyClassifier>[1],
      Partial<ImportOptions>,
      (prompt: string) => number,
    ][] = [
      [THREE, {}, (prompt) => classesOf(prompt)[0]! + classesOf(prompt)[1]! / 2],
      // win, tie, loss in RouteLLM's order: its BERT router counts a tie as a win of the weak model
      [THREE, { labels: 'routellm' }, (prompt) => classesOf(prompt)[0]!],
      [{ labels: ['small', 'big'] }, {}, (prompt) => softmax(plainLogits(prompt, 2))[1]!],
      [
        { labels: ['LABEL_0'] },
        { labels: 'range:2..-2' },
        (prompt) => Math.min(1, Math.max(0, (2 - plainLogits(prompt, 1)[0]!) / 4)),
      ],
    ]
    for (const [classifier, options, expected] of cases) {
      const { bundle } = await made(classifier, options)
      const found = await winRates(bundle.path)
      found.forEach((rate, i) => {
        expect(Math.abs(rate - expected(PROMPTS[i]!))).toBeLessThan(1e-5)
      })
    }
    const models = await made({
      labels: ['other', 'big', 'small'],
      config: { problem_type: 'multi_label_classification' },
    })
    const found = await winRates(models.bundle.path)
    found.forEach((rate, i) => {
      const [, big, small] = plainLogits(PROMPTS[i]!, 3).map(sigmoid)
      expect(Math.abs(rate - (1 + big! - small!) / 2)).toBeLessThan(1e-5)
    })
    expect(models.bundle.manifest.candidates.map(({ model, role }) => `${model} ${role}`)).toEqual([
      'other other',
      'big strong',
      'small weak',
    ])
  }, 120_000)

  it('takes a log for a threshold and a head on words, and is evaluated on what neither saw', async () => {
    const { bundle, fallback, seen } = await made(THREE, { log })
    expect(fallback).toBe(true)
    expect(seen).toBeGreaterThan(200)
    const router = await loadRouter(bundle.path)
    try {
      const [validation] = [log.prompts.filter((_, i) => log.split[i] === 1)]
      const { winRate } = await router.score(validation)
      const share = winRate.filter((rate) => rate >= router.manifest.threshold.value).length
      expect(share / winRate.length).toBeCloseTo(0.5, 1)
      const late = await router.scoreFallback!(['word0 word1 and word2'])
      expect(late.winRate[0]).toBeGreaterThan(0)
      const long = `${'hello there my friend. '.repeat(6)}prove that x is 7`
      const { features } = await router.explain(long)
      expect(features.map(({ name }) => name)).toContain('“prove that x is 7”')
    } finally {
      await router.close()
    }
    const report = await evaluate([bundle.path], log, { seed: 1, replicates: 50 })
    expect('rows' in report && report.rows).toBe(log.split.filter((split) => split === 3).length)
  }, 120_000)

  it('meets golden outputs, or is refused with the line that differs most', async () => {
    const rows = PROMPTS.map((text) => ({ text, logits: plainLogits(text, 3) }))
    const golden = join(folder, 'golden.jsonl')
    const write = (values: readonly object[]): Promise<void> =>
      writeFile(golden, values.map((value) => JSON.stringify(value)).join('\n'))
    await write(rows)
    const result = await made(THREE, { golden, tolerance: 1e-5 })
    expect(result.golden).toMatchObject({ rows: 4 })
    expect(result.bundle.manifest.metrics.golden).toEqual(result.golden)
    await write([...rows, { text: 'zz', logits: [0, 0, 0] }])
    await expect(made(THREE, { golden })).rejects.toMatchObject({
      code: 'import_mismatch',
      message: expect.stringMatching(/golden\.jsonl:5.*0\.00000, 0\.00000, 0\.00000/),
    })
    for (const [line, expected] of [
      [{ text: 'zz', logits: [1, 2] }, '2 logits'],
      [{ text: 'zz', logits: [1, 2, null] }, 'the logit null'],
      [{ logits: [1, 2, 3] }, 'no text'],
    ] as const) {
      await write([line])
      await expect(made(THREE, { golden })).rejects.toThrow(expected)
    }
  })

  it('reads what it was trained on beside the model, so that no figure uses those prompts', async () => {
    const model = join(folder, 'trained')
    const exported = join(folder, 'export')
    const wanted = { form: 'classification', strong: 'big', weak: 'small' } as const
    const given = { recipe: RECIPES[0]!, template: TEMPLATES.rating }
    const rows = await exportForTraining(log, exported, { ...wanted, ...given })
    await writeTinyClassifier(model, THREE)
    const result = await importClassifier(model, {
      ...{ strong: 'big', weak: 'small', out: join(folder, 'bundles'), name: 'past', seed: 7 },
      ...{ recipe: RECIPES[0]!, tolerance: 1e-3, trainedOn: exported },
    })
    expect(result.seen).toBe(rows.train + rows.validation)
    const bundle = await readBundle(result.bundle.path)
    const hashes = await bundle.dataHashes()
    log.prompts.forEach((_, i) => {
      const part = (['train', 'validation'] as const)[log.split[i]!]
      expect(hashes.seenIn(log.hashes[i]!)).toBe(part)
    })
    expect(bundle.manifest.data.split).toEqual(log.manifest.split)
  })

  it('refuses malformed exports by name', async () => {
    const cases: readonly [Parameters<typeof writeTinyClassifier>[1], string][] = [
      [{ ...THREE, output: 'last_hidden_state' }, 'expected an output logits'],
      [{ ...THREE, perToken: true }, 'expected logits of 2 dimensions, [prompts, labels]'],
      [{ ...THREE, config: { id2label: { 0: 'a', 1: 'b' } } }, 'id2label: 3 labels'],
      [{ ...THREE, config: { architectures: ['BertForMaskedLM'] } }, 'ForSequenceClassification'],
      [{ ...THREE, config: { problem_type: 'regression' } }, 'one output for problem_type'],
      [{ ...THREE, config: { problem_type: 'ranking' } }, 'problem_type'],
      [{ labels: ['LABEL_0', 'LABEL_1'] }, '--labels'],
      [
        { ...THREE, config: { problem_type: 'multi_label_classification' } },
        'an output named big (id2label)',
      ],
    ]
    for (const [classifier, expected] of cases) {
      await expect(made(classifier)).rejects.toThrow(expected)
    }
    const model = join(folder, 'broken')
    await writeTinyClassifier(model, THREE)
    const again = (): Promise<ImportResult> =>
      importClassifier(model, {
        ...{ strong: 'big', weak: 'small', out: join(folder, 'bundles'), name: 'x', seed: 1 },
        ...{ recipe: RECIPES[0]!, tolerance: 1e-3 },
      })
    await writeFile(join(model, 'onnx/model.onnx'), 'no graph')
    await expect(again()).rejects.toMatchObject({ code: 'onnx_failed' })
    await rm(join(model, 'onnx/model.onnx'))
    await expect(again()).rejects.toThrow('model.onnx')
    await rm(join(model, 'tokenizer.json'))
    await expect(again()).rejects.toThrow('onnx')
    await rm(join(model, 'config.json'))
    await expect(again()).rejects.toThrow('config.json')
  })
})

describe('the meaning of labels', () => {
  const pair = { strong: 'big', weak: 'small' }
  const of = (labels: readonly string[], given?: string) =>
    meaningOf(given, { labels, problem: 'single_label_classification' }, pair).head

  it('comes from names, from a list, or from name=value', () => {
    expect(of(['Weak', 'Tie', 'Strong'])).toEqual({ kind: 'classes', values: [0, 0.5, 1] })
    expect(of(['a', 'b'], 'strong,weak')).toEqual({ kind: 'classes', values: [1, 0] })
    expect(of(['a', 'b'], 'b=1,a=0.25')).toEqual({ kind: 'classes', values: [0.25, 1] })
    expect(of(['a'], 'weak,strong')).toEqual({ kind: 'classes', values: [0, 1] })
    expect(of(['LABEL_0', 'LABEL_1', 'LABEL_2'])).toEqual({
      kind: 'classes',
      values: [1, 0.5, 0],
    })
  })

  it('is refused where it is unclear', () => {
    for (const [labels, given] of [
      [['a', 'b'], undefined],
      [['a', 'b'], 'strong'],
      [['a', 'b'], 'strong,strong'],
      [['a', 'b'], 'strong,2'],
      [['a', 'b'], 'strong,'],
      [['a', 'b'], 'a=strong'],
      [['a', 'b'], 'a=strong,c=weak'],
      [['a', 'b'], 'range:0..1'],
      [['a'], 'range:1..1'],
      [['a'], 'range:x..1'],
      [['a', 'b'], 'models'],
    ] as const) {
      expect(() => of(labels, given)).toThrow('--labels')
    }
  })
})
