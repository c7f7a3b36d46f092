import type { Dataset } from '../../data/dataset.ts'
import type { PairLabels } from '../../data/pair.ts'
import type { RequestCosts } from './request-costs.ts'
import type { CalibrationRows } from './rows.ts'

/** What the log says of the given rows, beside the router's win rates for them. */
export function labelledRows(
  labels: PairLabels,
  rows: Int32Array,
  winRate: Float64Array,
  costs: RequestCosts | undefined,
): CalibrationRows {
  const { strong, weak } = labels
  const scored = strong && weak && rows.every((row) => !Number.isNaN(strong[row]! + weak[row]!))
  // two scores as the log has them; a float32 label would round their difference
  const gain = Float64Array.from(rows, (row) =>
    scored ? strong[row]! - weak[row]! : 2 * labels.label[row]! - 1,
  )
  return {
    winRate,
    gain,
    ...(scored && { weak: Float64Array.from(rows, (row) => weak[row]!) }),
    ...(costs && { strongCost: costs.strong, weakCost: costs.weak }),
  }
}

/** The texts of the given rows' prompts. */
export const textsOf = (dataset: Dataset, labels: PairLabels, rows: Int32Array): string[] =>
  Array.from(rows, (row) => dataset.prompts[labels.prompt[row]!]!)
