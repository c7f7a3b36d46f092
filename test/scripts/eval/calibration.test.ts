import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import {
  budgetOnSplits,
  drawWorld,
  type KnownWorld,
  promiseInWorld,
  promiseOnSplits,
  shareError,
  shiftedShareErrors,
} from '../../../scripts/eval/calibration/shares.ts'

import { betting } from '../../../training/calibrate/bounds/betting.ts'
import { pairedExact } from '../../../training/calibrate/bounds/paired-exact.ts'

/** `npm run eval:calibration` at a size for every test run: fixed seeds, known truth. */
const standardErrors = (runs: number, k: number): number => k * Math.sqrt((0.1 * 0.9) / runs)

describe('a net loss of 5% promised at 90%, true loss known', () => {
  const worlds: KnownWorld[] = [
    { strong: 0.8, weak: 0.68, skill: 0.6 },
    { strong: 0.95, weak: 0.55, skill: 1 },
    { strong: 0.6, weak: 0.55, skill: 0.2 },
  ]

  it.each(worlds)('is broken in at most 10% of calibrations: $strong, $weak, $skill', (world) => {
    for (const test of [pairedExact, betting]) {
      const options = { rows: 600, runs: 100, loss: 0.05, confidence: 0.9, seed: 3 }
      const { violations, weakShare } = promiseInWorld(world, test, options)
      expect(violations).toBeLessThanOrEqual(0.1 + standardErrors(100, 2.5))
      expect(weakShare).toBeGreaterThan(0.1)
    }
  })
})

describe('promises on random splits of one table', () => {
  const table = drawWorld({ strong: 0.8, weak: 0.68, skill: 0.7 }, 8000, 17)
  const of = { runs: 100, calibrationRows: 800, validationRows: 400, seed: 2 }

  it('are kept on the remaining rows, where the plug-in threshold breaks them half the time', () => {
    const target = { kind: 'max-loss', loss: 0.03, confidence: 0.9 } as const
    const promised = promiseOnSplits(table, pairedExact, { ...of, target })
    const plugIn = promiseOnSplits(table, 'plug-in', { ...of, target })
    expect(promised.violations).toBeLessThanOrEqual(0.1 + standardErrors(100, 2.5))
    expect(promised.weakShare).toBeGreaterThan(0.1)
    expect(plugIn.violations).toBeGreaterThan(0.3)
  })

  it('hold for budgets, and spend most of them', () => {
    const random = createRandom(5)
    const cost = (price: number): Float64Array =>
      table.winRate.map(() => price * Math.exp(0.5 * random.normal()))
    const rows = { ...table, strongCost: cost(0.01), weakCost: cost(0.001) }
    const result = budgetOnSplits(rows, {
      runs: 40,
      calibrationRows: 800,
      confidence: 0.9,
      seed: 2,
      method: 'betting',
    })
    expect(result.violations).toBeLessThanOrEqual(0.1 + standardErrors(40, 2.5))
    expect(result.spent).toBeGreaterThan(0.85)
  })
})

describe('strong shares', () => {
  const { winRate } = drawWorld({ strong: 0.8, weak: 0.6, skill: 0.5 }, 10_000, 4)

  it('are within .7 points of the population on 5,000 rows, on average', () => {
    expect(shareError(winRate, { rows: 5000, runs: 40, seed: 1 })).toBeLessThan(0.007)
  })

  it('are within 3 points after 200 unlabelled prompts of a new mix, and far off without', () => {
    const categories = Array.from(winRate, (score) => String(Math.floor(score * 30)))
    const errors = shiftedShareErrors(winRate, categories, { unlabelled: 200, runs: 60, seed: 1 })
    expect(errors.recalibrated).toBeLessThan(0.03)
    expect(errors.kept).toBeGreaterThan(2 * errors.recalibrated)
  })
})
