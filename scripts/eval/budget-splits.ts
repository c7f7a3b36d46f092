import { createRandom } from '../../models/random.ts'
import { calibrateThreshold } from '../../training/calibrate/calibrate-threshold.ts'
import { costAt } from '../../training/calibrate/expected.ts'
import { type CalibrationRows, takeCalibrationRows } from '../../training/calibrate/rows.ts'

export interface BudgetResult {
  /** share of the splits whose remaining rows cost more than the budget */
  readonly violations: number
  /** mean share of the budget that the remaining rows spend */
  readonly spent: number
}

/** Random splits: a budget half-way between always-weak and always-strong, promised on one part, spent on the rest. */
export function budgetOnSplits(
  rows: CalibrationRows,
  options: {
    runs: number
    calibrationRows: number
    confidence: number
    seed: number
    method: string
  },
): BudgetResult {
  const mean = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const usd = 500 * (mean(rows.strongCost!) + mean(rows.weakCost!))
  const target = { kind: 'budget', usd_per_1k: usd, confidence: options.confidence } as const
  let violations = 0
  let spent = 0
  for (let run = 0; run < options.runs; run++) {
    const order = createRandom(options.seed * 100_003 + run).shuffle(
      Int32Array.from(rows.winRate.keys()),
    )
    const n = options.calibrationRows
    const { threshold } = calibrateThreshold({
      rows: takeCalibrationRows(rows, order.subarray(n, 2 * n)),
      reference: Float64Array.from(order.subarray(0, n), (i) => rows.winRate[i]!),
      target,
      method: options.method,
      seed: 1,
    })
    const rest = takeCalibrationRows(rows, order.subarray(2 * n))
    const cost = 1000 * mean(costAt(rest, threshold)!)
    if (cost > usd) violations++
    spent += cost / usd / options.runs
  }
  return { violations: violations / options.runs, spent }
}
