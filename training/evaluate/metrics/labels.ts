import { WeirError } from '../../../core/errors.ts'

/** Labels of n prompts: `y`, and the two models' scores if the log had outcomes. */
export interface EvaluationLabels {
  /** n, in [0, 1]: P(strong better) + 1/2 P(tie), or (1 + s - w) / 2 */
  readonly y: ArrayLike<number>
  /** n, in [0, 1]; NaN, like `weak`, for prompts that only have votes */
  readonly strong?: ArrayLike<number> | undefined
  /** n, in [0, 1] */
  readonly weak?: ArrayLike<number> | undefined
  /**
   * n: 1 where only one model answered, so that scores and y are estimates: unbounded, and right only on average
   * over prompts; absent if there are none
   */
  readonly estimated?: Uint8Array | undefined
}

/**
 * s - w per prompt, from its scores if it has any, else 2y - 1. Refuses NaN, and values out of range unless they
 * are estimates.
 */
export function gainsOf(labels: EvaluationLabels, rows: number): Float64Array {
  const { y, strong, weak, estimated } = labels
  const voted = (i: number): boolean =>
    strong !== undefined && Number.isNaN(strong[i]!) && Number.isNaN(weak![i]!)
  check('y', y, rows, (i) => estimated?.[i] === 1 && Number.isFinite(y[i]!))
  if ((strong === undefined) !== (weak === undefined)) {
    throw new WeirError('evaluation_invalid', {
      expected: 'scores of both models or of neither',
      got: strong ? 'only the strong one' : 'only the weak one',
    })
  }
  const gain = new Float64Array(rows)
  if (strong && weak) {
    for (const [name, scores] of [
      ['strong', strong],
      ['weak', weak],
    ] as const) {
      check(
        name,
        scores,
        rows,
        (i) => voted(i) || (estimated?.[i] === 1 && Number.isFinite(scores[i]!)),
      )
    }
    for (let i = 0; i < rows; i++) gain[i] = voted(i) ? 2 * y[i]! - 1 : strong[i]! - weak[i]!
  } else {
    for (let i = 0; i < rows; i++) gain[i] = 2 * y[i]! - 1
  }
  return gain
}

function check(
  name: string,
  values: ArrayLike<number>,
  rows: number,
  excused: (row: number) => boolean,
): void {
  if (values.length !== rows) {
    throw new WeirError('evaluation_invalid', {
      expected: `${rows} values of ${name}, one per prompt`,
      got: values.length,
    })
  }
  for (let i = 0; i < rows; i++) {
    const value = values[i]!
    if (!(value >= 0 && value <= 1) && !excused(i)) {
      throw new WeirError('evaluation_invalid', {
        expected: `values of ${name} in [0, 1]`,
        got: `${value} at prompt ${i}`,
      })
    }
  }
}

/** Mean of the values that are known; NaN for none. */
export function knownMean(values: ArrayLike<number>): number {
  let sum = 0
  let known = 0
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i]!)) continue
    sum += values[i]!
    known++
  }
  return sum / known
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}
