/**
 * Thresholds that separate the observed scores: the midpoints between neighbouring distinct scores, never
 * rounded, from all strong to all weak. Point k sends the `strong[k]` highest-scored rows to the strong
 * model.
 */
export interface Candidates {
  /** one per point, by descending share: the first sends all rows strong, the last all weak */
  readonly threshold: Float64Array
  /** weight of the rows sent strong, as a share of all weight; one per point */
  readonly share: Float64Array
  /** number of rows sent strong; one per point */
  readonly strong: Int32Array
  /** row indices by descending score */
  readonly order: Int32Array
}

/** Threshold under which every row goes to the strong model. */
export const ALL_STRONG = 0

export function candidateThresholds(winRate: Float64Array, weight?: Float64Array): Candidates {
  const n = winRate.length
  const order = descendingOrder(winRate)
  const threshold: number[] = [allWeak(winRate[order[0]!]!)]
  const share: number[] = [0]
  const strong: number[] = [0]
  let total = 0
  for (let i = 0; i < n; i++) total += weight ? weight[i]! : 1
  let sent = 0
  for (let i = 0; i < n; i++) {
    const score = winRate[order[i]!]!
    sent += weight ? weight[order[i]!]! : 1
    const next = i + 1 < n ? winRate[order[i + 1]!]! : undefined
    if (next === score) continue
    threshold.push(next === undefined ? ALL_STRONG : between(next, score))
    share.push(next === undefined ? 1 : sent / total)
    strong.push(i + 1)
  }
  return {
    threshold: Float64Array.from(threshold).reverse(),
    share: Float64Array.from(share).reverse(),
    strong: Int32Array.from(strong).reverse(),
    order,
  }
}

/** A number t with low < t <= high: the midpoint, or `high` itself if the two are neighbouring doubles. */
export function between(low: number, high: number): number {
  const middle = low + (high - low) / 2
  return middle > low ? middle : high
}

function allWeak(highest: number): number {
  return highest < 1 ? between(highest, 1) : 1 + Number.EPSILON
}

/** Row indices by descending score; equal scores stay in the order of the rows. */
export function descendingOrder(values: Float64Array): Int32Array {
  return Int32Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b)
}

/** Share of the weight with winRate >= threshold. */
export function shareAt(winRate: Float64Array, threshold: number, weight?: Float64Array): number {
  let total = 0
  let sent = 0
  for (let i = 0; i < winRate.length; i++) {
    const w = weight ? weight[i]! : 1
    total += w
    if (winRate[i]! >= threshold) sent += w
  }
  return sent / total
}

/** Number of steps of the weak share on which a promise is tested. */
export const GRID_POINTS = 100

/**
 * At most `points` thresholds, ascending, that divide the reference scores evenly, from a few of them weak to
 * all of them weak. Each is a midpoint between neighbouring distinct scores.
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
