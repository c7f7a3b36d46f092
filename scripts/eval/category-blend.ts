import { createRandom, deriveSeed } from '../../models/random.ts'

/** Rows at the overall mean that each category's mean gain is shrunk by. */
const PRIOR_ROWS = 8
const FOLDS = 10

/**
 * Win rates averaged with those of the category prior, out of fold: what a router scores that is told which task
 * a prompt belongs to, as a gateway with an endpoint a task can. Rows without a category share one.
 */
export function blendedWithCategory(
  winRate: Float64Array,
  gain: Float64Array,
  categories: readonly (string | undefined)[],
  seed: number,
): Float64Array {
  const fold = Int32Array.from(winRate, (_, i) => i % FOLDS)
  createRandom(deriveSeed(seed, 'category folds')).shuffle(fold)
  const blended = new Float64Array(winRate.length)
  for (let held = 0; held < FOLDS; held++) {
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
      const prior = (of.gain + PRIOR_ROWS * mean) / (of.rows + PRIOR_ROWS)
      blended[i] = (winRate[i]! + (1 + prior) / 2) / 2
    }
  }
  return blended
}
