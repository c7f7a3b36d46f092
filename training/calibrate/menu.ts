import { betting } from './bounds/betting.ts'
import { candidateThresholds } from './candidates.ts'
import { type Expected, expectedAt, INTERVAL_LEVEL, netLoss } from './expected.ts'
import { shuffledRows } from './methods/learn-then-test.ts'
import { type CalibrationRows, checkRows } from './rows.ts'

export interface MenuRow {
  readonly threshold: number
  readonly expected: Expected
  /** upper bound of the net loss; all rows of the menu hold jointly at the menu's confidence */
  readonly lossBound?: number
}

export interface Menu {
  readonly confidence: number
  readonly rows: readonly MenuRow[]
}

/** Strong shares shown in a menu. */
const SHARES = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0]

/**
 * What a range of strong shares would cost and keep. The loss bounds remain valid if one share is picked
 * after looking at all of them (Bonferroni over the rows of the menu).
 */
export function targetMenu(rows: CalibrationRows, confidence: number, seed: number): Menu {
  checkRows(rows)
  const { threshold, share } = candidateThresholds(rows.winRate, rows.weight)
  const mixed = shuffledRows(rows, seed)
  const delta = (1 - confidence) / SHARES.length
  const points = [...new Set(SHARES.map((wanted) => nearest(share, wanted)))]
  return {
    confidence,
    rows: points.map((point) => {
      const at = threshold[point]!
      const expected = expectedAt(rows, at)
      if (!rows.gain || rows.weight) return { threshold: at, expected }
      const high = Math.max(1, rows.offPolicy?.gain_high ?? 1)
      return { threshold: at, expected, lossBound: upperBound(netLoss(mixed, at), high, delta) }
    }),
  }
}

function nearest(share: Float64Array, wanted: number): number {
  let best = 0
  for (let k = 1; k < share.length; k++) {
    if (Math.abs(share[k]! - wanted) < Math.abs(share[best]! - wanted)) best = k
  }
  return best
}

/** Step of the search for the bound, in score units. */
const STEP = 0.001

/**
 * Upper bound of a mean in [-1, 1] by inverting the betting test: the smallest value, on a grid of steps, above
 * which all values are rejected. Rows must be in random order, with values of at most `high`.
 */
function upperBound(values: Float64Array, high: number, delta = 1 - INTERVAL_LEVEL): number {
  let bound = 1
  const low = -1
  const steps = Math.round((1 - low) / STEP)
  for (let k = steps - 1; k >= 0; k--) {
    const mean = low + k * STEP
    if (!betting.rejects(values, { mean, low, high, delta })) break
    bound = mean
  }
  return bound
}
