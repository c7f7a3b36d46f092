import { type Dataset, SPLITS } from '../../data/dataset.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { estimateCost } from '../../models/prices.ts'
import type { Expectations } from '../../training/many/model-table.ts'

const TRAIN = SPLITS.indexOf('train')
/** Rows that the overall mean counts as, in every category. */
const PRIOR_ROWS = 20

/** What someone expects who is told the category, and nothing of the prompt: the train rows' means, shrunk a little. */
export function categoryMeans(
  dataset: Dataset,
  candidates: readonly Candidate[],
): (prompts: readonly number[]) => Expectations {
  const m = candidates.length
  const overall = meansOf(dataset, candidates, () => true)
  const names = [...new Set(dataset.categories)]
  const byName = new Map(
    names.map((name) => [
      name,
      meansOf(dataset, candidates, (i) => dataset.categories[i] === name),
    ]),
  )
  const shrunk = (sums: Sums, base: Sums, k: number, of: 'score' | 'cost'): number =>
    (sums[of][k]! + (PRIOR_ROWS * base[of][k]!) / base.rows[k]!) / (sums.rows[k]! + PRIOR_ROWS)
  return (prompts) => {
    const quality = new Float64Array(prompts.length * m)
    const costs = new Float64Array(prompts.length * m)
    prompts.forEach((prompt, i) => {
      const sums = byName.get(dataset.categories[prompt])!
      for (let k = 0; k < m; k++) {
        quality[i * m + k] = shrunk(sums, overall, k, 'score')
        costs[i * m + k] = shrunk(sums, overall, k, 'cost')
      }
    })
    return { quality, costs }
  }
}

interface Sums {
  readonly score: Float64Array
  readonly cost: Float64Array
  readonly rows: Float64Array
}

function meansOf(
  dataset: Dataset,
  candidates: readonly Candidate[],
  keep: (prompt: number) => boolean,
): Sums {
  const m = candidates.length
  const [score, cost, rows] = [0, 0, 0].map(() => new Float64Array(m)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const { scores, tokens } = dataset.outcomes!
  for (let i = 0; i < dataset.prompts.length; i++) {
    if (dataset.split[i] !== TRAIN || !keep(i)) continue
    for (let k = 0; k < m; k++) {
      const value = scores[i * m + k]!
      const length = tokens![i * m + k]!
      if (Number.isNaN(value + length)) continue
      score[k]! += value
      cost[k]! += estimateCost(candidates[k]!.price!, dataset.prompts[i]!.length, length)
      rows[k]! += 1
    }
  }
  return { score, cost, rows }
}
