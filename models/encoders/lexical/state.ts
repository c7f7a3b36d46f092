import { createHash } from 'node:crypto'
import { WeirError } from '../../../core/errors.ts'
import { decodeArrays, encodeArrays, type NumericArray } from '../arrays-file.ts'
import { SURFACE_COUNT } from './surface.ts'

/** Word and word-pair hashes map to 2^18 buckets; buckets seen in too few training prompts are dropped. */
export const BUCKETS = 1 << 18

/** What `lexical` learnt from the training prompts. Columns: the kept buckets, then the surface features. */
export interface LexicalState {
  /** K, ascending: the kept buckets */
  readonly buckets: Uint32Array
  /** K: log((1 + n) / (1 + document frequency)) + 1 */
  readonly idf: Float32Array
  /** SURFACE_COUNT: subtracted from a surface feature, before the scale */
  readonly surfaceMean: Float32Array
  /** SURFACE_COUNT: weight / standard deviation; 0 for a constant feature */
  readonly surfaceScale: Float32Array
  /** SURFACE_COUNT each: values outside count as these ends; absent in bundles from before */
  readonly surfaceLow?: Float32Array
  readonly surfaceHigh?: Float32Array
  /** the truncated SVD of the n-gram columns, for heads that read dense embeddings */
  readonly projection?: LexicalProjection
}

export interface LexicalProjection {
  readonly dimension: number
  /** K x dimension, row-major, in units of the row's scale */
  readonly values: Int8Array
  /** K */
  readonly scale: Float32Array
}

/** Encodes a bundle's `lexical.bin`. */
export function encodeLexicalState(state: LexicalState): Uint8Array {
  const { projection } = state
  return encodeArrays({
    buckets: state.buckets,
    idf: state.idf,
    surfaceMean: state.surfaceMean,
    surfaceScale: state.surfaceScale,
    ...(state.surfaceLow && state.surfaceHigh
      ? { surfaceLow: state.surfaceLow, surfaceHigh: state.surfaceHigh }
      : {}),
    ...(projection ? { projection: projection.values, projectionScale: projection.scale } : {}),
  })
}

export function decodeLexicalState(bytes: Uint8Array, path: string): LexicalState {
  const arrays = decodeArrays(bytes, path)
  const take = <T extends NumericArray>(
    name: string,
    kind: abstract new (...arguments_: never[]) => T,
    length?: number,
  ): T => {
    const array = arrays[name]
    if (!(array instanceof kind) || (length !== undefined && array.length !== length)) {
      throw new WeirError('bundle_invalid', {
        path,
        reason: `its array ${name} is missing or misshapen`,
      })
    }
    return array
  }
  const buckets = take('buckets', Uint32Array)
  const state = {
    buckets,
    idf: take('idf', Float32Array, buckets.length),
    surfaceMean: take('surfaceMean', Float32Array, SURFACE_COUNT),
    surfaceScale: take('surfaceScale', Float32Array, SURFACE_COUNT),
    ...(arrays.surfaceLow && {
      surfaceLow: take('surfaceLow', Float32Array, SURFACE_COUNT),
      surfaceHigh: take('surfaceHigh', Float32Array, SURFACE_COUNT),
    }),
  }
  if (!arrays.projection) return state
  const values = take('projection', Int8Array)
  const scale = take('projectionScale', Float32Array, buckets.length)
  return { ...state, projection: { dimension: values.length / buckets.length, values, scale } }
}

/** Hash of the fitted state, used in the encoder's id. */
export function stateHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12)
}
