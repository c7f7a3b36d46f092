import { createRandom, deriveSeed } from '../../../core/random.ts'
import { mean } from '../metrics/labels.ts'

/** Labelled prompts that a baseline is fitted on: never those it is evaluated on. */
export interface ReferenceRows {
  readonly prompts: readonly string[]
  readonly categories?: readonly (string | undefined)[] | undefined
  readonly y: ArrayLike<number>
}

/** Number of prompts at the overall mean that a category's mean is shrunk by. */
const PRIOR_WEIGHT = 10

/**
 * Each category's mean label on the reference rows, shrunk to the overall mean; unknown categories get the
 * overall mean.
 */
export function categoryPrior(
  reference: Required<Pick<ReferenceRows, 'categories'>> & Pick<ReferenceRows, 'y'>,
  categories: readonly (string | undefined)[],
): Float64Array {
  const overall = reference.y.length > 0 ? mean(reference.y) : 0.5
  const sums = new Map<string | undefined, { sum: number; rows: number }>()
  for (let i = 0; i < reference.y.length; i++) {
    const entry = sums.get(reference.categories?.[i]) ?? { sum: 0, rows: 0 }
    entry.sum += reference.y[i]!
    entry.rows += 1
    sums.set(reference.categories?.[i], entry)
  }
  return Float64Array.from(categories, (category) => {
    const entry = sums.get(category)
    return entry ? (entry.sum + PRIOR_WEIGHT * overall) / (entry.rows + PRIOR_WEIGHT) : overall
  })
}

/** The fold of each of n prompts: folds of nearly equal size, shuffled with the seed. */
export function assignFolds(n: number, folds: number, seed: number): Int32Array {
  const fold = Int32Array.from({ length: n }, (_, i) => i % folds)
  return createRandom(deriveSeed(seed, 'folds')).shuffle(fold)
}

/**
 * Scores of a learned baseline without reference rows: each fold's prompts are scored from the other folds
 * only. The other folds' mean label is subtracted, since it falls as the held-out fold's mean rises, which
 * would make a baseline that knows nothing look worse than random.
 */
export function outOfFold(
  y: ArrayLike<number>,
  seed: number,
  score: (train: readonly number[], test: readonly number[]) => ArrayLike<number>,
): Float64Array {
  const n = y.length
  const folds = assignFolds(n, Math.min(5, n), seed)
  const scores = new Float64Array(n)
  for (let fold = 0; fold < 5; fold++) {
    const train: number[] = []
    const test: number[] = []
    for (let i = 0; i < n; i++) (folds[i] === fold ? test : train).push(i)
    if (test.length === 0) continue
    const values = score(train, test)
    const overall = mean(train.map((i) => y[i]!))
    test.forEach((prompt, k) => {
      scores[prompt] = values[k]! - overall
    })
  }
  return scores
}
