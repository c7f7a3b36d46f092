import type { SampleSums, SortedRouter } from './curve-pass.ts'

/** A router's spend in the order of its scores. */
export interface SortedSpend {
  readonly router: SortedRouter
  /** n: how much more the strong model costs, in the order of the scores */
  readonly extra: Float64Array
}

export interface SpendPass {
  /** RouterBench's AIQ: mean quality over the range of spend from all-weak to all-strong */
  aiq: number
  /** share of all-strong's dollars saved at the lowest spend that keeps all-strong's quality; NaN without a gap */
  saving: number
}

/** Arrays that every pass over at most n prompts writes into. */
export interface SpendScratch {
  readonly x: Float64Array
  readonly y: Float64Array
  readonly hull: Float64Array
}

export const spendScratch = (n: number): SpendScratch => ({
  x: new Float64Array(n + 1),
  y: new Float64Array(n + 1),
  hull: new Float64Array(2 * (n + 1)),
})

/**
 * Spend figures of one weighted sample (counts in the order of the scores) of one router. Without dollars,
 * `extra` is 1 per prompt, which gives AIQ over strong share.
 */
export function measureSpend(
  { router, extra }: SortedSpend,
  counts: Uint8Array,
  sums: SampleSums,
  scratch: SpendScratch,
): SpendPass {
  const { groupEnd, gain } = router
  const { x, y } = scratch
  let points = 1
  let spent = 0
  let recovered = 0
  let equal = sums.gain > 0 ? Number.NaN : Number.POSITIVE_INFINITY
  for (let i = 0, groupCost = 0, groupGain = 0; i < gain.length; i++) {
    const count = counts[i]!
    groupCost += count * extra[i]!
    groupGain += count * gain[i]!
    if (groupEnd[i] === 0) continue
    if (recovered + groupGain >= sums.gain && Number.isNaN(equal)) {
      const part = groupGain > 0 ? (sums.gain - recovered) / groupGain : 1
      equal = spent + part * groupCost
    }
    spent += groupCost
    recovered += groupGain
    groupCost = 0
    groupGain = 0
    x[points] = spent
    y[points] = recovered
    points += 1
  }
  if (Number.isNaN(equal)) equal = spent
  const width = sums.strongCost - sums.weakCost
  return {
    aiq:
      width > 0
        ? (sums.weakQuality + hullArea(x, y, points, width, scratch.hull) / width) / sums.drawn
        : Number.NaN,
    saving:
      sums.strongCost > 0 && Number.isFinite(equal)
        ? 1 - (sums.weakCost + equal) / sums.strongCost
        : Number.NaN,
  }
}

/**
 * Area under the smallest non-decreasing concave function on [0, width] that lies above every point: what is
 * reached by mixing two thresholds and by spending less where that is better (RouterBench's non-decreasing
 * convex hull, Hu et al. 2024, arXiv 2403.12031, sec. 3). Points left of 0 count as free, points right of
 * `width` are ignored. Does not reorder its input; `scratch` holds at least 2 * points numbers.
 */
export function hullArea(
  x: Float64Array,
  y: Float64Array,
  points: number,
  width: number,
  scratch: Float64Array,
): number {
  const order = ascending(x, points) ? undefined : byX(x, points)
  let size = 0
  let best = Number.NEGATIVE_INFINITY
  for (let k = 0; k < points; k++) {
    const i = order ? order[k]! : k
    if (x[i]! > width + ROUNDING * Math.abs(width)) break
    // a point below a cheaper one is never on a non-decreasing hull
    if (y[i]! <= best) continue
    best = y[i]!
    const px = Math.min(width, Math.max(0, x[i]!))
    if (size > 0 && scratch[2 * size - 2] === px) size -= 1
    while (size > 1 && !turnsRight(scratch, size, px, best)) size -= 1
    scratch[2 * size] = px
    scratch[2 * size + 1] = best
    size += 1
  }
  if (size === 0) return 0
  let area = 0
  for (let k = 1; k < size; k++) {
    area +=
      ((scratch[2 * k]! - scratch[2 * k - 2]!) * (scratch[2 * k + 1]! + scratch[2 * k - 1]!)) / 2
  }
  return area + (width - scratch[2 * size - 2]!) * best
}

/** Sums of the same costs in different orders may differ by this much. */
const ROUNDING = 1e-9

/** Whether the last point of the hull stays above the chord from the one before it to (x, y). */
function turnsRight(hull: Float64Array, size: number, x: number, y: number): boolean {
  const ax = hull[2 * size - 4]!
  const ay = hull[2 * size - 3]!
  const bx = hull[2 * size - 2]!
  const by = hull[2 * size - 1]!
  return (by - ay) * (x - ax) > (y - ay) * (bx - ax)
}

function ascending(x: Float64Array, points: number): boolean {
  for (let i = 1; i < points; i++) if (x[i]! < x[i - 1]!) return false
  return true
}

/** Point indices by ascending x; the order among equal x does not matter, since only the highest is kept. */
function byX(x: Float64Array, points: number): Uint32Array {
  const order = new Uint32Array(points)
  for (let i = 0; i < points; i++) order[i] = i
  return order.sort((a, b) => x[a]! - x[b]!)
}
