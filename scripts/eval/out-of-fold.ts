import type { Dataset } from '../../data/dataset/dataset.ts'
import type { EncoderArtifact } from '../../models/encoders/encoder.ts'
import { fitRouter } from '../../training/fit-router.ts'
import { foldOf, HELD_OUT, TRAIN } from './router-sets.ts'

export interface OutOfFoldOptions {
  readonly strong: string
  readonly weak: string
  readonly router: string
  readonly folds: number
  readonly seed: number
  /** overrides of the family's hyperparameters */
  readonly hyperparameters?: Readonly<Record<string, number>>
  /** fits the encoder on a fold's training prompts; default `lexical` at its defaults */
  readonly fitEncoder?: (prompts: readonly string[]) => Promise<EncoderArtifact>
  readonly onFold?: (fold: number) => void
}

/**
 * The win rate of every prompt from a router that was not trained on it: one complete fit per fold, including
 * the encoder, on the other folds. Folds are by stem, so copies of a question share one.
 */
export async function outOfFoldWinRates(
  dataset: Dataset,
  options: OutOfFoldOptions,
): Promise<Float64Array> {
  const { folds, seed } = options
  const winRate = new Float64Array(dataset.prompts.length).fill(Number.NaN)
  for (let fold = 0; fold < folds; fold++) {
    options.onFold?.(fold)
    const folded = foldOf(dataset, { fold, folds, seed })
    const { split } = folded
    const own = dataset.prompts.filter((_, i) => split[i] === TRAIN)
    const { family, weights, pair, encoder } = await fitRouter(folded, {
      ...(options.fitEncoder && { encoder: await options.fitEncoder(own) }),
      strong: options.strong,
      weak: options.weak,
      router: options.router,
      engine: 'onnx',
      seed,
      threads: 1,
      ...(options.hyperparameters && { hyperparameters: options.hyperparameters }),
    })
    const held = Array.from(split.keys()).filter((i) => split[i] === HELD_OUT)
    const { embeddings } = await encoder.encoder.encode(held.map((i) => dataset.prompts[i]!))
    const scores = family.forward(weights, pair, embeddings)
    held.forEach((prompt, row) => {
      winRate[prompt] = scores.winRate[row]!
    })
  }
  return winRate
}
