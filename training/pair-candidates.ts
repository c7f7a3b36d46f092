import type { Dataset } from '../data/dataset.ts'
import { modelIndex } from '../data/pair.ts'
import type { Candidate } from '../models/bundle/manifest.ts'
import type { Price } from '../models/prices.ts'

export interface PairCandidatesOptions {
  readonly strong: string
  readonly weak: string
  readonly prices?: ReadonlyMap<string, Price>
}

/** In the order of the head's outputs; a pair head knows its two models only. */
export function pairCandidates(
  dataset: Dataset,
  options: PairCandidatesOptions,
  outputs: number,
): Candidate[] {
  const { strong, weak, prices } = options
  const models = outputs === 1 ? [strong, weak] : dataset.models
  return models.map((model) => {
    const price = prices?.get(model)
    const tokens = meanTokens(dataset, modelIndex(dataset, model))
    return {
      model,
      role: model === strong ? 'strong' : model === weak ? 'weak' : 'other',
      ...(price ? { price } : {}),
      ...(tokens === undefined ? {} : { output_tokens: tokens }),
    }
  })
}

function meanTokens({ outcomes, models, prompts }: Dataset, model: number): number | undefined {
  if (!outcomes?.tokens) return undefined
  let sum = 0
  let rows = 0
  for (let i = 0; i < prompts.length; i++) {
    const tokens = outcomes.tokens[i * models.length + model]!
    if (Number.isNaN(tokens)) continue
    sum += tokens
    rows++
  }
  return rows > 0 ? sum / rows : undefined
}
