import type { Pooling } from './settings.ts'

/** The token vectors of one prompt inside a batch's output [rows, width, d], row-major. */
export interface TokenVectors {
  readonly values: Float32Array
  readonly d: number
  /** index of the row's first token, in tokens */
  readonly start: number
  /** tokens that pooling skips, and where the row's real tokens end, both from `start` */
  readonly skip: number
  readonly length: number
}

/** Pools one prompt's tokens into `out` [d] as sentence-transformers does; sums in double precision. */
export function pool(pooling: Pooling, tokens: TokenVectors, out: Float32Array): void {
  const { values, d, start, length } = tokens
  const skip = Math.min(tokens.skip, Math.max(0, length - 1))
  const at = (token: number, j: number): number => values[(start + token) * d + j]!
  if (length === 0) {
    out.fill(0)
    return
  }
  for (let j = 0; j < d; j++) {
    if (pooling === 'cls') out[j] = at(0, j)
    else if (pooling === 'last_token') out[j] = at(length - 1, j)
    else if (pooling === 'max') {
      let largest = -Infinity
      for (let t = skip; t < length; t++) largest = Math.max(largest, at(t, j))
      out[j] = largest
    } else {
      let sum = 0
      let weight = 0
      for (let t = skip; t < length; t++) {
        const w = pooling === 'weighted_mean' ? t + 1 : 1
        sum += w * at(t, j)
        weight += w
      }
      out[j] = sum / (pooling === 'mean_sqrt_len' ? Math.sqrt(weight) : weight)
    }
  }
}

/** Divides a vector by its Euclidean norm, in place; a zero vector stays as it is. */
export function normalise(vector: Float32Array): void {
  let squares = 0
  for (const value of vector) squares += value * value
  if (squares === 0) return
  const norm = Math.sqrt(squares)
  for (let j = 0; j < vector.length; j++) vector[j]! /= norm
}
