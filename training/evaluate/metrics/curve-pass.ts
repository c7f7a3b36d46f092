import type { ScoreOrder } from './score-order.ts'

/** PGR levels for which CPT is reported. */
export const CPT_LEVELS = [0.2, 0.5, 0.8, 0.95] as const

/** Strong share needed for 20, 50, 80 and 95% of the gap; null if undefined. */
export interface CptReport {
  readonly '20': number | null
  readonly '50': number | null
  readonly '80': number | null
  readonly '95': number | null
}

/** One value per level of CPT_LEVELS, by its name: `20` for .2 */
export function byLevel<T>(
  value: (name: keyof CptReport, index: number) => T,
): Record<keyof CptReport, T> {
  const entries = CPT_LEVELS.map((level, k) => {
    const name = String(Math.round(level * 100)) as keyof CptReport
    return [name, value(name, k)] as const
  })
  return Object.fromEntries(entries) as Record<keyof CptReport, T>
}

/** One router's scores and labels in the order of its scores, ready for many weighted passes. */
export interface SortedRouter {
  readonly name: string
  readonly order: Uint32Array
  readonly groupEnd: Uint8Array
  /** n: s - w in the order of the scores */
  readonly gain: Float32Array
  /** n: 1 where s > w */
  readonly better: Uint8Array
}

export function layOut(name: string, scores: ScoreOrder, gain: ArrayLike<number>): SortedRouter {
  const sorted = new Float32Array(gain.length)
  const better = new Uint8Array(gain.length)
  for (let i = 0; i < sorted.length; i++) {
    const g = gain[scores.order[i]!]!
    sorted[i] = g
    better[i] = g > 0 ? 1 : 0
  }
  return { name, order: scores.order, groupEnd: scores.groupEnd, gain: sorted, better }
}

/** Results of one pass. NaN if the sample's mean gain is not positive, which leaves PGR undefined. */
export interface PassResult {
  apgr: number
  /** probability that a prompt with s > w scores above one without, ties half; NaN if either kind is missing */
  auc: number
  /** one per level of CPT_LEVELS */
  readonly cpt: Float64Array
}

export const emptyPass = (): PassResult => ({
  apgr: Number.NaN,
  auc: Number.NaN,
  cpt: new Float64Array(CPT_LEVELS.length),
})

/** Reorders counts per prompt into the order of a router's scores, so that every pass reads sequentially. */
export function gatherCounts(order: Uint32Array, counts: Uint8Array, into: Uint8Array): void {
  for (let i = 0; i < order.length; i++) into[i] = counts[order[i]!]!
}

/**
 * All figures of the curve of a weighted sample in O(n), over the order sorted once: `counts` holds how often
 * each prompt was drawn, in the order of the scores. Allocates nothing; writes into `result`. Two simple
 * loops with predictable branches run twice as fast as a single loop.
 */
export function measurePass(
  router: SortedRouter,
  counts: Uint8Array,
  sums: Pick<SampleSums, 'drawn' | 'gain'>,
  result: PassResult,
): void {
  const { groupEnd, gain, better } = router
  const n = gain.length
  let area = 0
  let recovered = 0
  let ahead = 0
  let concordant = 0
  let groupCount = 0
  let groupGain = 0
  let groupBetter = 0
  for (let i = 0; i < n; i++) {
    const count = counts[i]!
    groupCount += count
    groupGain += count * gain[i]!
    groupBetter += count * better[i]!
    if (groupEnd[i] === 0) continue
    area += groupCount * (recovered + groupGain / 2)
    concordant += (groupCount - groupBetter) * (ahead + groupBetter / 2)
    recovered += groupGain
    ahead += groupBetter
    groupCount = 0
    groupGain = 0
    groupBetter = 0
  }
  result.apgr = sums.gain > 0 ? area / (sums.drawn * sums.gain) : Number.NaN
  const pairs = ahead * (sums.drawn - ahead)
  result.auc = pairs > 0 ? concordant / pairs : Number.NaN
  findCrossings(router, counts, sums, result.cpt)
}

/** The first strong share at which each level of the gap is recovered, all levels in one pass, ascending. */
function findCrossings(
  { groupEnd, gain }: SortedRouter,
  counts: Uint8Array,
  sums: Pick<SampleSums, 'drawn' | 'gain'>,
  shares: Float64Array,
): void {
  const n = gain.length
  shares.fill(sums.gain > 0 ? 1 : Number.NaN)
  if (!(sums.gain > 0)) return
  let level = 0
  let target = CPT_LEVELS[0] * sums.gain
  let sent = 0
  let recovered = 0
  let groupCount = 0
  let groupGain = 0
  for (let i = 0; i < n; i++) {
    groupCount += counts[i]!
    groupGain += counts[i]! * gain[i]!
    if (groupEnd[i] === 0) continue
    while (recovered + groupGain >= target) {
      shares[level] = (sent + (groupCount * (target - recovered)) / groupGain) / sums.drawn
      level += 1
      if (level === CPT_LEVELS.length) return
      target = CPT_LEVELS[level]! * sums.gain
    }
    sent += groupCount
    recovered += groupGain
    groupCount = 0
    groupGain = 0
  }
}

/** The cost of each of n prompts with either model, in US dollars. */
export interface Spend {
  readonly strong: Float64Array
  readonly weak: Float64Array
}

/** Sums over a weighted sample, the same for every router. */
export interface SampleSums {
  readonly drawn: number
  readonly gain: number
  /** NaN if the log holds only preferences */
  readonly weakQuality: number
  /** if dollars are not known, the weak model is free and the strong one costs 1 per prompt */
  readonly weakCost: number
  readonly strongCost: number
}

/** Sums a weighted sample: `counts` holds how often each prompt was drawn. */
export function sampleSums(
  counts: Uint8Array,
  gain: Float64Array,
  weak: ArrayLike<number> | undefined,
  spend: Spend | undefined,
): SampleSums {
  const drawn = total(counts)
  return {
    drawn,
    gain: weightedTotal(counts, gain),
    weakQuality: weak ? drawn * knownAverage(counts, weak) : Number.NaN,
    weakCost: spend ? weightedTotal(counts, spend.weak) : 0,
    strongCost: spend ? weightedTotal(counts, spend.strong) : drawn,
  }
}

/** Weighted mean of the values that are known (prompts with votes only have no score). */
function knownAverage(counts: Uint8Array, values: ArrayLike<number>): number {
  let sum = 0
  let known = 0
  for (let i = 0; i < counts.length; i++) {
    const value = values[i]!
    if (Number.isNaN(value)) continue
    sum += counts[i]! * value
    known += counts[i]!
  }
  return sum / known
}

function total(counts: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < counts.length; i++) sum += counts[i]!
  return sum
}

function weightedTotal(counts: Uint8Array, values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < counts.length; i++) sum += counts[i]! * values[i]!
  return sum
}
