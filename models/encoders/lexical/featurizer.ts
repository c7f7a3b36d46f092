import type { SparseEmbeddings } from '../embeddings.ts'
import { BUCKETS, type LexicalState } from './state.ts'
import { SURFACE_COUNT, SURFACE_FEATURES, surfaceFeatures } from './surface.ts'
import { eachGram } from './words.ts'

/**
 * Beyond this many characters the middle of a prompt is left out; the task is usually at the start or end.
 */
export const MAX_CHARACTERS = 16_384
const HEAD_CHARACTERS = 12_288

/**
 * Maps prompts to sparse rows: TF-IDF of hashed n-grams at unit length, then standardised surface features.
 */
export interface Featurizer {
  readonly dimension: number
  /** Returns sparse rows, and 1 for each prompt that was cut. */
  featurize(prompts: readonly string[]): { embeddings: SparseEmbeddings; truncated: Uint8Array }
  /** One prompt's row in reused arrays, valid until the next call, so that a request allocates no arrays. */
  featurizeNow(prompt: string): { embeddings: SparseEmbeddings; truncated: Uint8Array }
  /** The names of the prompt's columns. */
  names(prompt: string): Map<number, string>
}

export function createFeaturizer(state: LexicalState): Featurizer {
  const columns = state.buckets.length
  const dimension = columns + SURFACE_COUNT
  const columnOf = new Int32Array(BUCKETS).fill(-1)
  // one bit per bucket fits in the fastest cache, the columns do not; most word pairs are ruled out here
  const kept = new Uint32Array(BUCKETS >>> 5)
  for (let column = 0; column < columns; column++) {
    const bucket = state.buckets[column]!
    columnOf[bucket] = column
    kept[bucket >>> 5]! |= 1 << (bucket & 31)
  }
  // scratch space, so that a request allocates only its own row
  const counts = new Uint32Array(columns)
  const touched = new Uint32Array(Math.min(columns, 2 * MAX_CHARACTERS))
  const surface = new Float64Array(SURFACE_COUNT)
  const ownIds = new Uint32Array(touched.length + SURFACE_COUNT)
  const ownWeights = new Float32Array(ownIds.length)
  const ownOffsets = new Uint32Array(2)
  const ownTruncated = new Uint8Array(1)
  const low = state.surfaceLow ?? new Float32Array(SURFACE_COUNT).fill(-Infinity)
  const high = state.surfaceHigh ?? new Float32Array(SURFACE_COUNT).fill(Infinity)
  let distinct = 0
  const countGram = (hash: number): void => {
    const bucket = hash & (BUCKETS - 1)
    if ((kept[bucket >>> 5]! & (1 << (bucket & 31))) === 0) return
    const column = columnOf[bucket]!
    if (counts[column]! === 0) touched[distinct++] = column
    counts[column]!++
  }

  function featurize(prompts: readonly string[]): {
    embeddings: SparseEmbeddings
    truncated: Uint8Array
  } {
    const offsets = new Uint32Array(prompts.length + 1)
    const truncated = new Uint8Array(prompts.length)
    let ids = new Uint32Array(prompts.length === 1 ? 0 : 256 * prompts.length)
    let weights = new Float32Array(ids.length)
    let at = 0
    for (let row = 0; row < prompts.length; row++) {
      const prompt = prompts[row]!
      const text = truncatePrompt(prompt)
      if (text.length < prompt.length) truncated[row] = 1
      distinct = 0
      eachGram(text.toLowerCase(), countGram)
      const needed = at + distinct + SURFACE_COUNT
      if (needed > ids.length) {
        const size = prompts.length === 1 ? needed : Math.max(needed, ids.length * 2)
        const grownIds = new Uint32Array(size)
        const grownWeights = new Float32Array(size)
        grownIds.set(ids)
        grownWeights.set(weights)
        ids = grownIds
        weights = grownWeights
      }
      at = writeGrams(ids, weights, at)
      at = writeSurface(ids, weights, at, prompt, text)
      offsets[row + 1] = at
    }
    return {
      embeddings: {
        kind: 'sparse',
        rows: prompts.length,
        dimension,
        offsets,
        ids: ids.subarray(0, at),
        weights: weights.subarray(0, at),
      },
      truncated,
    }
  }

  function featurizeNow(prompt: string): { embeddings: SparseEmbeddings; truncated: Uint8Array } {
    const text = truncatePrompt(prompt)
    ownTruncated[0] = text.length < prompt.length ? 1 : 0
    distinct = 0
    eachGram(text.toLowerCase(), countGram)
    const grams = writeGrams(ownIds, ownWeights, 0)
    ownOffsets[1] = writeSurface(ownIds, ownWeights, grams, prompt, text)
    return {
      embeddings: {
        kind: 'sparse',
        rows: 1,
        dimension,
        offsets: ownOffsets,
        ids: ownIds,
        weights: ownWeights,
      },
      truncated: ownTruncated,
    }
  }

  function writeSurface(
    ids: Uint32Array,
    weights: Float32Array,
    from: number,
    prompt: string,
    text: string,
  ): number {
    let at = from
    surfaceFeatures(text, surface)
    surface[0] = Math.log(prompt.length + 1)
    for (let feature = 0; feature < SURFACE_COUNT; feature++) {
      const value = Math.min(Math.max(surface[feature]!, low[feature]!), high[feature]!)
      ids[at] = columns + feature
      weights[at++] = (value - state.surfaceMean[feature]!) * state.surfaceScale[feature]!
    }
    return at
  }

  function writeGrams(ids: Uint32Array, weights: Float32Array, from: number): number {
    let at = from
    let squares = 0
    for (let i = 0; i < distinct; i++) {
      const column = touched[i]!
      const count = counts[column]!
      counts[column] = 0
      const weight = (count === 1 ? 1 : 1 + Math.log(count)) * state.idf[column]!
      squares += weight * weight
      ids[at] = column
      weights[at++] = weight
    }
    const norm = squares > 0 ? 1 / Math.sqrt(squares) : 0
    for (let i = from; i < at; i++) weights[i]! *= norm
    return at
  }

  function names(prompt: string): Map<number, string> {
    const named = new Map<number, string>()
    const text = truncatePrompt(prompt).toLowerCase()
    eachGram(text, (hash, start, end) => {
      const column = columnOf[hash & (BUCKETS - 1)]!
      if (column >= 0 && !named.has(column)) {
        named.set(column, text.slice(start, end).replace(/\s+/g, ' '))
      }
    })
    SURFACE_FEATURES.forEach((name, feature) => {
      named.set(columns + feature, `[${name}]`)
    })
    return named
  }

  return { dimension, featurize, featurizeNow, names }
}

/** The text that the encoder reads: all of it, or its head and tail with a line break between. */
export function truncatePrompt(prompt: string): string {
  if (prompt.length <= MAX_CHARACTERS) return prompt
  const tail = MAX_CHARACTERS - HEAD_CHARACTERS - 1
  return `${prompt.slice(0, HEAD_CHARACTERS)}\n${prompt.slice(-tail)}`
}
