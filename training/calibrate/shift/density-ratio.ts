import { WeirError } from '../../../core/errors.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { sourceOdds } from './source-classifier.ts'

export interface DensityRatio {
  /** n, 1 on average: how much likelier each calibration row is among the target prompts */
  readonly weight: Float64Array
  /** number of equally weighted rows that carry as much information as the weighted ones */
  readonly effective: number
  /** number of rows whose ratio was clipped to CLIP */
  readonly clipped: number
}

/** Largest weight of a row. */
export const CLIP = 10
/** If fewer rows, or a smaller share of rows, are effective, the shift is too large to correct. */
const LEAST_SHARE = 0.1
const LEAST_ROWS = 50

/**
 * Weights that make the calibration rows resemble the target prompts: p / (1 - p) of a classifier that
 * separates the two on embeddings (Sugiyama et al. 2012, ch. 4), clipped.
 *
 * @throws shift_too_large if too few calibration rows resemble the target prompts
 */
export async function densityRatio(
  calibration: Embeddings,
  target: Embeddings,
  seed: number,
  signal?: AbortSignal,
): Promise<DensityRatio> {
  const { first } = await sourceOdds(calibration, target, seed, signal)
  const weight = first.map((logit) => Math.min(CLIP, Math.exp(logit)))
  let sum = 0
  let squares = 0
  let clipped = 0
  for (const value of weight) {
    sum += value
    squares += value * value
    if (value >= CLIP) clipped++
  }
  const n = weight.length
  const effective = (sum * sum) / squares
  // if the targets are unlike every calibration row, all ratios are small: their mean should be near 1
  const cover = sum / n
  if (effective < Math.max(LEAST_ROWS, LEAST_SHARE * n) || cover < 0.2) {
    throw new WeirError('shift_too_large', {
      rows: n,
      effective: Math.round(effective),
      needed: Math.ceil(Math.max(LEAST_ROWS, LEAST_SHARE * n)),
      cover: `${Math.round(100 * Math.min(1, cover))}%`,
    })
  }
  return { weight: weight.map((value) => (value * n) / sum), effective, clipped }
}
