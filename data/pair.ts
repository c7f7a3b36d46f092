import { WeirError } from '../core/errors.ts'
import { type Dataset, type PairOptions, SPLITS, type Split } from './dataset/dataset.ts'

/** A dataset's labels for one pair of models, one row per prompt. */
export interface PairLabels {
  /** index into the dataset's prompts, ascending */
  readonly prompt: Int32Array
  /** observed win rate in [0, 1]: (1 + s - w) / 2 from outcomes, otherwise the votes' weighted mean */
  readonly label: Float32Array
  /** scores of the two models; NaN for prompts that only have votes; absent without outcomes */
  readonly strong?: Float32Array
  readonly weak?: Float32Array
  /** sum of the votes' weights; 1 for a prompt with outcomes */
  readonly votes: Float32Array
}

/**
 * Labels every prompt on which both models were observed. Prompts with both scores are labelled by them,
 * others by their votes. Throws `model_unknown`, `models_equal`, and `rows_too_few` if there are none.
 */
export function pairLabels(
  dataset: Dataset,
  strong: string,
  weak: string,
  options: PairOptions = dataset.labelled ?? {},
): PairLabels {
  const s = modelIndex(dataset, strong)
  const w = modelIndex(dataset, weak)
  if (s === w) throw new WeirError('models_equal', { model: strong })
  const n = dataset.prompts.length
  const sum = new Float64Array(n)
  const votes = new Float64Array(n)
  addVotes(dataset, s, w, options.judge, sum, votes)
  const outcomes = options.judge === undefined ? dataset.outcomes : undefined
  const { minVotes = 0, margin } = options
  const models = dataset.models.length
  const rows: number[] = []
  for (let i = 0; i < n; i++) {
    const gain = outcomes
      ? outcomes.scores[i * models + s]! - outcomes.scores[i * models + w]!
      : Number.NaN
    if (!Number.isNaN(gain)) {
      sum[i] = (1 + (margin === undefined ? gain : clearSign(gain, margin))) / 2
      votes[i] = 1
    }
    if (votes[i]! > 0 && votes[i]! >= minVotes) rows.push(i)
  }
  if (rows.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 1,
      what: `with both ${strong} and ${weak}`,
      got: 0,
    })
  }
  const prompt = Int32Array.from(rows)
  const score = (model: number): Float32Array =>
    Float32Array.from(rows, (i) => outcomes?.scores[i * models + model] ?? Number.NaN)
  return {
    prompt,
    label: Float32Array.from(rows, (i) => sum[i]! / votes[i]!),
    ...(outcomes && pairScores(score(s), score(w))),
    votes: Float32Array.from(rows, (i) => votes[i]!),
  }
}

/** Indices of the prompts in one split, ascending. */
export function splitRows(dataset: Dataset, split: Split): Int32Array {
  const wanted = SPLITS.indexOf(split)
  const rows: number[] = []
  dataset.split.forEach((of, i) => {
    if (of === wanted) rows.push(i)
  })
  return Int32Array.from(rows)
}

/** The model's index in the dataset. */
export function modelIndex(dataset: Dataset, model: string): number {
  const index = dataset.models.indexOf(model)
  if (index < 0) throw new WeirError('model_unknown', { model, known: dataset.models })
  return index
}

/** A score counts only if the other model has one too, as for the label. */
function pairScores(
  strong: Float32Array,
  weak: Float32Array,
): { readonly strong: Float32Array; readonly weak: Float32Array } {
  for (let i = 0; i < strong.length; i++) {
    if (Number.isNaN(strong[i]! + weak[i]!)) {
      strong[i] = Number.NaN
      weak[i] = Number.NaN
    }
  }
  return { strong, weak }
}

const clearSign = (gain: number, margin: number): number =>
  Math.abs(gain) < margin ? 0 : Math.sign(gain)

function addVotes(
  dataset: Dataset,
  strong: number,
  weak: number,
  judge: string | undefined,
  sum: Float64Array,
  votes: Float64Array,
): void {
  const { preferences } = dataset
  if (!preferences) return
  const chosen = dataset.manifest.judges.map((name) => judge === undefined || name.includes(judge))
  for (let i = 0; i < preferences.prompt.length; i++) {
    if (judge !== undefined && !chosen[preferences.judge[i]!]) continue
    const a = preferences.modelA[i]
    const b = preferences.modelB[i]
    const forward = a === strong && b === weak
    if (!forward && !(a === weak && b === strong)) continue
    const prompt = preferences.prompt[i]!
    const weight = preferences.weight[i]!
    const label = preferences.label[i]!
    sum[prompt]! += weight * (forward ? label : 1 - label)
    votes[prompt]! += weight
  }
}
