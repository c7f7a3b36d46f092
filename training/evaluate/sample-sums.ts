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

/** Adds up a weighted sample: `counts` holds how often each prompt was drawn. */
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
    weakQuality: weak ? weightedTotal(counts, weak) : Number.NaN,
    weakCost: spend ? weightedTotal(counts, spend.weak) : 0,
    strongCost: spend ? weightedTotal(counts, spend.strong) : drawn,
  }
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
