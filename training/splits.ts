import type { Dataset, Split } from '../data/dataset.ts'
import { splitRows } from '../data/pair.ts'
import type { Embeddings } from '../models/embeddings.ts'
import type { Encoder } from '../models/encoder.ts'
import type { OutcomeColumns, PreferenceColumns, TrainingRows } from './trainer.ts'

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
function observed(dataset: Dataset, prompts: Int32Array, embeddings: Embeddings): TrainingRows {
  const preferences = preferenceColumns(dataset, prompts)
  const outcomes = outcomeColumns(dataset, prompts)
  return {
    embeddings,
    ...(preferences ? { preferences } : {}),
    ...(outcomes ? { outcomes } : {}),
  }
}

function preferenceColumns(
  { preferences, prompts: all }: Dataset,
  prompts: Int32Array,
): PreferenceColumns | undefined {
  if (!preferences) return undefined
  const place = new Int32Array(all.length).fill(-1)
  prompts.forEach((prompt, row) => {
    place[prompt] = row
  })
  const rows: number[] = []
  preferences.prompt.forEach((prompt, row) => {
    if (place[prompt]! >= 0) rows.push(row)
  })
  const take = (column: Int32Array): Int32Array => Int32Array.from(rows, (row) => column[row]!)
  return {
    prompt: Int32Array.from(rows, (row) => place[preferences.prompt[row]!]!),
    modelA: take(preferences.modelA),
    modelB: take(preferences.modelB),
    label: Float32Array.from(rows, (row) => preferences.label[row]!),
    weight: Float32Array.from(rows, (row) => preferences.weight[row]!),
  }
}

function outcomeColumns(
  { outcomes, models }: Dataset,
  prompts: Int32Array,
): OutcomeColumns | undefined {
  if (!outcomes) return undefined
  const m = models.length
  const take = (table: Float32Array): Float32Array => {
    const taken = new Float32Array(prompts.length * m)
    prompts.forEach((prompt, row) => {
      taken.set(table.subarray(prompt * m, (prompt + 1) * m), row * m)
    })
    return taken
  }
  const { scores, tokens } = outcomes
  return { scores: take(scores), ...(tokens && { tokens: take(tokens) }) }
}
