import type { Embeddings } from '../encoders/embeddings.ts'
import type { HeadWeights, HeldRows, Pair } from './family.ts'
import { tensorOf } from './linear-graph.ts'
import type { Scores } from './linear-head.ts'

/**
 * The state of heads that compare prompts with the training prompts. Tensors: `rows` [n, d], each at norm 1;
 * `scores` [n, m], the observed score of each model (its mean if not observed); `base` [m], the result for a
 * prompt without neighbours; `kernel`, the family's settings.
 */
export interface Neighbours {
  readonly n: number
  readonly d: number
  readonly m: number
  readonly rows: Float32Array
  readonly scores: Float32Array
  readonly base: Float32Array
  readonly kernel: Float32Array
}

export function neighboursOf(weights: HeadWeights, kernelSize: number): Neighbours {
  const m = weights.models.length
  const [n = 0, d = 0] = weights.tensors.rows?.shape ?? []
  return {
    n,
    d,
    m,
    rows: tensorOf(weights, 'rows', [n, d]).values,
    scores: tensorOf(weights, 'scores', [n, m]).values,
    base: tensorOf(weights, 'base', [m]).values,
    kernel: tensorOf(weights, 'kernel', [kernelSize]).values,
  }
}

export const heldRows = ({ n, scores, base }: Neighbours, prior: number): HeldRows => ({
  rows: n,
  scores,
  base,
  prior,
})

/** Replaces each training row's cosine by its weight, in place; returns the prior's weight. */
export type Kernel = (similarities: Float64Array) => number

/** quality = (sum of weight x score + prior x base) / (sum of weight + prior); winRate = (1 + q_s - q_w) / 2. */
export function scoreByNeighbours(
  held: Neighbours,
  kernel: Kernel,
  pair: Pair,
  embeddings: Embeddings,
): Scores {
  const { n, d, m, scores, base } = held
  const winRate = new Float64Array(embeddings.rows)
  const quality = new Float64Array(embeddings.rows * m)
  const query = new Float64Array(d)
  const weight = new Float64Array(n)
  const sum = new Float64Array(m)
  for (let row = 0; row < embeddings.rows; row++) {
    cosinesTo(held, embeddings, row, query, weight)
    let total = kernel(weight)
    for (let k = 0; k < m; k++) sum[k] = total * base[k]!
    for (let i = 0; i < n; i++) {
      const w = weight[i]!
      if (w === 0) continue
      total += w
      for (let k = 0; k < m; k++) sum[k]! += w * scores[i * m + k]!
    }
    for (let k = 0; k < m; k++) quality[row * m + k] = sum[k]! / total
    winRate[row] = (1 + quality[row * m + pair.strong]! - quality[row * m + pair.weak]!) / 2
  }
  return { winRate, quality }
}

/** Cosines of one row with every training row, into `cosines` [n]; `query` [d] is scratch space. */
export function cosinesTo(
  { n, d, rows }: Neighbours,
  embeddings: Embeddings,
  row: number,
  query: Float64Array,
  cosines: Float64Array,
): void {
  unitTail(embeddings, row, query)
  // four rows at a time: each sum then waits only for its own previous addition, which halves the time
  const whole = n - (n % 4)
  for (let i = 0; i < whole; i += 4) {
    const a = i * d
    const [b, c, e] = [a + d, a + 2 * d, a + 3 * d]
    let [first, second, third, fourth] = [0, 0, 0, 0]
    for (let j = 0; j < d; j++) {
      const value = query[j]!
      first += value * rows[a + j]!
      second += value * rows[b + j]!
      third += value * rows[c + j]!
      fourth += value * rows[e + j]!
    }
    cosines[i] = first
    cosines[i + 1] = second
    cosines[i + 2] = third
    cosines[i + 3] = fourth
  }
  for (let i = whole; i < n; i++) {
    let dot = 0
    for (let j = 0; j < d; j++) dot += query[j]! * rows[i * d + j]!
    cosines[i] = dot
  }
}

/** A row's last d columns at norm 1, or zeros; in `joined` rows these are the dense encoder's columns. */
export function unitTail(embeddings: Embeddings, row: number, out: Float64Array): void {
  const d = out.length
  out.fill(0)
  if (embeddings.kind === 'dense') {
    const end = (row + 1) * embeddings.dimension
    for (let j = 0; j < d; j++) out[j] = embeddings.values[end - d + j]!
  } else {
    const from = embeddings.dimension - d
    for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
      const id = embeddings.ids[j]!
      if (id >= from) out[id - from] = embeddings.weights[j]!
    }
  }
  let squares = 0
  for (let j = 0; j < d; j++) squares += out[j]! * out[j]!
  const scale = 1 / Math.max(Math.sqrt(squares), 1e-12)
  for (let j = 0; j < d; j++) out[j]! *= scale
}
