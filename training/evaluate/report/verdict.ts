import { type PartialInterval, sideOf } from '../../../core/stats/intervals.ts'
import { Z_95 } from '../../../core/stats/normal.ts'
import { detectableDifference } from '../../../core/stats/significance.ts'
import type { Difference } from '../bootstrap/difference.ts'
import type { EvaluationReport, RouterReport } from './report.ts'

/** The conclusion from a router's figures, in words. `works` is null if they allow none. */
export interface Verdict {
  readonly works: boolean | null
  /** what the words hold against a router that works; empty if nothing */
  readonly reservations: readonly string[]
  readonly words: string
}

/** A baseline that knows each prompt's category, and where the router's curve lies below it. */
export interface VersusCategory {
  readonly difference: Difference
  /** of the prompts going strong, shares in [0, 1]; absent if nowhere */
  readonly below?: { readonly from: number; readonly to: number } | undefined
}

/** Differences smaller than this are not worth collecting more data for. */
const WORTH_FINDING = 0.02

/**
 * A router works if it beats prompt length and random, each with its interval: both cost nothing, so anything
 * less is not worth running.
 */
export function verdictOf(
  rows: number,
  gap: PartialInterval,
  apgr: PartialInterval,
  versusLength: Difference,
  versusCategory?: VersusCategory,
): Verdict {
  if (apgr.value === null || versusLength.value === null) {
    return {
      works: null,
      reservations: [],
      words: `cannot be judged: on these ${count(rows)} prompts ${gapInWords(gap)}`,
    }
  }
  const random = sideOf(apgr, 0.5)
  const length = sideOf(versusLength)
  const fails = (words: string): Verdict => ({ works: false, reservations: [], words })
  if (length === 'above') {
    const beats = `beats prompt length by ${spread(versusLength)}`
    if (random !== 'above') {
      const found = `APGR ${spread(apgr)}, random is .5`
      return fails(`${beats}, but is not distinguishable from random: ${found}`)
    }
    const reservations = versusCategory ? againstCategory(versusCategory) : []
    return { works: true, reservations, words: [beats, ...reservations].join(', but ') }
  }
  if (random === 'below') return fails(`is worse than random: APGR ${spread(apgr)}, random is .5`)
  if (length === 'below') {
    const size = spread({
      value: -versusLength.value,
      low: negated(versusLength.high),
      high: negated(versusLength.low),
    })
    return fails(`is worse than prompt length by ${size}`)
  }
  return fails(
    random === 'above'
      ? `not distinguishable from prompt length: the difference is ${spread(versusLength)}; ${power(rows, versusLength)}`
      : `not distinguishable from random: APGR ${spread(apgr)}, random is .5; ${power(rows, aboveRandom(apgr))}`,
  )
}

/** Why there is no gap to recover, in words. */
export function gapInWords(gap: PartialInterval): string {
  const size = `strong minus weak is ${spread(gap)}`
  return sideOf(gap) === 'below'
    ? `${size}: the strong model is the worse one, so there is no gap to recover`
    : `${size}, not clear of 0, so there is no gap to recover`
}

/** In a log of mixed tasks, knowing the task alone can explain most of the gain, on the whole or at some shares. */
function againstCategory({ difference, below }: VersusCategory): string[] {
  if (difference.value === null) return []
  const said = {
    above: [],
    open: [`does not clear the category prior: ${spread(difference)}`],
    below: [`is worse than the category prior: ${spread(difference)}`],
  }[sideOf(difference)]
  if (!below) return said
  const shares =
    below.from === below.to ? percent(below.from) : `${percent(below.from)} to ${percent(below.to)}`
  return [...said, `lies below the category prior where ${shares} of the prompts go strong`]
}

const percent = (share: number): string => `${Math.round(100 * share)}%`

function aboveRandom({
  value,
  low,
  high,
}: PartialInterval): Pick<Difference, 'value' | 'detectable'> {
  const error = low === null || high === null ? Number.NaN : (high - low) / (2 * Z_95)
  return { value: value! - 0.5, detectable: detectableDifference(error) }
}

function power(rows: number, difference: Pick<Difference, 'value' | 'detectable'>): string {
  const detectable = difference.detectable ?? Number.NaN
  if (!(detectable > 0)) return `${count(rows)} prompts show no difference at all`
  const target = Math.max(Math.abs(difference.value!), WORTH_FINDING)
  const needed = rows * (detectable / target) ** 2
  const can = `${count(rows)} prompts can't show a difference under ${decimal(detectable)}`
  if (needed <= rows) return can
  return `${can}; about ${count(roundUp(needed))} would show one of ${decimal(target)}`
}

const negated = (value: number | null): number | null => (value === null ? null : -value)

/** Rounds up to two significant digits: 4,312 becomes 4,400. */
function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1)
  return Math.ceil(value / unit) * unit
}

/** What the labels of a report are made of, in words; nothing if all prompts are of one kind. */
export function evidenceInWords({ evidence, observational }: EvidenceReport): string[] {
  const { paired, single, votes } = evidence
  if (single === 0 && (votes === 0 || paired === 0)) return []
  const kinds = [
    [paired, 'with both models’ scores'],
    [single, 'with one model’s score, the other’s estimated'],
    [votes, 'with votes only'],
  ] as const
  const parts = kinds.filter(([rows]) => rows > 0).map(([rows, what]) => `${count(rows)} ${what}`)
  if (!observational) return [`of these, ${parts.join(', ')}`]
  const { propensities, propensity_auc, effective, least_propensity } = observational
  return [
    `of these, ${parts.join(', ')}`,
    `overlap: who was asked can be told from the prompt with AUC ${decimal(propensity_auc)} (propensities ${propensities}, least ${decimal(least_propensity)}); these prompts are worth ${count(Math.floor(effective.strong))} answers of the strong model and ${count(Math.floor(effective.weak))} of the weak one`,
  ]
}

/** How strong a hidden cause would have to be to overturn what a report says of its routers. */
export function sensitivityInWords({ observational, routers }: SensitivityReport): string[] {
  if (!observational) return []
  const strength = (gamma: number): string => `${gamma >= 50 ? 'over 50' : decimal(gamma)}-fold`
  const line = (claim: string, gamma: number | null | undefined): string[] =>
    gamma === null || gamma === undefined
      ? []
      : [
          `sensitivity: "${claim}" stands unless something outside the log changed the odds of who was asked${observational.response ? ' and whose answer was rated' : ''} ${strength(gamma)}`,
        ]
  return [
    ...line('strong is better than weak', observational.gap_gamma),
    ...routers.flatMap(({ name, sensitivity }) => [
      ...line(`${name} beats random`, sensitivity?.random),
      ...line(`${name} beats prompt length`, sensitivity?.prompt_length),
    ]),
  ]
}

type EvidenceReport = Pick<EvaluationReport, 'evidence' | 'observational'>
type SensitivityReport = Pick<EvaluationReport, 'observational'> & {
  readonly routers: readonly Pick<RouterReport, 'name' | 'sensitivity'>[]
}

export const count = (value: number): string => value.toLocaleString('en-US')

/** Three decimals at most, without the leading zero: .04, -.013, 1.28. */
export function decimal(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '?'
  const digits = Math.abs(value) < 0.0995 ? 3 : 2
  return value
    .toFixed(digits)
    .replace(/^(-?)0\./, '$1.')
    .replace(/^-\.0+$/, '.00')
}

export const spread = ({ value, low, high }: PartialInterval): string =>
  `${decimal(value)} [${decimal(low)}, ${decimal(high)}]`
