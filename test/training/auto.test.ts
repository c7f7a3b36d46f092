import { beforeAll, describe, expect, it } from 'vitest'
import { WeirError } from '../../core/errors.ts'
import { type Dataset, SPLITS } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { type AutoChoice, type AutoOptions, chooseFamily, chosenOf } from '../../training/auto.ts'
import { fitFamiliar } from '../../training/fit-familiar.ts'
import type { FitRouterOptions } from '../../training/fit-router.ts'
import { fitLexical } from '../../training/lexical/fit.ts'
import { standings } from '../../training/tune/tune.ts'
import { writeSmallLog } from './small-log.ts'

/** One encoder of each form for all runs: they share their train prompts. */
const OPTIONS: FitRouterOptions & AutoOptions = {
  fitted: new Map(),
  strong: 'big',
  weak: 'small',
  router: 'auto',
  engine: 'onnx',
  seed: 3,
  threads: 1,
  // half of validation: the suite has a case of its own for folds
  folds: 1,
}

let dataset: Dataset
beforeAll(async () => {
  dataset = await readLogs([await writeSmallLog(240, 9)], { seed: 1 })
})

const FAMILIES = ['classifier', 'knn', 'mf', 'mlp']

const untimed = ({
  ms: _,
  above: __,
  error: ___,
  chosen: ____,
  ...row
}: AutoChoice['rows'][number]) => row

describe('--router auto', () => {
  let choice: AutoChoice
  let opened = 0
  beforeAll(async () => {
    const reason = 'of use-lite'
    const missing = new WeirError('module_missing', { what: 'use-lite', module: 'x', reason })
    const projection = { dimension: 16, maxBuckets: 1000, maxPrompts: 200, seed: 1 }
    const { prompts } = dataset
    const encoder = fitFamiliar(await fitLexical({ prompts, projection }), prompts)
    const encoders = [
      { name: 'missing', open: () => Promise.reject(missing) },
      {
        name: 'given',
        async open() {
          opened++
          return { encoder, besideLexical: false }
        },
      },
    ]
    choice = await chooseFamily(dataset, { ...OPTIONS, encoders })
  }, 60_000)

  it('judges every family on the same held-back rows and chooses the best', () => {
    const { family, rows, skipped, stopped } = choice
    expect(rows.map(({ name }) => name)).toEqual([
      ...FAMILIES,
      'classifier on given',
      'knn on given',
    ])
    const least = Math.min(...rows.map(({ loss }) => loss))
    const taken = rows.filter(({ chosen }) => chosen)
    expect(taken.map(({ loss }) => loss)).toEqual([least])
    expect(taken[0]!.name.split(' ')[0]).toBe(family)
    expect(skipped.map(({ name }) => name)).toEqual(['classifier on missing', 'knn on missing'])
    expect(stopped).toBe(false)
  })

  it('chooses the first within one standard error where latency is preferred', () => {
    const near = standings([
      { name: 'worst', losses: [9, 8, 9, 8] },
      { name: 'near', losses: [1, 2, 1, 2.1] },
      { name: 'best', losses: [2, 1, 2, 0.9] },
    ])
    const ms = (...all: number[]) => all.map((one) => ({ ms: one }))
    expect(chosenOf(near, ms(1, 1, 1), {})).toBe(2)
    expect(chosenOf(near, ms(1, 1, 1), { prefer: 'latency' })).toBe(1)
    // of those that are fast enough, else the fastest
    expect(chosenOf(near, ms(1, 1, 9), { maxMs: 2 })).toBe(1)
    expect(chosenOf(near, ms(1, 9, 9), { maxMs: 2 })).toBe(0)
    expect(chosenOf(near, ms(7, 5, 9), { maxMs: 2 })).toBe(1)
  })

  it('keeps to a time budget and says what it left out', async () => {
    const { family, rows, skipped } = await chooseFamily(dataset, { ...OPTIONS, minutes: 1e-6 })
    expect(rows.map(({ name }) => name)).toEqual(['classifier'])
    expect(family).toBe('classifier')
    expect(skipped.map(({ name }) => name)).toEqual(['knn', 'mf', 'mlp'])
    expect(skipped[0]!.reason).toContain('minutes')
  })

  it('reads no label of test and calibration rows', async () => {
    const scores = dataset.outcomes!.scores.map((score, i) => {
      const split = SPLITS[dataset.split[Math.floor(i / 2)]!]
      return split === 'test' || split === 'calibration' ? 1 - score : score
    })
    const turned = { ...dataset, outcomes: { ...dataset.outcomes!, scores } }
    const again = await chooseFamily(turned, OPTIONS)
    expect(again.rows.map(untimed)).toEqual(choice.rows.slice(0, 4).map(untimed))
  })

  it('compares small logs out of fold, on all train and validation rows', async () => {
    const { folds: _, ...options } = OPTIONS
    const { rows, folds, compared, skipped } = await chooseFamily(dataset, {
      ...options,
      fitted: new Map(),
      minutes: 1e-6,
    })
    const own = dataset.split.filter((of) => SPLITS[of] === 'train' || SPLITS[of] === 'validation')
    expect([folds, compared]).toEqual([4, own.length])
    expect(rows.map(({ name }) => name)).toEqual(['classifier'])
    expect(rows[0]!.apgr.value).toBeGreaterThan(0.5)
    expect(skipped).toHaveLength(3)
  })

  it('opens other encoders when their turn comes, and passes over one that is not installed', () => {
    expect(opened).toBe(1)
    const missing = choice.skipped.filter(({ name }) => name.endsWith('on missing'))
    expect(missing.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('use-lite'),
      expect.stringContaining('use-lite'),
    ])
  })

  it('tunes within each family where asked to', async () => {
    const { tuned } = await chooseFamily(dataset, OPTIONS, 2)
    expect(tuned.map(({ family }) => family)).toEqual(['classifier', 'knn', 'mf', 'mlp'])
    for (const { trials } of tuned) expect(trials).toHaveLength(2)
  }, 60_000)

  it('stopped on the way, chooses among the families that were fitted', async () => {
    const controller = new AbortController()
    const choice = await chooseFamily(dataset, {
      ...OPTIONS,
      signal: controller.signal,
      onProgress: ({ stage, done }) => {
        if (stage === 'comparing routers' && done === 1) controller.abort()
      },
    })
    expect(choice.stopped).toBe(true)
    expect(choice.family).toBe('classifier')
  })

  it('stopped before any family was fitted, says that it was cancelled', async () => {
    const signal = AbortSignal.abort()
    await expect(chooseFamily(dataset, { ...OPTIONS, signal })).rejects.toThrow()
  })
})
