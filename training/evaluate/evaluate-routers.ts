import { WeirError } from '../../models/errors.ts'
import type { OnProgress } from '../../models/progress.ts'
import { type Baseline, baselinesOf } from './baselines.ts'
import { bootstrapRouters, type Replicates } from './bootstrap.ts'
import type { ReferenceRows } from './category-prior.ts'
import { apgrRouteLlm } from './curve.ts'
import { CPT_LEVELS, emptyPass, layOut, measurePass, type PassResult } from './curve-pass.ts'
import { compareAll, differenceOf } from './difference.ts'
import { type Interval, percentileInterval, UNDEFINED_INTERVAL } from './interval.ts'
import { type EvaluationLabels, gainsOf, mean } from './labels.ts'
import { Z_95 } from './normal.ts'
import type {
  BaselineReport,
  CptReport,
  CurveReport,
  EvaluationReport,
  RouterReport,
} from './report.ts'
import { sortScores } from './score-order.ts'
import { verdictOf } from './verdict.ts'

/** A router's win rates of the evaluated prompts, in their order. */
export interface ScoredRouter {
  readonly name: string
  readonly winRate: ArrayLike<number>
}

export interface EvaluationInput {
  readonly routers: readonly ScoredRouter[]
  readonly prompts: readonly string[]
  readonly labels: EvaluationLabels
  readonly categories?: readonly (string | undefined)[] | undefined
  readonly pair?: { readonly strong: string; readonly weak: string } | undefined
  /** labelled rows that the category prior and kNN baselines learn from; without them, out of fold */
  readonly reference?: ReferenceRows | undefined
  readonly seed: number
  /** bootstrap replicates; 1,000, or 200 past 200,000 prompts */
  readonly replicates?: number | undefined
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
  const baselines = baselinesOf({
    prompts: input.prompts,
    categories: input.categories,
    y: input.labels.y,
    gain,
    seed: input.seed,
    reference: input.reference,
  })
  const measured = await measureAll(input, gain, clear, baselines)
  const routers = measured.slice(0, input.routers.length)
  const free = measured.slice(input.routers.length)
  const length = free.find((baseline) => baseline.name === 'prompt_length')!
  const { strong, weak } = input.labels
  return {
    rows,
    pair: input.pair ?? null,
    labels: strong ? 'outcomes' : 'preferences',
    seed: input.seed,
    replicates: measured[0]!.replicates.apgr.length,
    quality: {
      strong: strong ? mean(strong) : null,
      weak: weak ? mean(weak) : null,
      gap,
      clear,
    },
    warnings: [...(input.warnings ?? []), ...(clear ? [] : [unclear(gap)])],
    routers: routers.map((router): RouterReport => {
      const verdict = verdictOf(rows, gap, router.report.apgr, differenceOf(router, length))
      return {
        name: router.name,
        ...router.report,
        works: verdict.works,
        verdict: verdict.words,
        versus: Object.fromEntries(
          free.map((baseline) => [baseline.name, differenceOf(router, baseline)]),
        ),
      }
    }),
    baselines: baselineReports(free, baselines, gain, clear),
    comparisons: compareAll(routers),
  }
}

interface MeasuredRouter {
  readonly name: string
  /** NaN where undefined */
  readonly apgr: number
  readonly replicates: Replicates
  readonly report: CurveReport
}

async function measureAll(
  input: EvaluationInput,
  gain: Float64Array,
  clear: boolean,
  baselines: readonly Baseline[],
): Promise<MeasuredRouter[]> {
  const rows = gain.length
  const scored = [
    ...input.routers.map(({ name, winRate }) => ({ name, scores: checked(name, winRate, rows) })),
    ...baselines,
  ].map(({ name, scores }) => ({ name, scores, order: sortScores(scores, name) }))
  const sorted = scored.map(({ name, order }) => layOut(name, order, gain))
  const draws = await bootstrapRouters(sorted, {
    replicates: input.replicates ?? (rows > 200_000 ? 200 : 1_000),
    seed: input.seed,
    signal: input.signal,
    onProgress: input.onProgress,
  })
  const once = new Uint8Array(rows).fill(1)
  return scored.map(({ name, scores, order }, i) => {
    const pass = emptyPass()
    measurePass(sorted[i]!, once, pass)
    const replicates = draws[i]!
    return {
      name,
      apgr: clear ? pass.apgr : Number.NaN,
      replicates,
      report: curveReport(
        pass,
        replicates,
        clear,
        clear ? apgrRouteLlm(order, scores, gain) : null,
      ),
    }
  })
}

