import type { OnProgress } from '../../core/progress.ts'
import type { EncoderArtifact } from '../../models/encoders/encoder.ts'
import { createLexicalEncoder } from '../../models/encoders/lexical/encoder.ts'
import { createFeaturizer, truncatePrompt } from '../../models/encoders/lexical/featurizer.ts'
import {
  BUCKETS,
  type LexicalProjection,
  type LexicalState,
} from '../../models/encoders/lexical/state.ts'
import { SURFACE_COUNT, surfaceFeatures } from '../../models/encoders/lexical/surface.ts'
import { eachGram } from '../../models/encoders/lexical/words.ts'
import { truncatedSvd } from './svd.ts'

export interface LexicalOptions {
  /** a bucket must appear in this many prompts to be kept */
  readonly minPrompts: number
  /** maximum number of buckets, the most frequent first */
  readonly maxBuckets: number
  /** standard deviation that surface features are scaled to, relative to the n-grams of norm 1 */
  readonly surfaceWeight: number
}

/** Chosen by 5-fold cross-validation on MMLU and GSM8K (docs/encoders.md). */
export const LEXICAL_DEFAULTS: LexicalOptions = {
  minPrompts: 2,
  maxBuckets: 65_536,
  surfaceWeight: 0.1,
}

export interface ProjectionOptions {
  readonly dimension: number
  /** maximum number of buckets: the projection stores `dimension` bytes for each */
  readonly maxBuckets: number
  /** maximum number of prompts that the decomposition is fitted on */
  readonly maxPrompts: number
  readonly seed: number
}

export const PROJECTION_DEFAULTS = {
  dimension: 256,
  maxBuckets: 32_768,
  maxPrompts: 20_000,
} as const

export interface FitLexicalInput {
  readonly prompts: readonly string[]
  readonly options?: Partial<LexicalOptions>
  /** if given, the encoder has the dense form */
  readonly projection?: ProjectionOptions
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Fits `lexical` on the training prompts: the buckets to keep, their IDF, and the scale of the surface features. */
export async function fitLexical(input: FitLexicalInput): Promise<EncoderArtifact> {
  const options = { ...LEXICAL_DEFAULTS, ...input.options }
  const frequency = documentFrequency(input)
  const limit = Math.min(options.maxBuckets, input.projection?.maxBuckets ?? Infinity)
  const buckets = keptBuckets(frequency, options.minPrompts, limit)
  const n = input.prompts.length
  const state: LexicalState = {
    buckets,
    idf: Float32Array.from(buckets, (bucket) => Math.log((1 + n) / (1 + frequency[bucket]!)) + 1),
    ...surfaceScales(input.prompts, options.surfaceWeight),
  }
  if (!input.projection) return createLexicalEncoder(state)
  const projection = await fitProjection(state, input.projection, input)
  return createLexicalEncoder({ ...state, projection })
}

/** The number of training prompts in which each bucket appears: BUCKETS counts. */
function documentFrequency(input: FitLexicalInput): Uint32Array {
  const frequency = new Uint32Array(BUCKETS)
  const lastSeen = new Int32Array(BUCKETS).fill(-1)
  input.prompts.forEach((prompt, row) => {
    if (row % 1024 === 0) {
      input.signal?.throwIfAborted()
      input.onProgress?.({ stage: 'counting words', done: row, total: input.prompts.length })
    }
    eachGram(truncatePrompt(prompt).toLowerCase(), (hash) => {
      const bucket = hash & (BUCKETS - 1)
      if (lastSeen[bucket] === row) return
      lastSeen[bucket] = row
      frequency[bucket]!++
    })
  })
  return frequency
}

/** The kept buckets, ascending. Ties at the limit go to the lower bucket, so that the choice is reproducible. */
function keptBuckets(frequency: Uint32Array, minPrompts: number, limit: number): Uint32Array {
  const kept: number[] = []
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (frequency[bucket]! >= minPrompts) kept.push(bucket)
  }
  if (kept.length > limit) {
    kept.sort((a, b) => frequency[b]! - frequency[a]! || a - b)
    kept.length = limit
  }
  return Uint32Array.from(kept).sort()
}

/** Share of the training prompts below and above the range that surface features are held to. */
const OUTSIDE = 0.01

/** Mean, scale and range of the surface features over the training prompts, held to their range. */
function surfaceScales(
  prompts: readonly string[],
  weight: number,
): Pick<LexicalState, 'surfaceMean' | 'surfaceScale' | 'surfaceLow' | 'surfaceHigh'> {
  const n = prompts.length
  const values = new Float64Array(SURFACE_COUNT)
  const columns = Array.from({ length: SURFACE_COUNT }, () => new Float64Array(n))
  prompts.forEach((prompt, row) => {
    surfaceFeatures(truncatePrompt(prompt), values)
    values[0] = Math.log(prompt.length + 1)
    for (let i = 0; i < SURFACE_COUNT; i++) columns[i]![row] = values[i]!
  })
  const surfaceMean = new Float32Array(SURFACE_COUNT)
  const surfaceScale = new Float32Array(SURFACE_COUNT)
  const surfaceLow = new Float32Array(SURFACE_COUNT)
  const surfaceHigh = new Float32Array(SURFACE_COUNT)
  columns.forEach((column, i) => {
    column.sort()
    const low = column[Math.floor(OUTSIDE * (n - 1))] ?? 0
    const high = column[Math.ceil((1 - OUTSIDE) * (n - 1))] ?? 0
    let [sum, squares] = [0, 0]
    for (const value of column) {
      const held = Math.min(Math.max(value, low), high)
      sum += held
      squares += held * held
    }
    const variance = squares / Math.max(1, n) - (sum / Math.max(1, n)) ** 2
    surfaceMean[i] = sum / Math.max(1, n)
    surfaceScale[i] = variance > 1e-9 ? weight / Math.sqrt(variance) : 0
    surfaceLow[i] = low
    surfaceHigh[i] = high
  })
  return { surfaceMean, surfaceScale, surfaceLow, surfaceHigh }
}

/** The SVD's right vectors as 8-bit rows, each with a scale: a quarter of the bytes, cosine above .999. */
async function fitProjection(
  state: LexicalState,
  options: ProjectionOptions,
  input: FitLexicalInput,
): Promise<LexicalProjection> {
  const step = Math.max(1, Math.ceil(input.prompts.length / options.maxPrompts))
  const prompts = input.prompts.filter((_, row) => row % step === 0)
  const { embeddings } = createFeaturizer(state).featurize(prompts)
  const columns = state.buckets.length
  const vectors = await truncatedSvd(embeddings, {
    columns,
    dimension: options.dimension,
    seed: options.seed,
    signal: input.signal,
    onProgress: input.onProgress,
  })
  const { dimension } = vectors
  const values = new Int8Array(columns * dimension)
  const scale = new Float32Array(columns)
  for (let column = 0; column < columns; column++) {
    const row = vectors.values.subarray(column * dimension, (column + 1) * dimension)
    let largest = 0
    for (const value of row) largest = Math.max(largest, Math.abs(value))
    if (largest === 0) continue
    scale[column] = largest / 127
    for (let k = 0; k < dimension; k++) {
      values[column * dimension + k] = Math.round(row[k]! / scale[column]!)
    }
  }
  return { dimension, values, scale }
}
