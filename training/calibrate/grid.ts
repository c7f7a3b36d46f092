import { candidateThresholds } from './candidates.ts'

/** Steps of weak share that a promise is tested at. */
export const GRID_POINTS = 100

/**
 * At most `points` thresholds that spread the reference scores evenly, ascending: from a little to all of
 * them weak. Midpoints between neighbouring distinct scores.
 */
export function gridFrom(reference: Float64Array, points = GRID_POINTS): Float64Array {
  const { threshold, strong } = candidateThresholds(reference)
  const n = reference.length
  const grid: number[] = []
  for (let k = 1, step = 1; k < threshold.length; k++) {
    const weak = n - strong[k]!
    if (weak * points < step * n) continue
    grid.push(threshold[k]!)
    step = Math.floor((weak * points) / n) + 1
  }
  return Float64Array.from(grid)
}
