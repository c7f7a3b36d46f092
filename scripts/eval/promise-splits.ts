import { createRandom } from '../../models/random.ts'
import type { BoundTest } from '../../training/calibrate/bounds/bound-test.ts'
import { gridFrom } from '../../training/calibrate/grid.ts'
import { promisedLoss } from '../../training/calibrate/losses.ts'
import { passing } from '../../training/calibrate/methods/learn-then-test.ts'
import { plugIn } from '../../training/calibrate/methods/plug-in.ts'
import { type CalibrationRows, takeCalibrationRows } from '../../training/calibrate/rows.ts'
import type { Target } from '../../training/calibrate/target.ts'

export interface SplitOptions {
  readonly target: Extract<Target, { kind: 'max-loss' | 'max-harm' }>
  readonly runs: number
  readonly calibrationRows: number
  /** rows whose scores alone fix the grid; they are neither calibrated nor tested on */
  readonly validationRows: number
  readonly seed: number
}

export interface SplitResult {
  /** share of the splits whose remaining rows lose more than was promised */
  readonly violations: number
  /** mean share of the remaining rows that went to the weak model */
  readonly weakShare: number
}

/** Random splits of labelled rows: what a promise made on one part does on the rest. */
export function promiseOnSplits(
  rows: CalibrationRows,
  test: BoundTest | 'plug-in',
  options: SplitOptions,
): SplitResult {
  const { target, runs, calibrationRows: n, validationRows } = options
  const limit = target.kind === 'max-loss' ? target.loss : target.harm
  let violations = 0
  let weakShare = 0
  for (let run = 0; run < runs; run++) {
    const order = createRandom(options.seed * 100_003 + run).shuffle(
      Int32Array.from(rows.winRate.keys()),
    )
    const grid = gridFrom(
      Float64Array.from(order.subarray(0, validationRows), (i) => rows.winRate[i]!),
    )
    const calibration = takeCalibrationRows(
      rows,
      order.subarray(validationRows, validationRows + n),
    )
    const threshold =
      test === 'plug-in'
        ? plugIn.choose({ rows: calibration, target, grid, seed: 1 }).threshold
        : lastPassing(test, calibration, target, grid)
    const rest = order.subarray(validationRows + n)
    let loss = 0
    let weak = 0
    for (const i of rest) {
      if (rows.winRate[i]! >= threshold) continue
      weak++
      const gain = rows.gain![i]!
      loss += target.kind === 'max-loss' ? gain : Math.max(0, gain)
    }
    if (loss / rest.length > limit) violations++
    weakShare += weak / rest.length / runs
  }
  return { violations: violations / runs, weakShare }
}

/** All strong (0) where no threshold passes: the promise is then not made, and nothing is lost. */
function lastPassing(
  test: BoundTest,
  rows: CalibrationRows,
  target: SplitOptions['target'],
  grid: Float64Array,
): number {
  const passed = passing(test, promisedLoss(rows, target), grid)
  return passed === 0 ? 0 : grid[passed - 1]!
}
