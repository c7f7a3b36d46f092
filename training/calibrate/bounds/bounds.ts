/** The question put to a test: can we conclude that the mean of values in [low, high] is at most `mean`? */
export interface TestOptions {
  readonly mean: number
  readonly low: number
  readonly high: number
  /** upper limit of the probability of concluding it although it is false */
  readonly delta: number
}

/**
 * A test of the hypothesis "the mean is above `mean`", valid for any n if values in [low, high] are
 * independent (or in random order), with no other assumption. Every test passes
 * `testing/bound-contract.ts`.
 */
export interface BoundTest {
  readonly name: string
  /** the values it accepts: any between `low` and `high`, only these two, or only -1, 0 and 1 */
  readonly values: 'bounded' | 'binary' | 'ternary'
  rejects(values: Float64Array, options: TestOptions): boolean
}

export function meanOf(values: Float64Array): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}
