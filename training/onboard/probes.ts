import { createRandom } from '../../core/random.ts'
import { sigmoid } from '../../models/families/linear-head.ts'

/** Number of stratified samples of which the best balanced one is chosen. */
const DRAWS = 500

/**
 * Chooses the prompts to ask a new model first: a sample that represents the pool. It takes one prompt from
 * each stretch of the order by predicted difficulty and, among many such samples, chooses the one whose means
 * are closest to the pool's in the known models' results on these prompts, in their predicted results, and in
 * the two main directions in which the known models differ. From few answers, a model's level and its
 * dependence on difficulty are the hardest to estimate: a balanced sample removes the randomness of the draw
 * from both (rerandomisation, Morgan and Rubin 2012).
 *
 * @param features n x width, from `knownLogits`
 * @param observed the known models' mean score on each prompt, NaN where there is none
 * @returns rows in a random order, so that any first part of them represents the pool as well
 */
export function chooseProbes(
  features: Float32Array,
  width: number,
  count: number,
  observed?: Float64Array,
): number[] {
  const n = features.length / width
  const wanted = Math.min(count, n)
  const random = createRandom(1)
  const mean = Float64Array.from({ length: n }, (_, row) => features[row * width]!)
  const columns = standardised(balanceColumns(features, width, mean, observed))
  const order = Array.from({ length: n }, (_, row) => row).sort((a, b) => mean[a]! - mean[b]!)
  let best: { rows: number[]; apart: number } | undefined
  for (let draw = 0; draw < DRAWS; draw++) {
    const rows = Array.from({ length: wanted }, (_, stretch) => {
      const from = Math.floor((stretch * n) / wanted)
      const to = Math.floor(((stretch + 1) * n) / wanted)
      return order[from + random.int(to - from)]!
    })
    let apart = 0
    for (const column of columns) {
      let sum = 0
      for (const row of rows) sum += column[row]!
      apart = Math.max(apart, Math.abs(sum / wanted))
    }
    if (!best || apart < best.apart) best = { rows, apart }
  }
  return random.shuffle(best!.rows)
}

function balanceColumns(
  features: Float32Array,
  width: number,
  mean: Float64Array,
  observed: Float64Array | undefined,
): Float64Array[] {
  const predicted = mean.map(sigmoid)
  const directions = mainDirections(features, width, 2)
  const columns = [mean, predicted, ...directions]
  if (!observed?.some((score) => !Number.isNaN(score))) return columns
  const seen = observed.filter((score) => !Number.isNaN(score))
  const level = seen.reduce((sum, score) => sum + score, 0) / seen.length
  const scores = observed.map((score) => (Number.isNaN(score) ? level : score))
  return [...columns, scores, scores.map((score, row) => (score - level) * mean[row]!)]
}

/** Scores of each row on the main directions of the known models' differences from their mean, by power iteration. */
function mainDirections(features: Float32Array, width: number, count: number): Float64Array[] {
  const n = features.length / width
  const m = width - 1
  const found: Float64Array[] = []
  const random = createRandom(2)
  const axes: Float64Array[] = []
  while (found.length < Math.min(count, m - 1)) {
    let axis: Float64Array = Float64Array.from({ length: m }, () => random.normal())
    let scores: Float64Array = new Float64Array(n)
    for (let step = 0; step < 20; step++) {
      for (const other of axes) {
        const along = axis.reduce((sum, value, k) => sum + value * other[k]!, 0)
        for (let k = 0; k < m; k++) axis[k]! -= along * other[k]!
      }
      const norm = Math.sqrt(axis.reduce((sum, value) => sum + value * value, 0))
      if (norm < 1e-9) return found
      axis = axis.map((value) => value / norm)
      scores = centred(
        Float64Array.from({ length: n }, (_, row) => {
          let sum = 0
          for (let k = 0; k < m; k++) sum += axis[k]! * features[row * width + 1 + k]!
          return sum
        }),
      )
      const next = new Float64Array(m)
      for (let row = 0; row < n; row++) {
        for (let k = 0; k < m; k++) next[k]! += scores[row]! * features[row * width + 1 + k]!
      }
      if (step < 19) axis = next
    }
    axes.push(axis)
    found.push(scores)
  }
  return found
}

function centred(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.map((value) => value - mean)
}

/** Columns at mean 0 and variance 1, without the constant ones. */
function standardised(columns: readonly Float64Array[]): Float64Array[] {
  return columns.flatMap((column) => {
    const values = centred(column)
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)
    return deviation > 1e-9 ? [values.map((value) => value / deviation)] : []
  })
}