function curveReport(
  pass: PassResult,
  replicates: Replicates,
  clear: boolean,
  routeLlm: number | null,
): CurveReport {
  const cpt = CPT_LEVELS.map((level, k) => ({
    name: String(Math.round(level * 100)) as keyof CptReport,
    interval: clear ? percentileInterval(pass.cpt[k]!, replicates.cpt[k]!) : UNDEFINED_INTERVAL,
  }))
  return {
    apgr: clear ? percentileInterval(pass.apgr, replicates.apgr) : UNDEFINED_INTERVAL,
    apgr_routellm: routeLlm,
    cpt: Object.fromEntries(cpt.map(({ name, interval }) => [name, interval.value])) as Record<
      keyof CptReport,
      number | null
    >,
    cpt_interval: Object.fromEntries(cpt.map(({ name, interval }) => [name, interval])) as Record<
      keyof CptReport,
      Interval
    >,
    auc: percentileInterval(pass.auc, replicates.auc),
  }
}

function baselineReports(
  free: readonly MeasuredRouter[],
  baselines: readonly Baseline[],
  gain: Float64Array,
  clear: boolean,
): Record<string, BaselineReport> {
  const straight: BaselineReport = straightLine(clear)
  const reports: Record<string, BaselineReport> = {
    random: {
      ...straight,
      apgr: clear ? randomInterval(gain) : UNDEFINED_INTERVAL,
      note: 'exact; the interval is where a router that knows nothing lands on these prompts',
    },
    always_strong: { ...straight, note: 'one score for all: a straight line' },
    always_weak: { ...straight, note: 'one score for all: a straight line' },
  }
  free.forEach(({ name, report }, i) => {
    const { note } = baselines[i]!
    reports[name] = note ? { ...report, note } : report
  })
  return reports
}

/** A router that gives every prompt one score, or picks at random on average: PGR = strong share. */
function straightLine(clear: boolean): CurveReport {
  const exact = (value: number): Interval =>
    clear ? { value, low: value, high: value } : UNDEFINED_INTERVAL
  const levels = CPT_LEVELS.map((level) => [String(Math.round(level * 100)), level] as const)
  return {
    apgr: exact(0.5),
    apgr_routellm: clear ? 0.5 : null,
    cpt: Object.fromEntries(levels.map(([name, level]) => [name, clear ? level : null])) as Record<
      keyof CptReport,
      number | null
    >,
    cpt_interval: Object.fromEntries(levels.map(([name, level]) => [name, exact(level)])) as Record<
      keyof CptReport,
      Interval
    >,
    auc: { value: 0.5, low: 0.5, high: 0.5 },
  }
}

/** APGR of random scores is sum(g u) / sum(g) with u uniform: mean 1/2, variance sum((g - mean)^2) / 12 / sum(g)^2. */
function randomInterval(gain: Float64Array): Interval {
  const average = mean(gain)
  let squares = 0
  for (const g of gain) squares += (g - average) ** 2
  const half = (Z_95 * Math.sqrt(squares / 12)) / (average * gain.length)
  return { value: 0.5, low: 0.5 - half, high: 0.5 + half }
}

/** A mean with its normal 95% interval. */
function meanInterval(values: Float64Array): Interval {
  const value = mean(values)
  let squares = 0
  for (const x of values) squares += (x - value) ** 2
  const half = Z_95 * Math.sqrt(squares / (values.length - 1) / values.length)
  return { value, low: value - half, high: value + half }
}

const unclear = (gap: Interval): string =>
  `strong minus weak is ${gap.value!.toFixed(3)} [${gap.low!.toFixed(3)}, ${gap.high!.toFixed(3)}], not clear of 0: PGR, APGR and CPT are undefined on these prompts`

function checked(name: string, winRate: ArrayLike<number>, rows: number): ArrayLike<number> {
  if (winRate.length === rows) return winRate
  throw new WeirError('evaluation_invalid', {
    expected: `${rows} win rates of ${name}, one a prompt`,
    got: winRate.length,
  })
}
