import { WeirError } from '../../models/errors.ts'
import type { OnProgress } from '../../models/progress.ts'
import { type Baseline, baselinesOf } from './baselines.ts'
import type { ReferenceRows } from './category-prior.ts'
import { curvePoints } from './curve-points.ts'
import { compareAll, differenceOf } from './difference.ts'
import type { Interval } from './interval.ts'
import { type EvaluationLabels, gainsOf, mean } from './labels.ts'
import { type MeasuredRouter, measureRouters } from './measure-routers.ts'
import { worstMisses } from './misses.ts'
import { operatingPoint } from './operating-point.ts'
import { reliabilityOf } from './reliability.ts'
import type { BaselineReport, EvaluationReport, LatencyReport, RouterReport } from './report.ts'
import { meanInterval } from './sample-mean.ts'
import type { Spend } from './sample-sums.ts'
import { type Grouping, sliceReports, textGroupings } from './slices.ts'
import { straightBaselines } from './straight-baselines.ts'
import { verdictOf } from './verdict.ts'

/** A router's win rates of the evaluated prompts, in their order. */
export interface ScoredRouter {
  readonly name: string
  readonly winRate: ArrayLike<number>
  readonly threshold?: { readonly value: number; readonly source: 'default' | 'calibrated' }
  readonly latency?: LatencyReport | undefined
}

export interface EvaluationInput {
  readonly routers: readonly ScoredRouter[]
  readonly prompts: readonly string[]
  readonly labels: EvaluationLabels
  readonly categories?: readonly (string | undefined)[] | undefined
  /** more ways to slice, such as source and time */
  readonly groupings?: readonly Grouping[] | undefined
  readonly pair?: { readonly strong: string; readonly weak: string } | undefined
  /** US dollars of each prompt by either model, and whether they were logged or estimated */
  readonly spend?: (Spend & { readonly origin: 'logged' | 'estimated' }) | undefined
  /** labelled rows that the category prior and kNN baselines learn from; without them, out of fold */
  readonly reference?: ReferenceRows | undefined
  readonly seed: number
  /** bootstrap replicates; 1,000, or 200 past 200,000 prompts */
  readonly replicates?: number | undefined
  /** leave out the kNN baseline past this many prompts (30,000) */
  readonly neighbourLimit?: number | undefined
  /** adds slices, worst misses and what charts need to the report */
  readonly details?: boolean | undefined
  readonly warnings?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Fewer prompts than this say nothing. */
export const MIN_EVALUATION_ROWS = 20

/** Every router and baseline on the same prompts and the same bootstrap draws. */
export async function evaluateRouters(input: EvaluationInput): Promise<EvaluationReport> {
  const rows = input.prompts.length
  if (rows < MIN_EVALUATION_ROWS) {
    throw new WeirError('rows_too_few', {
      expected: MIN_EVALUATION_ROWS,
      what: 'to evaluate on',
      got: rows,
    })
  }
  const gain = gainsOf(input.labels, rows)
  const gap = meanInterval(gain)
  const clear = gap.low! > 0
  const { y, strong, weak } = input.labels
  const baselines = baselinesOf({ ...input, y, gain })
  const replicates = input.replicates ?? (rows > 200_000 ? 200 : 1_000)
  const scored = input.routers.map(({ name, winRate }) => scoresOf(name, winRate, rows))
  const measured = await measureRouters([...scored, ...baselines], {
    ...input,
    gain,
    weak,
    clear,
    replicates,
    bands: input.details ?? false,
  })
  const routers = measured.slice(0, scored.length)
  const free = measured.slice(scored.length)
  const quality = {
    strong: strong ? mean(strong) : null,
    weak: weak ? mean(weak) : null,
    gap,
    clear,
  }
  return {
    rows,
    pair: input.pair ?? null,
    labels: strong ? 'outcomes' : 'preferences',
    costs: input.spend?.origin ?? null,
    seed: input.seed,
    replicates,
    quality,
    warnings: [...(input.warnings ?? []), ...(clear ? [] : [unclear(gap)])],
    routers: routerReports(input, routers, free, gain, gap),
    baselines: {
      ...straightBaselines({ gain, weakQuality: quality.weak, clear }),
      ...baselineReports(free, baselines),
    },
    comparisons: compareAll(routers),
  }
}

function routerReports(
  input: EvaluationInput,
  routers: readonly MeasuredRouter[],
  free: readonly MeasuredRouter[],
  gain: Float64Array,
  gap: Interval,
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
      category && versus(category),
    )
    return {
      name: router.name,
      ...router.report,
      works: verdict.works,
      verdict: verdict.words,
      versus: Object.fromEntries(free.map((baseline) => [baseline.name, versus(baseline)])),
      ...(threshold && atThreshold(input, router, threshold, gain, gap.low! > 0)),
      ...(withinUnit(router.scores) && {
        reliability: reliabilityOf(router.scores, input.labels.y),
      }),
      ...(latency && { latency }),
      ...(input.details &&
        threshold && {
          slices: sliceReports(router.scores, threshold.value, gain, groupings),
          worst_misses: worstMisses(
            router.scores,
            threshold.value,
            gain,
            input.prompts,
            input.categories,
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

function atThreshold(
  { labels, spend }: EvaluationInput,
  { scores }: MeasuredRouter,
  threshold: NonNullable<ScoredRouter['threshold']>,
  gain: Float64Array,
  clear: boolean,
): Pick<RouterReport, 'operating'> {
  const { weak } = labels
  return { operating: operatingPoint({ winRate: scores, threshold, gain, weak, spend, clear }) }
}

function groupingsOf({ prompts, categories, groupings }: EvaluationInput): Grouping[] {
  return [
    ...(categories ? [{ by: 'category', names: categories }] : []),
    ...textGroupings(prompts),
    ...(groupings ?? []),
  ]
}

function baselineReports(
  free: readonly MeasuredRouter[],
  baselines: readonly Baseline[],
): Record<string, BaselineReport> {
  return Object.fromEntries(
    free.map(({ name, report, band }, i) => {
      const { note } = baselines[i]!
      return [name, { ...report, ...(note && { note }), ...(band && { chart: { band } }) }]
    }),
  )
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

/** Scores that are win rates: others, such as lengths, can't be taken at their word. */
function withinUnit(scores: ArrayLike<number>): boolean {
  for (let i = 0; i < scores.length; i++) if (!(scores[i]! >= 0 && scores[i]! <= 1)) return false
  return true
}

const unclear = (gap: Interval): string =>
  `strong minus weak is ${gap.value!.toFixed(3)} [${gap.low!.toFixed(3)}, ${gap.high!.toFixed(3)}], not clear of 0: PGR, APGR and CPT are undefined on these prompts`

function scoresOf(
  name: string,
  winRate: ArrayLike<number>,
  rows: number,
): { name: string; scores: ArrayLike<number> } {
  if (winRate.length === rows) return { name, scores: winRate }
  throw new WeirError('evaluation_invalid', {
    expected: `${rows} win rates of ${name}, one a prompt`,
    got: winRate.length,
  })
}
