import { type PartialInterval, sideOf } from '../../../core/stats/intervals.ts'
import type { ErrorFloor } from '../../ope/error-floor.ts'
import { overturningGamma, type SingleRows } from '../../ope/sensitivity.ts'
import { differenceOf, sharesBelow } from '../bootstrap/difference.ts'
import type { MeasuredRouter } from '../bootstrap/measure-routers.ts'
import type { Grouping } from '../log/prompt-origins.ts'
import type { ScoredRouter } from '../log/scored-log.ts'
import { curvePoints } from '../metrics/curve-points.ts'
import { operatingPoint } from '../metrics/operating-point.ts'
import { reliabilityOf } from '../metrics/reliability.ts'
import { lateness } from '../metrics/score-order.ts'
import type { EvaluationInput } from './evaluation-input.ts'
import { worstMisses } from './misses.ts'
import type { RouterReport } from './report.ts'
import { sliceReports, textGroupings } from './slices.ts'
import { verdictOf } from './verdict.ts'

/** The report of each router, beyond its curve. `free` are the baselines, measured in the same way. */
export function routerReports(
  input: EvaluationInput & { readonly floor?: ErrorFloor | undefined },
  routers: readonly MeasuredRouter[],
  free: readonly MeasuredRouter[],
  gain: Float64Array,
  gap: PartialInterval,
): RouterReport[] {
  const length = free.find((baseline) => baseline.name === 'prompt_length')!
  const groupings = input.details ? groupingsOf(input) : []
  return routers.map((router, i) => {
    const { threshold, latency } = input.routers[i]!
    const versus = (other: MeasuredRouter) => differenceOf(router, other)
    const category = free.find((baseline) => baseline.name === 'category_prior')
    const verdict = verdictOf(
      gain.length,
      gap,
      router.report.apgr,
      versus(length),
      category && { difference: versus(category), below: sharesBelow(router, category) },
    )
    return {
      name: router.name,
      ...router.report,
      works: verdict.works,
      unreserved: verdict.works === true && verdict.reservations.length === 0,
      verdict: verdict.words,
      versus: Object.fromEntries(free.map((baseline) => [baseline.name, versus(baseline)])),
      ...(input.singles && {
        sensitivity: sensitivityOf(input.singles.rows, gain, router, length, input.floor),
      }),
      ...(threshold && atThreshold(input, router, threshold, gain, sideOf(gap) === 'above')),
      ...(withinUnit(router.scores) && {
        reliability: reliabilityOf(
          router.scores,
          input.labels.y,
          input.labels.estimated?.includes(1),
        ),
      }),
      ...(latency && { latency }),
      ...(input.details &&
        threshold && {
          slices: sliceReports(
            router.scores,
            threshold.value,
            gain,
            groupings,
            input.singles?.rows,
          ),
          worst_misses: worstMisses(
            router.scores,
            threshold.value,
            gain,
            input.prompts,
            input.categories,
            input.labels.estimated,
          ),
        }),
      ...(router.band && {
        chart: {
          points: curvePoints(router.scores, router.order, gain, input.spend, threshold?.value),
          band: router.band,
          histogram: histogram(router.scores),
        },
      }),
    }
  })
}

/**
 * APGR's distance from random, and from prompt length, as means over prompts of the gain times a weight: a
 * prompt at place k of n adds its gain at the last 1 - (k - 1/2) / n of the strong shares.
 */
function sensitivityOf(
  rows: SingleRows,
  gain: Float64Array,
  router: MeasuredRouter,
  length: MeasuredRouter,
  floor: ErrorFloor | undefined,
): NonNullable<RouterReport['sensitivity']> {
  const own = lateness(router.order)
  const other = lateness(length.order)
  return {
    random: overturningGamma(rows, gain, (i) => own[i]! - 0.5, floor),
    prompt_length: overturningGamma(rows, gain, (i) => own[i]! - other[i]!, floor),
  }
}

function atThreshold(
  { labels, spend, floor }: EvaluationInput & { readonly floor?: ErrorFloor | undefined },
  { scores }: MeasuredRouter,
  threshold: NonNullable<ScoredRouter['threshold']>,
  gain: Float64Array,
  clear: boolean,
): Pick<RouterReport, 'operating'> {
  const { weak } = labels
  return {
    operating: operatingPoint({ winRate: scores, threshold, gain, weak, spend, clear, floor }),
  }
}

function groupingsOf({ prompts, categories, groupings }: EvaluationInput): Grouping[] {
  return [
    ...(categories ? [{ by: 'category', names: categories }] : []),
    ...textGroupings(prompts),
    ...(groupings ?? []),
  ]
}

const HISTOGRAM_BINS = 40

function histogram(scores: ArrayLike<number>): number[] {
  const bins = new Array<number>(HISTOGRAM_BINS).fill(0)
  for (let i = 0; i < scores.length; i++) {
    const bin = Math.floor(scores[i]! * HISTOGRAM_BINS)
    bins[Math.min(HISTOGRAM_BINS - 1, Math.max(0, bin))]! += 1
  }
  return bins
}

/** Whether all scores are in [0, 1]: others, such as lengths, are not win rates and have no calibration. */
function withinUnit(scores: ArrayLike<number>): boolean {
  for (let i = 0; i < scores.length; i++) if (!(scores[i]! >= 0 && scores[i]! <= 1)) return false
  return true
}
