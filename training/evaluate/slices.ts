import { apgr, costQualityCurve } from './curve.ts'
import { groupRows } from './group-rows.ts'
import type { Interval } from './interval.ts'
import { promptTraits } from './prompt-traits.ts'
import { meanInterval } from './sample-mean.ts'
import { sortScores } from './score-order.ts'

/** A group of prompts that has something in common, and how the router does on it. */
export interface SliceReport {
  /** what the prompts have in common: category, length, language, code, source, time */
  readonly by: string
  readonly name: string
  readonly rows: number
  readonly strong_share: number
  /** strong - weak on these prompts */
  readonly gap: Interval
  /** mean score lost on these prompts by not asking the strong model, at the router's threshold */
  readonly loss: Interval
  /** null where the slice's gap is not clear of 0 */
  readonly apgr: number | null
}

/** A way to group the prompts: a name a prompt, undefined where it has none. */
export interface Grouping {
  readonly by: string
  readonly names: readonly (string | undefined)[]
}

/** A smaller group says nothing by itself: counted, not shown. */
export const MIN_SLICE_ROWS = 30
/** What nearly all prompts have says nothing that the whole doesn't. */
const NEARLY_ALL = 0.95
const MAX_SLICES = 60

export function textGroupings(prompts: readonly string[]): Grouping[] {
  const traits = prompts.map(promptTraits)
  return [
    { by: 'length', names: traits.map(({ length }) => length) },
    { by: 'language', names: traits.map(({ language }) => language) },
    { by: 'code', names: traits.map(({ code }) => code) },
  ]
}

/**
 * Worst first: by the lower end of the loss's interval, so that a slice comes first for a loss that is sure rather
 * than for being small.
 */
export function sliceReports(
  winRate: ArrayLike<number>,
  threshold: number,
  gain: Float64Array,
  groupings: readonly Grouping[],
): SliceReport[] {
  const slices = groupings.flatMap(({ by, names }) => {
    const groups = groupRows(names)
    // a grouping with one group is the whole, which the report has already
    if (groups.size < 2) return []
    return [...groups]
      .filter(
        ([, rows]) => rows.length >= MIN_SLICE_ROWS && rows.length < NEARLY_ALL * names.length,
      )
      .map(([name, rows]) => sliceReport({ by, name }, rows, winRate, threshold, gain))
  })
  return slices.sort((a, b) => b.loss.low! - a.loss.low!).slice(0, MAX_SLICES)
}

function sliceReport(
  label: { readonly by: string; readonly name: string },
  rows: readonly number[],
  winRate: ArrayLike<number>,
  threshold: number,
  gain: Float64Array,
): SliceReport {
  const scores = Float64Array.from(rows, (i) => winRate[i]!)
  const gains = Float64Array.from(rows, (i) => gain[i]!)
  const gap = meanInterval(gains)
  return {
    ...label,
    rows: rows.length,
    strong_share: scores.filter((score) => score >= threshold).length / rows.length,
    gap,
    loss: meanInterval(gains.map((g, k) => (scores[k]! >= threshold ? 0 : g))),
    apgr: gap.low! > 0 ? apgr(costQualityCurve(sortScores(scores), gains)) : null,
  }
}
