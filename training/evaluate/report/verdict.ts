import type { PartialInterval } from '../../../core/stats/intervals.ts'
import { Z_95 } from '../../../core/stats/normal.ts'
import { detectableDifference } from '../../../core/stats/significance.ts'
import type { Difference } from '../bootstrap/difference.ts'

/** The conclusion from a router's figures, in words. `works` is null if they allow none. */
export interface Verdict {
  readonly works: boolean | null
  readonly words: string
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
  versusCategory?: Difference,
): Verdict {
  if (apgr.value === null || versusLength.value === null) {
    return {
      works: null,
      words: `cannot be judged: on these ${count(rows)} prompts ${gapInWords(gap)}`,
    }
  }
  const beatsRandom = (apgr.low ?? Number.NEGATIVE_INFINITY) > 0.5
  if ((versusLength.low ?? Number.NEGATIVE_INFINITY) > 0) {
    const beats = `beats prompt length by ${spread(versusLength)}`
    if (beatsRandom) return { works: true, words: `${beats}${butCategory(versusCategory)}` }
    return {
      works: false,
      words: `${beats}, but is not distinguishable from random: APGR ${spread(apgr)}, random is .5`,
    }
  }
  if ((apgr.high ?? Number.POSITIVE_INFINITY) < 0.5) {
    return { works: false, words: `is worse than random: APGR ${spread(apgr)}, random is .5` }
  }
  if ((versusLength.high ?? Number.POSITIVE_INFINITY) < 0) {
    const size = spread({
      value: -versusLength.value,
      low: negated(versusLength.high),
      high: negated(versusLength.low),
    })
    return { works: false, words: `is worse than prompt length by ${size}` }
  }
  const words = beatsRandom
    ? `not distinguishable from prompt length: the difference is ${spread(versusLength)}; ${power(rows, versusLength)}`
    : `not distinguishable from random: APGR ${spread(apgr)}, random is .5; ${power(rows, aboveRandom(apgr))}`
  return { works: false, words }
}

/** Why there is no gap to recover, in words. */
export function gapInWords(gap: PartialInterval): string {
  const size = `strong minus weak is ${spread(gap)}`
  return gap.high !== null && gap.high < 0
    ? `${size}: the strong model is the worse one, so there is no gap to recover`
    : `${size}, not clear of 0, so there is no gap to recover`
}

/** In a log of mixed tasks, knowing the task alone can explain most of the gain. */
function butCategory(difference: Difference | undefined): string {
  if (!difference || difference.value === null || (difference.low ?? 0) > 0) return ''
  return `, but does not clear the category prior: ${spread(difference)}`
}

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
