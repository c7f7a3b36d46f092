import type { SortedRouter } from './curve-pass.ts'
import { hullArea } from './hull.ts'
import type { SampleSums } from './sample-sums.ts'

/** A router's spend in the order of its scores. */
export interface SortedSpend {
  readonly router: SortedRouter
  /** n: what the strong model costs more, in the order of the scores */
  readonly extra: Float64Array
}

export interface SpendPass {
  /** RouterBench's AIQ: mean quality over the range of spend from all-weak to all-strong */
  aiq: number
  /** share of all-strong's dollars not spent at the least spend that keeps its whole quality; NaN without a gap */
  saving: number
}

/** Arrays that every pass of at most n prompts writes into. */
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

/** One weighted sample (counts in the order of the scores) through one router's spend curve. Without dollars, `extra` is 1 a prompt: AIQ over strong share. */
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
