import { type Side, sideOf } from '../../core/stats/intervals.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import type { PairOptions } from '../dataset/dataset.ts'
import { type Dataset, SPLITS, type Split } from '../dataset/dataset.ts'
import { pairLabels } from '../pair.ts'

/** The possible gain from routing between two models, computed from a dataset's labels alone. */
export interface PairGain {
  readonly strong: string
  readonly weak: string
  /** prompts with both models observed */
  readonly prompts: number
  readonly by_split: Readonly<Record<Split, number>>
  /**
   * fractions of the prompts on which the strong model was better, equal, and worse; null if one model answered
   * some of them, because that shows only their mean
   */
  readonly strong_better: number | null
  readonly equal: number | null
  readonly weak_better: number | null
  /** mean of s - w with its 95% interval: the gain from sending everything to the strong model */
  readonly gain: { readonly value: number; readonly low: number; readonly high: number }
  /**
   * the gain of a router that knows every label, and the fraction it would send to the strong model; null if one
   * model answered some of the prompts
   */
  readonly oracle: {
    readonly gain: number
    readonly strong_share: number
    readonly apgr: number | null
  } | null
  /** half the 95% interval of APGR for a random router, on the test split and on all prompts */
  readonly chance: { readonly test: number | null; readonly all: number | null }
  /**
   * held-out prompts needed to distinguish an APGR of 0.55 from chance; null if the gain's interval includes
   * 0
   */
  readonly needed: number | null
  readonly verdict: string
}

/** @throws any error of `pairLabels` */
export function pairGain(
  dataset: Dataset,
  strong: string,
  weak: string,
  options: PairOptions = {},
): PairGain {
  const labels = pairLabels(dataset, strong, weak, options)
  const gains = Float64Array.from(labels.label, (y) => 2 * y - 1).sort()
  const n = gains.length
  const bySplit = [0, 0, 0, 0]
  for (const prompt of labels.prompt) bySplit[dataset.split[prompt]!]!++
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / n
  const deviation = Math.sqrt(gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0) / n)
  const margin = (Z_95 * deviation) / Math.sqrt(n)
  const side = sideOf({ low: mean - margin, high: mean + margin })
  const clear = side !== 'open'
  const chance = (rows: number): number | null =>
    clear && rows > 0 ? apgrMargin(deviation, mean, rows) : null
  const better = gains.filter((gain) => gain > 0)
  const worse = gains.filter((gain) => gain < 0).length
  const needed = clear ? Math.ceil((apgrMargin(deviation, mean, 1) / 0.05) ** 2) : null
  const test = bySplit[SPLITS.indexOf('test')]!
  const known = labels.estimated === undefined
  return {
    strong,
    weak,
    prompts: n,
    by_split: Object.fromEntries(
      SPLITS.map((split, i) => [split, bySplit[i]!]),
    ) as PairGain['by_split'],
    strong_better: known ? better.length / n : null,
    equal: known ? (n - better.length - worse) / n : null,
    weak_better: known ? worse / n : null,
    gain: { value: mean, low: mean - margin, high: mean + margin },
    oracle: known
      ? {
          gain: better.reduce((sum, gain) => sum + gain, 0) / n,
          strong_share: better.length / n,
          apgr: clear ? oracleApgr(gains, mean) : null,
        }
      : null,
    chance: { test: chance(test), all: chance(n) },
    needed,
    verdict: verdict(side, needed, { test, judged: n, all: dataset.prompts.length }),
  }
}

/**
 * Half a 95% interval of the APGR of a random order: the area under the curve is the mean of gain times rank,
 * and a rank in [0, 1] has variance 1/12.
 */
function apgrMargin(deviation: number, mean: number, rows: number): number {
  return (Z_95 * deviation) / Math.sqrt(12 * rows) / Math.abs(mean)
}

/** APGR of ordering by the gains themselves, best first (trapezoids over n steps). Gains are ascending. */
function oracleApgr(gains: Float64Array, mean: number): number {
  const n = gains.length
  let reached = 0
  let area = 0
  for (let i = n - 1; i >= 0; i--) {
    area += reached + gains[i]! / 2
    reached += gains[i]!
  }
  return area / n / (mean * n)
}

function verdict(
  side: Side,
  needed: number | null,
  prompts: { readonly test: number; readonly judged: number; readonly all: number },
): string {
  if (side === 'open') {
    const [judged, all] = [prompts.judged, prompts.all].map((n) => n.toLocaleString('en-US'))
    const of = judged === all ? `${all} prompts` : `${judged} of ${all} prompts`
    return `which model is better on average is open: ${of} judge both, and their interval holds 0, so PGR is undefined`
  }
  if (side === 'below')
    return 'the model named weak is better on average: the pair may be the wrong way round'
  if (needed !== null && prompts.test < needed) {
    return `too few held-out prompts to tell an APGR of .55 from chance: ${needed} would`
  }
  return 'there are enough held-out prompts to tell an APGR of .55 from chance'
}
