import { type Block, joinBlocks, poolAdjacentViolators } from '../../../core/stats/isotonic.ts'
import type { CalibrationMap } from '../../../models/calibration-map.ts'

/**
 * Number of rows at the overall mean label that each block is shrunk by, so that a block of ones does not
 * become 1.
 */
const PRIOR_ROWS = 2
/** Minimum slope between knots, which makes the map strictly increasing, and its total rise before 0 and after 1. */
const LEAST_SLOPE = 1e-3
/** Minimum distance between knots, since the graph computes in float32. */
const LEAST_WIDTH = 1e-4

/**
 * Isotonic regression by pooling adjacent violators (Ayer et al. 1955), interpolated between the blocks'
 * means and tilted to be strictly increasing: steps would make scores equal that the router distinguishes.
 */
export function fitIsotonic(winRate: Float64Array, y: Float64Array): CalibrationMap {
  const order = Int32Array.from(winRate.keys()).sort((a, b) => winRate[a]! - winRate[b]!)
  let mean = 0
  for (const value of y) mean += value / y.length
  const pooled = poolAdjacentViolators(
    Array.from(order, (i) => ({ rows: 1, x: winRate[i]!, y: y[i]! })),
  )
  const shrunk = poolAdjacentViolators(
    pooled.map(({ rows, x, y }) => ({
      rows,
      x,
      y: (rows * y + PRIOR_ROWS * mean) / (rows + PRIOR_ROWS),
    })),
  )
  return { method: 'isotonic', ...knots(merged(shrunk)) }
}

function merged(blocks: readonly Block[]): Block[] {
  const kept: Block[] = []
  for (const block of blocks) {
    const before = kept.at(-1)
    if (before && block.x - before.x < LEAST_WIDTH)
      kept[kept.length - 1] = joinBlocks(before, block)
    else kept.push(block)
  }
  return kept
}

/**
 * Knots from 0 to 1 through the blocks' means, to be joined linearly; nearly flat outside the first and the
 * last block.
 */
function knots(blocks: readonly Block[]): { x: number[]; y: number[] } {
  const inner = blocks.filter(({ x }) => x > LEAST_WIDTH && x < 1 - LEAST_WIDTH)
  const first = inner[0] ?? { x: 0.5, y: 0.5 }
  const last = inner.at(-1) ?? first
  const x = [0, ...(inner.length > 0 ? inner : [first]).map((block) => block.x), 1]
  const y = [
    first.y - LEAST_SLOPE * first.x,
    ...(inner.length > 0 ? inner : [first]).map((block) => block.y),
    last.y + LEAST_SLOPE * (1 - last.x),
  ]
  for (let k = 1; k < x.length; k++) {
    y[k] = Math.max(y[k]!, y[k - 1]! + LEAST_SLOPE * (x[k]! - x[k - 1]!))
  }
  // moves what the tilt pushed out of [0, 1] back inside, keeping the order
  const low = Math.min(0, y[0]!)
  const span = Math.max(1, y.at(-1)!) - low
  return { x, y: y.map((value) => (value - low) / span) }
}
