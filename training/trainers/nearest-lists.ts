import type { Embeddings } from '../../models/embeddings.ts'
import { cosinesTo, neighboursOf } from '../../models/families/neighbours.ts'
import type { HeadWeights, Pair } from '../../models/family.ts'

/** Training rows that lie nearer to each of some rows than its neighbour k + 1, so that kernels are cheap to try. */
export interface NearestLists {
  /** a row each: places among the training rows, ascending */
  readonly places: readonly Int32Array[]
  readonly cosines: readonly Float64Array[]
  /** cosine of neighbour k + 1, where the kernel is 0 */
  readonly edges: Float64Array
}

/** One exact search, as `knn`'s forward pass makes it. */
export function nearestLists(
  weights: HeadWeights,
  embeddings: Embeddings,
  k: number,
): NearestLists {
  const held = neighboursOf(weights, 3)
  const { n, d } = held
  const places: Int32Array[] = []
  const cosines: Float64Array[] = []
  const edges = new Float64Array(embeddings.rows)
  const query = new Float64Array(d)
  const all = new Float64Array(n)
  const sorted = new Float64Array(n)
  for (let row = 0; row < embeddings.rows; row++) {
    cosinesTo(held, embeddings, row, query, all)
    sorted.set(all)
    sorted.sort()
    const edge = sorted[Math.max(n - 1 - k, 0)]!
    const near: number[] = []
    for (let i = 0; i < n; i++) if (all[i]! > edge) near.push(i)
    places.push(Int32Array.from(near))
    cosines.push(Float64Array.from(near, (i) => all[i]!))
    edges[row] = edge
  }
  return { places, cosines, edges }
}

/** Each listed row's kernel weights at one temperature. */
export function kernelWeights(
  { cosines, edges }: NearestLists,
  temperature: number,
): readonly Float64Array[] {
  return cosines.map((list, row) => {
    const floor = Math.exp((edges[row]! - 1) / temperature)
    return list.map((cosine) => Math.exp((cosine - 1) / temperature) - floor)
  })
}

/** The win rates that `knn` gives the listed rows, to the bit: its sums in its order. */
export function listedWinRates(
  weights: HeadWeights,
  pair: Pair,
  { places }: NearestLists,
  kernels: readonly Float64Array[],
): Float64Array {
  const { m, scores, base, kernel } = neighboursOf(weights, 3)
  const prior = kernel[2]!
  return Float64Array.from(places, (list, row) => {
    let total = prior
    let strong = prior * base[pair.strong]!
    let weak = prior * base[pair.weak]!
    for (const [at, i] of list.entries()) {
      const weight = kernels[row]![at]!
      total += weight
      strong += weight * scores[i * m + pair.strong]!
      weak += weight * scores[i * m + pair.weak]!
    }
    return (1 + strong / total - weak / total) / 2
  })
}
