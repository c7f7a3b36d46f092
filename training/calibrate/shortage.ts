import { WeirError } from '../../core/errors.ts'
import { normalQuantile } from '../../core/stats/normal.ts'
import { meanOf } from './bounds/bounds.ts'
import type { PromisedLoss } from './losses.ts'
import { describeTarget, type Target } from './target.ts'

/** Chance with which the promise should be possible once the missing rows are there. */
const POWER = 0.8
/** The finite-sample price over the normal test that the sizes below are reckoned with. */
const OVERHEAD = 1.15

/** A sequence of numbers that was tested for a target on so many rows, and of which none passed. */
interface FailedSequence {
  readonly rows: number
  readonly grid: Float64Array
  readonly target: Target
}

/** The error for a promise that can't be made with these rows, saying how many more would do. */
export function dataShort(loss: PromisedLoss, { rows, grid, target }: FailedSequence): WeirError {
  const needed = rowsNeeded(loss, grid)
  const message = { target: describeTarget(target), rows }
  return Number.isFinite(needed)
    ? new WeirError('calibration_data_short', {
        ...message,
        more: roundUp(Math.max(needed - rows, rows / 4)),
      })
    : new WeirError('calibration_impossible', message)
}

/**
 * Rows with which the first threshold of the grid would pass: the larger of what the normal test needs at
 * the loss seen and what even a flawless sample would need. Infinity where the loss seen is too high.
 */
function rowsNeeded(loss: PromisedLoss, grid: Float64Array): number {
  const delta = 1 - loss.confidence
  const first = grid[0]
  if (first === undefined) return Infinity
  const values = loss.at(first)
  const mean = meanOf(values)
  const distance = loss.allowed - mean
  if (distance <= 0) return Infinity
  let squares = 0
  for (const value of values) squares += (value - mean) ** 2
  const spread = normalQuantile(1 - delta) + normalQuantile(POWER)
  // few rows may show no loss at all: at the limit itself they would vary by about as much as it allows
  const variance = Math.max(squares / values.length, loss.allowed * loss.high)
  const normal = variance * (spread / distance) ** 2
  const flawless = Math.log(1 / delta) / Math.log1p(distance / (loss.high - loss.allowed))
  return OVERHEAD * Math.max(normal, flawless)
}

/** Up to two leading digits. */
export function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1)
  return Math.ceil(value / unit) * unit
}
