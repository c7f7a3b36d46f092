import {
  type CorrectedRows,
  correctJudge,
  correctRows,
  LEAST_HUMAN_LABELS,
} from '../../core/stats/judged-mean.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { JudgedPair } from '../../data/dataset/judged.ts'

/** What judges and people say of a pair, with the strong model as a; undefined where people labelled too little. */
export function judgedPair(
  { judged = [], labelled }: Pick<Dataset, 'judged' | 'labelled'>,
  { strong, weak }: { readonly strong: string; readonly weak: string },
): JudgedPair | undefined {
  // the user chose whose votes count
  if (labelled?.judge !== undefined || labelled?.margin !== undefined) return undefined
  const found = judged.find(
    ({ a, b }) => (a === strong && b === weak) || (a === weak && b === strong),
  )
  if (!found || found.human.filter((one) => one !== null).length < LEAST_HUMAN_LABELS) {
    return undefined
  }
  if (found.a === strong) return found
  return {
    ...found,
    a: strong,
    b: weak,
    judged: found.judged.map((one) => 1 - one),
    human: found.human.map((one) => (one === null ? null : 1 - one)),
  }
}

export interface CorrectedPrompts extends CorrectedRows {
  /** how much each prompt counts, as it was drawn; 1 on average */
  readonly weights: Float64Array
}

/**
 * The judge's labels of some prompts, corrected by people's on the same prompts; the line of the correction is fitted on the
 * labels of all others.
 *
 * @param prompts indices into the dataset's prompts
 * @returns the number of labels on these prompts where it is too small, or a judge's label is missing
 */
export function correctedPrompts(
  pair: JudgedPair,
  prompts: Int32Array,
): CorrectedPrompts | { readonly values?: never; readonly labels: number } {
  const place = new Map(pair.prompt.map((prompt, i) => [prompt, i]))
  const own = Array.from(prompts, (prompt) => place.get(prompt)).filter((i) => i !== undefined)
  const number = (value: number | null): number => value ?? Number.NaN
  const human = own.map((i) => number(pair.human[i]!))
  const labels = human.filter((value) => !Number.isNaN(value)).length
  if (own.length < prompts.length || labels < LEAST_HUMAN_LABELS) return { labels }
  const taken = new Set(own)
  const others = [...pair.prompt.keys()].filter((i) => !taken.has(i))
  const line = correctJudge({
    judged: others.map((i) => pair.judged[i]!),
    human: others.map((i) => number(pair.human[i]!)),
  }) ?? { intercept: 0, slope: 1 }
  const drawn = own.map((i) => pair.weight[i]!)
  const mean = drawn.reduce((sum, one) => sum + one, 0) / drawn.length
  return {
    ...correctRows({ judged: own.map((i) => pair.judged[i]!), human }, line),
    weights: Float64Array.from(drawn, (one) => one / mean),
  }
}
