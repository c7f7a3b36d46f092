/** What a test is asked: may we say that the mean of values in [low, high] is at most `mean`? */
export interface TestOptions {
  readonly mean: number
  readonly low: number
  readonly high: number
  /** probability of saying so where it is false, at most */
  readonly delta: number
}

/**
 * A test of "the mean is above `mean`", valid at any n for independent values (or values in random
 * order) in [low, high], with no other assumption. Every one passes `test/training/calibrate/bound-contract.ts`.
 */
export interface BoundTest {
  readonly name: string
  /** which values it is for: any between, only `low` and `high`, or only -1, 0 and 1 */
  readonly values: 'bounded' | 'binary' | 'ternary'
  rejects(values: Float64Array, options: TestOptions): boolean
}

export function meanOf(values: Float64Array): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}
