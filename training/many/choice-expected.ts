import { INTERVAL_LEVEL } from '../calibrate/expected.ts'
import { type Interval, meanInterval, ratioInterval } from '../calibrate/interval.ts'
import type { RoleColumns } from './choice-target.ts'
import type { ModelTable } from './model-table.ts'

/** What the rule does on the calibration rows; 95% intervals. */
export interface ChoiceExpected {
  readonly quality: Interval
  /** against the best model, in score units */
  readonly loss: Interval
  readonly best_share?: Interval
  readonly pgr?: Interval
  readonly usd_per_1k: Interval
  /** of the requests, a model each, in the order of the table */
  readonly shares: readonly number[]
}

/** @param choices a row's model each, by place in the table */
export function choiceExpected(
  table: ModelTable,
  roles: RoleColumns,
  choices: Int32Array,
): ChoiceExpected {
  const { scores, costs, models } = table
  const m = models.length
  const chosen = (values: Float64Array): Float64Array =>
    Float64Array.from(choices, (model, i) => values[i * m + model]!)
  const column = (k: number): Float64Array =>
    Float64Array.from(choices, (_, i) => scores[i * m + k]!)
  const score = chosen(scores)
  const strong = column(roles.strong)
  const weak = column(roles.weak)
  const less = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x - b[i]!)
  const mean = (values: Float64Array): Interval => meanInterval(values, undefined, INTERVAL_LEVEL)
  const share = ratioInterval(score, strong, undefined, INTERVAL_LEVEL)
  const pgr = ratioInterval(less(score, weak), less(strong, weak), undefined, INTERVAL_LEVEL)
  return {
    quality: mean(score),
    loss: mean(less(strong, score)),
    ...(share && { best_share: share }),
    ...(pgr && { pgr }),
    usd_per_1k: mean(chosen(costs).map((cost) => 1000 * cost)),
    shares: models.map((_, k) => choices.reduce((n, c) => n + (c === k ? 1 : 0), 0) / table.rows),
  }
}
