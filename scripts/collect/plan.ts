import { expectedShrink, sequenceHalfWidth } from '../../core/stats/judged-mean.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import { CHARACTERS_PER_TOKEN, estimateCost } from '../../models/prices.ts'
import type { Asker } from '../../serving/judging/asker.ts'
import { count } from '../terminal/terminal.ts'
import type { CollectionSettings, SampleRow } from './collection.ts'
import { type JudgeSpec, pairsOf } from './run.ts'

/** Tokens of an answer, assumed before any was seen. */
const ANSWER_TOKENS = 400
/** Tokens of a judge's instructions, and of its verdict. */
const JUDGE_TOKENS = { input: 250, output: 20 } as const
/** The share of labels on which a judge is assumed to agree with people, before anything is known of it. */
const AGREEMENT = 0.85
const HUMAN_LABELS = 100

/** What a collection will take, before the first question. */
export interface Plan {
  readonly prompts: number
  readonly answers: number
  readonly judgements: number
  /** US dollars, estimated from the prompts' characters and the prices */
  readonly about_usd: number
  /** US dollars if every answer is as long as it may be and nothing is asked twice */
  readonly most_usd: number
  readonly cap_usd: number
  /** prompts that the cap pays for, estimated */
  readonly within_cap: number
  /** expected half widths of the 95% interval of the first pair's win rate */
  readonly half_width: {
    /** by the judge or the checks alone */
    readonly judged: number
    /** the same, for stopping after any batch */
    readonly any_time: number
    /** by people alone, with so many labels */
    readonly people: number
    /** corrected by people, for a judge that agrees with them on 85% of balanced labels */
    readonly corrected: number
    readonly labels: number
  }
}

/** Of the whole sample, whatever was asked of it before. */
export function planOf(
  { models, max_tokens: maxTokens }: Pick<CollectionSettings, 'models' | 'max_tokens'>,
  sample: readonly SampleRow[],
  judges: readonly JudgeSpec[],
  asker: Pick<Asker, 'models' | 'mostUsd'>,
  capUsd: number,
): Plan {
  const answerTokens = Math.min(ANSWER_TOKENS, maxTokens)
  const pairs = pairsOf(models).length
  const asksOf = ({ mode }: JudgeSpec): number => (mode === 'pairs' ? 2 * pairs : models.length)
  let about = 0
  let most = 0
  for (const row of sample) {
    const messages = row.messages
    for (const model of models) {
      const price = asker.models[model]?.price
      if (price) about += estimateCost(price, row.prompt.length, answerTokens)
      most += asker.mostUsd({ model, body: { messages, max_tokens: maxTokens } }) ?? 0
    }
    for (const judge of judges) {
      const price = asker.models[judge.model]?.price
      if (!price) continue
      const answers = judge.mode === 'pairs' ? 2 : 1
      const read = (tokens: number): number =>
        row.prompt.length + CHARACTERS_PER_TOKEN * (answers * tokens + JUDGE_TOKENS.input)
      about += asksOf(judge) * estimateCost(price, read(answerTokens), JUDGE_TOKENS.output)
      most += asksOf(judge) * estimateCost(price, read(maxTokens), judge.maxTokens)
    }
  }
  const prompts = sample.length
  const share = about > 0 ? Math.min(1, capUsd / about) : 1
  const n = Math.max(1, Math.floor(share * prompts))
  // labels of 0 and 1 that are as often one as the other: the widest case
  const deviation = 0.5
  const labels = Math.min(HUMAN_LABELS, n)
  const people = (Z_95 * deviation) / Math.sqrt(labels)
  return {
    prompts,
    answers: prompts * models.length,
    judgements: prompts * judges.reduce((sum, judge) => sum + asksOf(judge), 0),
    about_usd: about,
    most_usd: most,
    cap_usd: capUsd,
    within_cap: n,
    half_width: {
      judged: (Z_95 * deviation) / Math.sqrt(n),
      any_time: sequenceHalfWidth(deviation / Math.sqrt(n), n),
      people,
      corrected: people * expectedShrink(2 * AGREEMENT - 1, labels, n),
      labels,
    },
  }
}

const usd = (dollars: number): string =>
  `$${dollars < 1 ? dollars.toPrecision(2) : dollars.toFixed(2)}`
const plusMinus = (half: number): string => `±${half.toFixed(3).replace(/^0/, '')}`

/** The plan in words. */
export function planLines(
  plan: Plan,
  { models, sample }: Pick<CollectionSettings, 'models' | 'sample'>,
  judges: readonly JudgeSpec[],
): string[] {
  const { half_width: half } = plan
  const by =
    judges.length === 0
      ? 'no judge'
      : `judged by ${judges.map(({ model, mode }) => `${model} (${mode === 'pairs' ? 'pairs, both orders' : 'each answer'})`).join(', ')}`
  const short =
    plan.within_cap < plan.prompts
      ? `; the cap of ${usd(plan.cap_usd)} pays for about ${count(plan.within_cap)} prompts`
      : `; the cap is ${usd(plan.cap_usd)}`
  return [
    `Plan: ${count(plan.prompts)} of ${count(sample.of)} prompts (${sample.rule}), answered by ${models.join(' and ')}, ${by}`,
    `${count(plan.answers)} answers and ${count(plan.judgements)} judgements: about ${usd(plan.about_usd)}, at most ${usd(plan.most_usd)}${short}`,
    `Expected 95% interval of a win rate: ${plusMinus(half.judged)} by the judge alone, which may be biased; with ${half.labels} labels of people ${plusMinus(half.corrected)} corrected (a judge that agrees on ${AGREEMENT * 100}%), ${plusMinus(half.people)} by people alone`,
  ]
}
