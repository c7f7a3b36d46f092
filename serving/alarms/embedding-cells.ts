import { createRandom } from '../../core/random.ts'

/** Cells of the embedding space: the nearest of k centres, which turns prompts into categories. */
export interface EmbeddingCells {
  /** k */
  readonly cells: number
  /** @param row `dimension` numbers */
  cellOf(row: Float32Array): number
}

const ROUNDS = 5

/**
 * k-means by Lloyd's algorithm from k rows chosen far apart (Arthur and Vassilvitskii 2007).
 *
 * @param values n x dimension, row-major: the reference sample
 */
export function embeddingCells(
  values: Float32Array,
  dimension: number,
  k: number,
  seed: number,
): EmbeddingCells {
  const n = values.length / dimension
  const random = createRandom(seed)
  const centres = new Float64Array(k * dimension)
  const distance = new Float64Array(n).fill(Number.POSITIVE_INFINITY)
  let chosen = random.int(n)
  for (let c = 0; c < k; c++) {
    for (let j = 0; j < dimension; j++) {
      centres[c * dimension + j] = values[chosen * dimension + j]!
    }
    let sum = 0
    for (let i = 0; i < n; i++) {
      distance[i] = Math.min(distance[i]!, apart(values, i * dimension, centres, c, dimension))
      sum += distance[i]!
    }
    let at = random.next() * sum
    chosen = 0
    while (chosen < n - 1 && at >= distance[chosen]!) at -= distance[chosen++]!
  }
  const nearest = (from: Float32Array, offset: number): number => {
    let best = 0
    let least = Number.POSITIVE_INFINITY
    for (let c = 0; c < k; c++) {
      const d = apart(from, offset, centres, c, dimension)
      if (d < least) {
        least = d
        best = c
      }
    }
    return best
  }
  for (let round = 0; round < ROUNDS; round++) {
    const sums = new Float64Array(k * dimension)
    const counts = new Float64Array(k)
    for (let i = 0; i < n; i++) {
      const c = nearest(values, i * dimension)
      counts[c]!++
      for (let j = 0; j < dimension; j++) {
        sums[c * dimension + j]! += values[i * dimension + j]!
      }
    }
    for (let at = 0; at < centres.length; at++) {
      const rows = counts[Math.floor(at / dimension)]!
      if (rows > 0) centres[at] = sums[at]! / rows
    }
  }
  return { cells: k, cellOf: (row) => nearest(row, 0) }
}

function apart(
  from: Float32Array,
  offset: number,
  centres: Float64Array,
  c: number,
  dimension: number,
): number {
  let sum = 0
  for (let j = 0; j < dimension; j++) {
    const step = from[offset + j]! - centres[c * dimension + j]!
    sum += step * step
  }
  return sum
}
