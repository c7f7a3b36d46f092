import type { DenseEmbeddings } from '../../models/embeddings.ts'
import type { Tensor } from '../../models/family.ts'

/**
 * How a layer's input is brought to mean 0 and mean square 1, so that one learning rate suits every encoder: a
 * mean a column, and one factor for all, since columns of little spread carry little.
 */
export interface InputScale {
  /** d */
  readonly mean: Float64Array
  readonly factor: number
}

export function inputScale({ rows, dimension, values }: DenseEmbeddings): InputScale {
  const mean = new Float64Array(dimension)
  for (let i = 0; i < values.length; i++) mean[i % dimension]! += values[i]! / Math.max(rows, 1)
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean[i % dimension]!) ** 2
  const spread = Math.sqrt(squares / Math.max(values.length, 1))
  // constant columns have nothing to scale
  return { mean, factor: spread > 1e-6 ? 1 / spread : 1 }
}

export function scaleRows(from: DenseEmbeddings, { mean, factor }: InputScale): DenseEmbeddings {
  const d = from.dimension
  return { ...from, values: from.values.map((value, i) => (value - mean[i % d]!) * factor) }
}

/** The same layer over rows as they came: W (factor (e - mean)) + b = (factor W) e + (b - factor W mean). */
export function foldScale(
  weights: Tensor,
  bias: Tensor,
  { mean, factor }: InputScale,
): { readonly weights: Tensor; readonly bias: Tensor } {
  const [dimension = 0, width = 0] = weights.shape
  const shifted = Float64Array.from(bias.values)
  const scaled = new Float32Array(weights.values.length)
  for (let j = 0; j < dimension; j++) {
    for (let i = 0; i < width; i++) {
      const value = factor * weights.values[j * width + i]!
      scaled[j * width + i] = value
      shifted[i]! -= value * mean[j]!
    }
  }
  return {
    weights: { shape: weights.shape, values: scaled },
    bias: { shape: bias.shape, values: Float32Array.from(shifted) },
  }
}
