import { createRandom, deriveSeed } from '../../core/random.ts'
import { SPLITS } from '../splits/assign-splits.ts'
import type { Dataset, DatasetOutcomes, DatasetPreferences } from './dataset.ts'
import type { JudgedPair } from './judged.ts'

/**
 * Some prompts of a dataset with what is known of them, and counts to match.
 *
 * @param rows indices into its prompts, ascending, each once
 */
export function takePrompts(dataset: Dataset, rows: Int32Array): Dataset {
  const { outcomes, preferences, judged, models, manifest } = dataset
  const place = new Int32Array(dataset.prompts.length).fill(-1)
  rows.forEach((row, to) => {
    place[row] = to
  })
  const split = Uint8Array.from(rows, (row) => dataset.split[row]!)
  const taken = outcomes && takeOutcomes(outcomes, rows, models.length)
  const votes = preferences && takeVotes(preferences, place)
  const counts = {
    ...manifest.counts,
    prompts: rows.length,
    outcomes: taken ? scoredRows(taken.scores, models.length) : 0,
    preferences: votes?.prompt.length ?? 0,
  }
  for (const [code, name] of SPLITS.entries()) {
    counts[name] = split.reduce((sum, of) => sum + (of === code ? 1 : 0), 0)
  }
  return {
    ...dataset,
    manifest: { ...manifest, counts },
    prompts: Array.from(rows, (row) => dataset.prompts[row]!),
    hashes: Array.from(rows, (row) => dataset.hashes[row]!),
    categories: Array.from(rows, (row) => dataset.categories[row]),
    split,
    ...(taken && { outcomes: taken }),
    ...(votes && { preferences: votes }),
    ...(judged && { judged: judged.map((pair) => takeJudged(pair, place)) }),
  }
}

/** So many prompts drawn at random, in their order; the dataset itself if it has no more. */
export function samplePrompts(dataset: Dataset, most: number, seed: number): Dataset {
  const n = dataset.prompts.length
  if (n <= most) return dataset
  const all = Int32Array.from({ length: n }, (_, i) => i)
  const random = createRandom(deriveSeed(seed, 'sample of the prompts'))
  return takePrompts(dataset, random.shuffle(all).slice(0, most).sort())
}

function takeOutcomes(outcomes: DatasetOutcomes, rows: Int32Array, m: number): DatasetOutcomes {
  const take = (values: Float32Array): Float32Array => {
    const taken = new Float32Array(rows.length * m)
    rows.forEach((row, to) => {
      taken.set(values.subarray(row * m, (row + 1) * m), to * m)
    })
    return taken
  }
  const { scores, costs, tokens, propensities, weak, unrated } = outcomes
  return {
    scores: take(scores),
    ...(costs && { costs: take(costs) }),
    ...(tokens && { tokens: take(tokens) }),
    ...(propensities && { propensities: take(propensities) }),
    ...(weak && { weak: take(weak) }),
    ...(unrated && { unrated: take(unrated) }),
  }
}

function takeVotes(votes: DatasetPreferences, place: Int32Array): DatasetPreferences {
  const kept = Array.from(votes.prompt.keys()).filter((i) => place[votes.prompt[i]!]! >= 0)
  const { propensity } = votes
  return {
    prompt: Int32Array.from(kept, (i) => place[votes.prompt[i]!]!),
    modelA: Int32Array.from(kept, (i) => votes.modelA[i]!),
    modelB: Int32Array.from(kept, (i) => votes.modelB[i]!),
    label: Float32Array.from(kept, (i) => votes.label[i]!),
    weight: Float32Array.from(kept, (i) => votes.weight[i]!),
    bothBad: Uint8Array.from(kept, (i) => votes.bothBad[i]!),
    judge: Int32Array.from(kept, (i) => votes.judge[i]!),
    ...(propensity && { propensity: Float32Array.from(kept, (i) => propensity[i]!) }),
  }
}

function takeJudged(pair: JudgedPair, place: Int32Array): JudgedPair {
  const kept = Array.from(pair.prompt.keys()).filter((i) => place[pair.prompt[i]!]! >= 0)
  const take = <T>(values: readonly T[]): T[] => kept.map((i) => values[i]!)
  return {
    ...pair,
    prompt: take(pair.prompt).map((prompt) => place[prompt]!),
    judged: take(pair.judged),
    human: take(pair.human),
    weight: take(pair.weight),
  }
}

function scoredRows(scores: Float32Array, m: number): number {
  let rows = 0
  for (let from = 0; from < scores.length; from += m) {
    if (scores.subarray(from, from + m).some((score) => !Number.isNaN(score))) rows++
  }
  return rows
}
