import { WeirError } from '../core/errors.ts'
import {
  type Dataset,
  type EvidenceCounts,
  type PairOptions,
  SPLITS,
  type Split,
} from './dataset/dataset.ts'

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
  /**
   * 1 for prompts that one model answered: their scores and label are estimates, which may lie outside [0, 1];
   * absent if there are none
   */
  readonly estimated?: Uint8Array
}

/**
 * Labels every prompt on which both models were observed, or whose missing score the dataset has an estimate
 * of. Prompts with both scores are labelled by them, others by their estimates, else by their votes. Throws
 * `model_unknown`, `models_equal`, and `rows_too_few` if there are none.
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
  const estimates = outcomes && margin === undefined ? estimatesOf(dataset, s, w) : undefined
  const strongScore = (i: number): number => outcomes?.scores[i * models + s] ?? Number.NaN
  const weakScore = (i: number): number => outcomes?.scores[i * models + w] ?? Number.NaN
  const rows: number[] = []
  const guessed: number[] = []
  for (let i = 0; i < n; i++) {
    const gain = strongScore(i) - weakScore(i)
    const estimate = estimates ? estimates.strong(i) - estimates.weak(i) : Number.NaN
    if (!Number.isNaN(gain)) {
      sum[i] = (1 + (margin === undefined ? gain : clearSign(gain, margin))) / 2
      votes[i] = 1
    } else if (!Number.isNaN(estimate)) {
      sum[i] = (1 + estimate) / 2
      votes[i] = 1
    }
    if (!(votes[i]! > 0 && votes[i]! >= minVotes)) continue
    rows.push(i)
    guessed.push(Number.isNaN(gain) && !Number.isNaN(estimate) ? 1 : 0)
  }
  if (rows.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 1,
      what: `with both ${strong} and ${weak}`,
      got: 0,
    })
  }
  const prompt = Int32Array.from(rows)
  const score = (
    observed: (i: number) => number,
    estimate: ((i: number) => number) | undefined,
  ): Float32Array =>
    Float32Array.from(rows, (i, at) => (guessed[at] === 1 ? estimate!(i) : observed(i)))
  return {
    prompt,
    label: Float32Array.from(rows, (i) => sum[i]! / votes[i]!),
    ...(outcomes &&
      pairScores(score(strongScore, estimates?.strong), score(weakScore, estimates?.weak))),
    votes: Float32Array.from(rows, (i) => votes[i]!),
    ...(guessed.includes(1) && { estimated: Uint8Array.from(guessed) }),
  }
}

/** The dataset's estimates of the pair's scores, whichever of the two was called strong. */
function estimatesOf(
  { estimates }: Dataset,
  strong: number,
  weak: number,
): { strong: (i: number) => number; weak: (i: number) => number } | undefined {
  if (!estimates) return undefined
  const { scores } = estimates
  const first = (i: number): number => scores[2 * i]!
  const second = (i: number): number => scores[2 * i + 1]!
  if (estimates.strong === strong && estimates.weak === weak) return { strong: first, weak: second }
  if (estimates.strong === weak && estimates.weak === strong) return { strong: second, weak: first }
  return undefined
}

/** What each prompt of a dataset says about a pair: one of `EVIDENCE`, as an index into it. */
export const EVIDENCE = [
  'none',
  'paired',
  'strong_only',
  'weak_only',
  'votes_only',
  'strong_unrated',
  'weak_unrated',
] as const
export type Evidence = (typeof EVIDENCE)[number]
const evidenceCode = (kind: Evidence): number => EVIDENCE.indexOf(kind)

/**
 * One code per prompt. A prompt with votes on the pair and one score counts as voted on: its votes compare both
 * models, one score does not.
 */
export function evidenceOf(dataset: Dataset, strong: string, weak: string): Uint8Array {
  const s = modelIndex(dataset, strong)
  const w = modelIndex(dataset, weak)
  const m = dataset.models.length
  const n = dataset.prompts.length
  const votes = new Float64Array(n)
  addVotes(dataset, s, w, dataset.labelled?.judge, new Float64Array(n), votes)
  const scores = dataset.labelled?.judge === undefined ? dataset.outcomes?.scores : undefined
  const codes = new Uint8Array(n)
  const unrated = scores && dataset.outcomes?.unrated
  // one answer of the two, which nobody has rated
  const unratedKind = (i: number): Evidence => {
    const [strongAnswer, weakAnswer] = [unrated?.[i * m + s] === 1, unrated?.[i * m + w] === 1]
    if (strongAnswer === weakAnswer) return 'none'
    return strongAnswer ? 'strong_unrated' : 'weak_unrated'
  }
  for (let i = 0; i < n; i++) {
    const strongScored = scores !== undefined && !Number.isNaN(scores[i * m + s]!)
    const weakScored = scores !== undefined && !Number.isNaN(scores[i * m + w]!)
    codes[i] = evidenceCode(
      strongScored && weakScored
        ? 'paired'
        : votes[i]! > 0
          ? 'votes_only'
          : strongScored
            ? 'strong_only'
            : weakScored
              ? 'weak_only'
              : unratedKind(i),
    )
  }
  return codes
}

/** Number of prompts of each kind. */
export function countEvidence(codes: Uint8Array): EvidenceCounts {
  const counts = EVIDENCE.map(() => 0)
  for (const code of codes) counts[code]!++
  const of = (kind: Evidence): number => counts[evidenceCode(kind)]!
  return {
    paired: of('paired'),
    strong_only: of('strong_only'),
    weak_only: of('weak_only'),
    votes_only: of('votes_only'),
    unrated: of('strong_unrated') + of('weak_unrated'),
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
