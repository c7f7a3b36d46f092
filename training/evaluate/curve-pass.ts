import type { SampleSums } from './sample-sums.ts'
import type { ScoreOrder } from './score-order.ts'

/** PGR levels whose CPT is reported. */
export const CPT_LEVELS = [0.2, 0.5, 0.8, 0.95] as const

/** One router's scores and labels laid out in the order of its scores, ready for many weighted passes. */
export interface SortedRouter {
  readonly name: string
  readonly order: Uint32Array
  readonly groupEnd: Uint8Array
  /** n: s - w in the order of the scores */
  readonly gain: Float32Array
}

export function layOut(name: string, scores: ScoreOrder, gain: ArrayLike<number>): SortedRouter {
  const sorted = new Float32Array(gain.length)
  for (let i = 0; i < sorted.length; i++) sorted[i] = gain[scores.order[i]!]!
  return { name, order: scores.order, groupEnd: scores.groupEnd, gain: sorted }
}

/** What one pass measures. NaN where the sample's mean gain is not positive, so that PGR means nothing. */
export interface PassResult {
  apgr: number
  /** chance that a prompt with s > w scores above one without, ties half; NaN where one kind is missing */
  auc: number
  /** one a level of CPT_LEVELS */
  readonly cpt: Float64Array
}

export const emptyPass = (): PassResult => ({
  apgr: Number.NaN,
  auc: Number.NaN,
  cpt: new Float64Array(CPT_LEVELS.length),
})

/**
 * Everything the curve says of a weighted sample in one O(n) pass over the order sorted once: `counts` holds how
 * often each prompt (by index) was drawn. Allocates nothing; writes into `result`.
 */
export function measurePass(
  router: SortedRouter,
  counts: Uint8Array,
  sums: Pick<SampleSums, 'drawn' | 'gain'>,
  result: PassResult,
): void {
  const { order, groupEnd, gain } = router
  const n = order.length
  const { drawn, gain: whole } = sums
  const levels = CPT_LEVELS.length
  result.cpt.fill(whole > 0 ? 1 : Number.NaN)
  let level = whole > 0 ? 0 : levels
  let target = level < levels ? CPT_LEVELS[0] * whole : 0
  let area = 0
  let sent = 0
  let recovered = 0
  let better = 0
  let concordant = 0
  let groupCount = 0
  let groupGain = 0
  let groupBetter = 0
  for (let i = 0; i < n; i++) {
    const count = counts[order[i]!]!
    const g = gain[i]!
    groupCount += count
    groupGain += count * g
    if (g > 0) groupBetter += count
    if (groupEnd[i] === 0 || groupCount === 0) continue
    area += groupCount * (recovered + groupGain / 2)
    concordant += (groupCount - groupBetter) * (better + groupBetter / 2)
    while (level < levels && recovered + groupGain >= target) {
      result.cpt[level] = (sent + (groupCount * (target - recovered)) / groupGain) / drawn
      level += 1
      if (level < levels) target = CPT_LEVELS[level]! * whole
    }
    sent += groupCount
    recovered += groupGain
    better += groupBetter
    groupCount = 0
    groupGain = 0
    groupBetter = 0
  }
  result.apgr = whole > 0 ? area / (drawn * whole) : Number.NaN
  const pairs = better * (drawn - better)
  result.auc = pairs > 0 ? concordant / pairs : Number.NaN
}
