import { WeirError } from '../../core/errors.ts'
import { meanInterval, sideOf } from '../../core/stats/intervals.ts'
import { normalQuantile } from '../../core/stats/normal.ts'
import { meanOf } from './bounds/bounds.ts'
import type { PromisedLoss } from './losses.ts'
import { describeTarget, type Target } from './target.ts'

/** Probability with which the promise should be possible once the missing rows are there. */
const POWER = 0.8
/** Factor on the sample size of the normal test that accounts for a finite-sample bound. */
const OVERHEAD = 1.15

/** A sequence of numbers that was tested for a target on these rows, and of which none passed. */
interface FailedSequence {
  readonly rows: number
  readonly grid: Float64Array
  readonly target: Target
}

/** The error for a promise that cannot be made with these rows; it states how many more are needed. */
export function dataShort(loss: PromisedLoss, { rows, grid, target }: FailedSequence): WeirError {
  const needed = rowsNeeded(loss, grid)
  const message = { target: describeTarget(target), rows }
  return Number.isFinite(needed)
    ? new WeirError('calibration_data_short', {
        ...message,
        more: roundUp(Math.max(needed - rows, rows / 4)),
      })
    : new WeirError('calibration_impossible', { ...message, found: lossAtSafest(loss, grid) })
}

/** The loss where it is least, and whether these rows tell it from what is allowed. */
function lossAtSafest(loss: PromisedLoss, grid: Float64Array): string {
  const first = grid[0]
  if (first === undefined) return 'there is no threshold to try'
  const interval = meanInterval(loss.at(first), undefined, 0.95)
  const [value, low, high, allowed] = [
    interval.value,
    interval.low,
    interval.high,
    loss.allowed,
  ].map((x) => Number(x.toPrecision(3)))
  const found = `where the loss is least it is ${value} [${low}, ${high}], and ${allowed} is allowed`
  return sideOf(interval, loss.allowed) === 'above'
    ? `${found}: more rows like these would not change that`
    : `${found}: too few rows to tell whether more would keep it`
}

/**
 * Number of rows with which the first threshold of the grid would pass: the maximum of what the normal test
 * needs at the observed loss and what a sample without any loss would need. Infinity if the observed loss is
 * too high.
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
  // few rows may show no loss at all: the variance is at least that of losses at the limit itself
  const variance = Math.max(squares / values.length, loss.allowed * loss.high)
  const normal = variance * (spread / distance) ** 2
  const flawless = Math.log(1 / delta) / Math.log1p(distance / (loss.high - loss.allowed))
  return OVERHEAD * Math.max(normal, flawless)
}

/** Rounds up to at most two significant digits. */
export function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1)
  return Math.ceil(value / unit) * unit
}
