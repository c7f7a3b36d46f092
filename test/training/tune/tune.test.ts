import { beforeAll, describe, expect, it } from 'vitest'
import { type Dataset, SPLITS } from '../../../data/dataset/dataset.ts'
import { readLogs } from '../../../data/ingest.ts'
import type { FitRouterOptions } from '../../../training/fit-router.ts'
import { nestValidation, tuneRouter } from '../../../training/tune/tune.ts'

import { writeSmallLog } from '../small-log.ts'

const OPTIONS: FitRouterOptions = {
  strong: 'big',
  weak: 'small',
  router: 'classifier',
  engine: 'onnx',
  seed: 3,
  threads: 1,
  // quick, not good
  hyperparameters: { folds: 2, iterations: 30 },
}

let dataset: Dataset
beforeAll(async () => {
  dataset = await readLogs([await writeSmallLog(500, 8)], { seed: 1 })
})

describe('--tune', () => {
  it('gives the same for a seed, and other trials for another', async () => {
    const first = await tuneRouter(dataset, OPTIONS, 3)
    expect(first.trials).toHaveLength(3)
    expect(first.trials[0]!.settings).toEqual({})
    expect(await tuneRouter(dataset, OPTIONS, 3)).toEqual(first)
    const other = await tuneRouter(dataset, { ...OPTIONS, seed: 4 }, 3)
    expect(other.trials[1]!.settings).not.toEqual(first.trials[1]!.settings)
  })

  it('never reads the labels of test and calibration rows', async () => {
    const scores = dataset.outcomes!.scores.map((score, i) => {
      const split = SPLITS[dataset.split[Math.floor(i / 2)]!]
      return split === 'test' || split === 'calibration' ? 1 - score : score
    })
    const turned = { ...dataset, outcomes: { ...dataset.outcomes!, scores } }
    expect(await tuneRouter(turned, OPTIONS, 3)).toEqual(await tuneRouter(dataset, OPTIONS, 3))
  })

  it('leaves alone what was set by hand, and keeps it', async () => {
    const fixed = { ...OPTIONS, hyperparameters: { l2_max: 77, l2_steps: 2 } }
    const { trials, settings } = await tuneRouter(dataset, fixed, 3)
    for (const { settings: tried } of trials.slice(1))
      expect(Object.keys(tried)).toEqual(['l2_min'])
    expect(settings).toMatchObject({ l2_max: 77, l2_steps: 2 })
  })

  it('takes the defaults where the other half of validation does not say better', async () => {
    const { comparison, best } = await tuneRouter(dataset, OPTIONS, 3)
    const [defaults, tuned] = comparison ?? []
    if (tuned && defaults) expect(best !== 0).toBe(tuned.loss < defaults.loss)
    else expect(best).toBe(0)
  })
})

it('halves of validation share no prompt, and nothing else moves into them', () => {
  const nested = nestValidation(dataset)
  const [VALIDATION, TRAIN] = [SPLITS.indexOf('validation'), SPLITS.indexOf('train')]
  const tuning = [...nested.dataset.split.keys()].filter(
    (row) => nested.dataset.split[row] === VALIDATION,
  )
  const whole = [...dataset.split.keys()].filter((row) => dataset.split[row] === VALIDATION)
  expect([...tuning, ...nested.compared].toSorted((a, b) => a - b)).toEqual(whole)
  expect(Math.abs(tuning.length - nested.compared.length)).toBeLessThanOrEqual(1)
  nested.dataset.split.forEach((of, row) => {
    expect(of === TRAIN).toBe(dataset.split[row] === TRAIN)
  })
})
