/** What each of n prompts costs, in US dollars, by either model. */
export interface Spend {
  readonly strong: Float64Array
  readonly weak: Float64Array
}

/** Sums over a weighted sample that are the same for every router. */
export interface SampleSums {
  readonly drawn: number
  readonly gain: number
  /** NaN where the log holds preferences only */
  readonly weakQuality: number
  /** without dollars: the weak model is free and the strong one costs 1 a prompt */
  readonly weakCost: number
  readonly strongCost: number
}

/** Adds up any weighted sample of these prompts. */
export function sampleSums(
  gain: Float64Array,
  weak: ArrayLike<number> | undefined,
  spend: Spend | undefined,
): (counts: Uint8Array) => SampleSums {
  return (counts) => {
    let drawn = 0
    let gained = 0
    let weakQuality = 0
    let weakCost = 0
    let strongCost = 0
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i]!
      drawn += count
      gained += count * gain[i]!
      if (weak) weakQuality += count * weak[i]!
      if (!spend) continue
      weakCost += count * spend.weak[i]!
      strongCost += count * spend.strong[i]!
    }
    return {
      drawn,
      gain: gained,
      weakQuality: weak ? weakQuality : Number.NaN,
      weakCost,
      strongCost: spend ? strongCost : drawn,
    }
  }
}
