import { createRandom, deriveSeed } from '../../../core/random.ts'
import { categoryPrior, outOfFold, type ReferenceRows } from './category-prior.ts'
import { wordNeighbourScores } from './word-neighbours.ts'

/** A trivial router: its score for each prompt, and a note on how the scores were made where needed. */
export interface Baseline {
  readonly name: string
  readonly scores: Float64Array
  readonly note?: string
}

export interface BaselineInput {
  readonly prompts: readonly string[]
  readonly categories?: readonly (string | undefined)[] | undefined
  /** n: win-rate labels of the evaluated prompts, for the oracle and, out of fold, for the learned baselines */
  readonly y: ArrayLike<number>
  /** n: s - w */
  readonly gain: ArrayLike<number>
  /** whether gains are estimates of single answers: an oracle would then only know their noise */
  readonly estimated?: boolean | undefined
  readonly seed: number
  /** labelled rows to fit the learned baselines on; without them they are fitted out of fold */
  readonly reference?: ReferenceRows | undefined
  /** the kNN baseline is left out above this number of prompts */
  readonly neighbourLimit?: number | undefined
}

const DEFAULT_NEIGHBOUR_LIMIT = 30_000

/**
 * Prompt length, category prior, kNN, one seeded random router and, where both answers of every prompt are known,
 * the oracle, on the evaluated prompts.
 */
export function baselinesOf(input: BaselineInput): Baseline[] {
  const random = createRandom(deriveSeed(input.seed, 'random router'))
  const n = input.prompts.length
  const baselines: Baseline[] = [
    { name: 'prompt_length', scores: Float64Array.from(input.prompts, (prompt) => prompt.length) },
    {
      name: 'random_seeded',
      scores: Float64Array.from({ length: n }, () => random.next()),
      note: 'one draw',
    },
  ]
  if (!input.estimated) {
    const scores = Float64Array.from(input.gain)
    baselines.push({ name: 'oracle', scores, note: 'knows the labels' })
  }
  const { categories, reference } = input
  if (categories && new Set(categories).size > 1) {
    baselines.push(categoryBaseline(input, categories, reference))
  }
  if (n + (reference?.prompts.length ?? 0) <= (input.neighbourLimit ?? DEFAULT_NEIGHBOUR_LIMIT)) {
    baselines.push(neighbourBaseline(input, reference))
  }
  return baselines
}

function categoryBaseline(
  input: BaselineInput,
  categories: readonly (string | undefined)[],
  reference: ReferenceRows | undefined,
): Baseline {
  if (reference?.categories) {
    const known = { categories: reference.categories, y: reference.y }
    return {
      name: 'category_prior',
      scores: categoryPrior(known, categories),
      note: `from ${reference.y.length} training rows`,
    }
  }
  const scores = outOfFold(input.y, input.seed, (train, test) =>
    categoryPrior(
      { categories: train.map((i) => categories[i]), y: train.map((i) => input.y[i]!) },
      test.map((i) => categories[i]),
    ),
  )
  return { name: 'category_prior', scores, note: 'out of fold' }
}

function neighbourBaseline(input: BaselineInput, reference: ReferenceRows | undefined): Baseline {
  if (reference) {
    return {
      name: 'knn',
      scores: wordNeighbourScores(reference.prompts, reference.y, input.prompts),
      note: `over words, from ${reference.y.length} training rows`,
    }
  }
  const scores = outOfFold(input.y, input.seed, (train, test) =>
    wordNeighbourScores(
      train.map((i) => input.prompts[i]!),
      train.map((i) => input.y[i]!),
      test.map((i) => input.prompts[i]!),
    ),
  )
  return { name: 'knn', scores, note: 'over words, out of fold' }
}
