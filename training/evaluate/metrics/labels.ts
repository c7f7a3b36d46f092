import { WeirError } from '../../../core/errors.ts'

/** Labels of n prompts: `y`, and the two models' scores if the log had outcomes. */
export interface EvaluationLabels {
  /** n, in [0, 1]: P(strong better) + 1/2 P(tie), or (1 + s - w) / 2 */
  readonly y: ArrayLike<number>
  /** n, in [0, 1] */
  readonly strong?: ArrayLike<number> | undefined
  /** n, in [0, 1] */
  readonly weak?: ArrayLike<number> | undefined
}

/** s - w per prompt, from the scores if there are any, else 2y - 1. Refuses NaN and values out of range. */
export function gainsOf(labels: EvaluationLabels, rows: number): Float64Array {
  const { y, strong, weak } = labels
  check('y', y, rows)
  if ((strong === undefined) !== (weak === undefined)) {
    throw new WeirError('evaluation_invalid', {
      expected: 'scores of both models or of neither',
      got: strong ? 'only the strong one' : 'only the weak one',
    })
  }
  const gain = new Float64Array(rows)
  if (strong && weak) {
    check('strong', strong, rows)
    check('weak', weak, rows)
    for (let i = 0; i < rows; i++) gain[i] = strong[i]! - weak[i]!
  } else {
    for (let i = 0; i < rows; i++) gain[i] = 2 * y[i]! - 1
  }
  return gain
}

function check(name: string, values: ArrayLike<number>, rows: number): void {
  if (values.length !== rows) {
    throw new WeirError('evaluation_invalid', {
      expected: `${rows} values of ${name}, one per prompt`,
      got: values.length,
    })
  }
  for (let i = 0; i < rows; i++) {
    const value = values[i]!
    if (!(value >= 0 && value <= 1)) {
      throw new WeirError('evaluation_invalid', {
        expected: `values of ${name} in [0, 1]`,
        got: `${value} at prompt ${i}`,
      })
    }
  }
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}
