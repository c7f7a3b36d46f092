import type { OnProgress } from '../../core/progress.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { SparseEmbeddings } from '../../models/encoders/embeddings.ts'
import { wholeText } from '../../models/reading/recipe.ts'
import { fitLexical } from '../lexical/fit.ts'
import type { L2Range } from '../solver/logistic-problem.ts'

export interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** What the log knows about each prompt, as sparse rows: its words, length, category and place in the log. */
export interface LogFeatures {
  readonly dimension: number
  /** the columns that are not words, which are penalised less */
  readonly ranges: readonly L2Range[]
  /** rows of the given prompts, in their order */
  encode(prompts: ArrayLike<number>): Promise<SparseEmbeddings>
}

/** Prompts that the vocabulary is made from, drawn at random if there are more. */
const MOST_PROMPTS = 60_000
const MOST_BUCKETS = 8_192
const BINS = 10
/** A category needs this many prompts for a column of its own. */
const LEAST_CATEGORY = 20
const MOST_CATEGORIES = 256
/** L2 strength of the columns that are not words. */
const PLAIN_L2 = 1

/**
 * Features for models of who was asked and of how well it answered. Lengths and places are bins as well as
 * numbers, because routing rules are often steps. The place in the log stands for time: logs grow in order.
 */
export async function logFeatures(
  dataset: Pick<Dataset, 'prompts' | 'categories'>,
  { seed, signal, onProgress }: Watch & { readonly seed: number },
): Promise<LogFeatures> {
  const { categories } = dataset
  const prompts = dataset.prompts.map(wholeText)
  const n = prompts.length
  const chosen = sampleOf(n, MOST_PROMPTS, deriveSeed(seed, 'vocabulary'))
  const { encoder } = await fitLexical({
    prompts: chosen ? Array.from(chosen, (i) => prompts[i]!) : prompts,
    options: { maxBuckets: MOST_BUCKETS },
    signal,
    onProgress,
  })
  const words = encoder.spec.dimension
  const edges = quantileEdges(chosen ?? Int32Array.from(prompts.keys()), prompts)
  const scale = lengthScale(prompts)
  const names = columnOfCategory(categories)
  // numbers: z, z^2; then length bins, place bins, categories
  const lengthBins = words + 2
  const placeBins = lengthBins + BINS
  const categoryColumns = placeBins + BINS
  const dimension = categoryColumns + names.size
  return {
    dimension,
    ranges: [{ from: words, to: dimension, l2: PLAIN_L2 }],
    async encode(rows) {
      const texts = Array.from(rows, (row) => prompts[row]!)
      const { embeddings } = await encoder.encode(texts, signal)
      if (embeddings.kind !== 'sparse') throw new TypeError('expected sparse rows')
      return withColumns(embeddings, dimension, (at) => {
        const row = rows[at]!
        const length = prompts[row]!.length
        const z = Math.max(-3, Math.min(3, (Math.log(length + 1) - scale.mean) / scale.deviation))
        const name = categories[row]
        const category = name === undefined ? undefined : names.get(name)
        return [
          [words, z],
          [words + 1, z * z],
          [lengthBins + binOf(edges, length), 1],
          [placeBins + Math.min(BINS - 1, Math.floor((row * BINS) / n)), 1],
          ...(category === undefined ? [] : [[categoryColumns + category, 1] as const]),
        ]
      })
    },
  }
}

/** Sorted random numbers below n; undefined if all of them are few enough. */
export function sampleOf(n: number, most: number, seed: number): Int32Array | undefined {
  if (n <= most) return undefined
  const all = Int32Array.from({ length: n }, (_, i) => i)
  return createRandom(seed).shuffle(all).slice(0, most).sort()
}

function quantileEdges(rows: Int32Array, prompts: readonly string[]): Float64Array {
  const lengths = Float64Array.from(rows, (row) => prompts[row]!.length).sort()
  return Float64Array.from(
    { length: BINS - 1 },
    (_, k) => lengths[Math.floor(((k + 1) * lengths.length) / BINS)] ?? 0,
  )
}

/** Number of edges at or below the value. */
function binOf(edges: Float64Array, value: number): number {
  let bin = 0
  while (bin < edges.length && value >= edges[bin]!) bin++
  return bin
}

function lengthScale(prompts: readonly string[]): { mean: number; deviation: number } {
  let sum = 0
  let squares = 0
  for (const prompt of prompts) {
    const value = Math.log(prompt.length + 1)
    sum += value
    squares += value * value
  }
  const n = Math.max(1, prompts.length)
  const mean = sum / n
  const variance = squares / n - mean * mean
  return { mean, deviation: variance > 1e-9 ? Math.sqrt(variance) : 1 }
}

/** Columns of the commonest categories. */
function columnOfCategory(
  categories: readonly (string | undefined)[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of categories) {
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const kept = [...counts]
    .filter(([, count]) => count >= LEAST_CATEGORY)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, MOST_CATEGORIES)
  return new Map(kept.map(([name], column) => [name, column]))
}

/** The rows with further values; `more` gives a row's columns, all behind the existing ones. */
function withColumns(
  from: SparseEmbeddings,
  dimension: number,
  more: (row: number) => readonly (readonly [column: number, value: number])[],
): SparseEmbeddings {
  const added = Array.from({ length: from.rows }, (_, row) => more(row))
  const offsets = new Uint32Array(from.rows + 1)
  for (let row = 0; row < from.rows; row++) {
    const own = from.offsets[row + 1]! - from.offsets[row]!
    offsets[row + 1] = offsets[row]! + own + added[row]!.length
  }
  const ids = new Uint32Array(offsets[from.rows]!)
  const weights = new Float32Array(ids.length)
  for (let row = 0; row < from.rows; row++) {
    const [start, end] = [from.offsets[row]!, from.offsets[row + 1]!]
    ids.set(from.ids.subarray(start, end), offsets[row]!)
    weights.set(from.weights.subarray(start, end), offsets[row]!)
    let at = offsets[row]! + end - start
    for (const [column, value] of added[row]!) {
      ids[at] = column
      weights[at++] = value
    }
  }
  return { kind: 'sparse', rows: from.rows, dimension, offsets, ids, weights }
}
