import { betting } from './bounds/betting.ts'
import { INTERVAL_LEVEL } from './expected.ts'

/** Steps in which the bound is looked for, in score units. */
const STEP = 0.001

/**
 * Upper bound of a mean in [low, 1] by inverting the betting test: the least value, in steps, above which all
 * are ruled out. Rows must be in random order.
 */
export function upperBound(values: Float64Array, low: number, delta = 1 - INTERVAL_LEVEL): number {
  let bound = 1
  const steps = Math.round((1 - low) / STEP)
  for (let k = steps - 1; k >= 0; k--) {
    const mean = low + k * STEP
    if (!betting.rejects(values, { mean, low, high: 1, delta })) break
    bound = mean
  }
  return bound
}
