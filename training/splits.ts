import type { Dataset, Split } from '../data/dataset.ts'
import { splitRows } from '../data/pair.ts'
import type { Embeddings } from '../models/embeddings.ts'
import type { Encoder } from '../models/encoder.ts'
import type { TrainingRows } from './trainer.ts'
import { takeOutcomes, takeVotes } from './trainers/take-rows.ts'

/** One split of a dataset, encoded: its prompts' numbers and what was observed of them. */
export interface EncodedSplit extends TrainingRows {
  /** index into the dataset's prompts, ascending */
  readonly prompts: Int32Array
}

export async function encodeSplit(
  dataset: Dataset,
  split: Split,
  encoder: Encoder,
  signal?: AbortSignal,
): Promise<EncodedSplit> {
  const prompts = splitRows(dataset, split)
  const texts = Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
  const { embeddings } = await encoder.encode(texts, signal)
  return { prompts, ...observed(dataset, prompts, embeddings) }
}

/** The rows of the dataset's tables that belong to the given prompts, renumbered to them. */
function observed(
  { preferences, outcomes, prompts: all }: Dataset,
  prompts: Int32Array,
  embeddings: Embeddings,
): TrainingRows {
  return {
    embeddings,
    ...(preferences && { preferences: takeVotes(preferences, prompts, all.length) }),
    ...(outcomes && { outcomes: takeOutcomes(outcomes, prompts, all.length) }),
  }
}
