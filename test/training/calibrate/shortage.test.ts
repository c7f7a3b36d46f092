import { expect, it } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import { simulate } from '../../../testing/simulated-rows.ts'
import { dataShort } from '../../../training/calibrate/shortage.ts'
import { calibrateThreshold } from '../../../training/calibrate/threshold.ts'

const target = { kind: 'max-loss', loss: 0.01, confidence: 0.99 } as const

/** Whether the promise can be made on this many rows of the same world. */
function promised(rows: number, seed: number): boolean | string {
  const reference = simulate({ rows: 1000, seed: 1 }).winRate
  try {
    calibrateThreshold({ rows: simulate({ rows, seed }), target, reference, seed: 1 })
    return true
  } catch (error) {
    if (error instanceof WeirError && error.code === 'calibration_data_short') return error.message
    throw error
  }
}

it('a promise that is refused says how many more rows would do, and with those it can mostly be made', () => {
  const message = promised(60, 2)
  const more = Number(/about (\d+) more rows/.exec(String(message))?.[1])
  expect(more).toBeGreaterThan(100)
  expect(more).toBeLessThan(3000)
  let made = 0
  for (let seed = 10; seed < 30; seed++) if (promised(60 + more, seed) === true) made++
  expect(made).toBeGreaterThanOrEqual(12)
})

it('says that more rows would not help only where these tell the loss from what is allowed', () => {
  const refused = (losses: readonly number[]) => {
    const at = () => Float64Array.from(losses)
    const loss = { at, allowed: 0.05, low: -1, high: 1, confidence: 0.95, bound: 'loss' } as const
    return dataShort(loss as never, { rows: losses.length, grid: Float64Array.of(0.1), target })
      .message
  }
  const few = Array.from({ length: 48 }, (_, i) => (i < 4 ? 1 : 0))
  expect(refused(few)).toContain('too few rows to tell')
  expect(refused(few)).not.toContain('would not change')
  const many = Array.from({ length: 4_800 }, (_, i) => (i < 400 ? 1 : 0))
  expect(refused(many)).toMatch(
    /is 0\.0833 \[.*\], and 0\.05 is allowed: more rows like these would not/,
  )
})
