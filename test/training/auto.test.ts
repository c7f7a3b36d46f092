import { beforeAll, describe, expect, it } from 'vitest'
import { type Dataset, SPLITS } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { type AutoChoice, chooseFamily } from '../../training/auto.ts'
import type { FitRouterOptions } from '../../training/fit-router.ts'
import { writeSmallLog } from './small-log.ts'

/** One encoder of each form for all runs: they share their train prompts. */
const OPTIONS: FitRouterOptions = {
  fitted: new Map(),
  strong: 'big',
  weak: 'small',
  router: 'auto',
  engine: 'onnx',
  seed: 3,
  threads: 1,
}

let dataset: Dataset
beforeAll(async () => {
  dataset = await readLogs([await writeSmallLog(240, 9)], { seed: 1 })
})

describe('--router auto', () => {
  let choice: AutoChoice
  beforeAll(async () => {
    choice = await chooseFamily(dataset, OPTIONS)
  }, 60_000)

  it('judges every family on the same held-back rows and chooses the best', () => {
    const { family, rows, skipped, stopped } = choice
    expect(rows.map(({ name }) => name)).toEqual(['classifier', 'knn', 'mf', 'mlp'])
    const least = Math.min(...rows.map(({ loss }) => loss))
    expect(rows.find(({ name }) => name === family)!.loss).toBe(least)
    expect(rows.filter(({ chosen }) => chosen).map(({ name }) => name)).toEqual([family])
    expect([skipped, stopped]).toEqual([[], false])
  })

  it('chooses the first within one standard error where latency is preferred', async () => {
    const { family, rows } = await chooseFamily(dataset, { ...OPTIONS, prefer: 'latency' })
    const near = rows.find(({ above, error }) => above <= error)!
    expect(family).toBe(near.name)
    expect(rows.filter(({ chosen }) => chosen).map(({ name }) => name)).toEqual([family])
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
    expect(await chooseFamily(turned, OPTIONS)).toEqual(choice)
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
        if (stage === 'comparing families' && done === 1) controller.abort()
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
