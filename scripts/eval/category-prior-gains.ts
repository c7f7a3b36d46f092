/** Rows at the overall mean that each category's mean gain is shrunk by. */
const PRIOR_ROWS = 8

/** Mean gain of each row's category over the other folds, shrunk; rows without a category share one. */
export function categoryGains(
  gain: Float64Array,
  categories: readonly (string | undefined)[],
  fold: Int32Array,
): Float64Array {
  const result = new Float64Array(gain.length)
  for (const held of new Set(fold)) {
    const sums = new Map<string | undefined, { gain: number; rows: number }>()
    let mean = 0
    let rows = 0
    for (let i = 0; i < gain.length; i++) {
      if (fold[i] === held) continue
      const of = sums.get(categories[i]) ?? { gain: 0, rows: 0 }
      of.gain += gain[i]!
      of.rows++
      sums.set(categories[i], of)
      mean += gain[i]!
      rows++
    }
    mean /= rows
    for (let i = 0; i < gain.length; i++) {
      if (fold[i] !== held) continue
      const of = sums.get(categories[i]) ?? { gain: 0, rows: 0 }
      result[i] = (of.gain + PRIOR_ROWS * mean) / (of.rows + PRIOR_ROWS)
    }
  }
  return result
}
