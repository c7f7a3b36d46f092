import type { OnProgress } from '../../../core/progress.ts'
import {
  type PartialInterval,
  percentileInterval,
  UNDEFINED_INTERVAL,
} from '../../../core/stats/intervals.ts'
import { apgrRouteLlm } from '../metrics/curve.ts'
import {
  byLevel,
  type CptReport,
  emptyPass,
  layOut,
  measurePass,
  type PassResult,
  type Spend,
  sampleSums,
} from '../metrics/curve-pass.ts'
import { type CurveBand, GRID_STEPS, gainOnGrid } from '../metrics/curve-points.ts'
import { type ScoreOrder, sortScores } from '../metrics/score-order.ts'
import { measureSpend, type SpendPass, spendScratch } from '../metrics/spend-pass.ts'
import { bootstrapRouters, type Replicates } from './bootstrap.ts'

export interface Scored {
  readonly name: string
  readonly scores: ArrayLike<number>
}

export interface MeasureInput {
  /** n: s - w */
  readonly gain: Float64Array
  /** n: the weak model's scores */
  readonly weak?: ArrayLike<number> | undefined
  readonly spend?: Spend | undefined
  /** whether gains are estimates of single answers: figures of single prompts (AUC) are then undefined */
  readonly estimated?: boolean | undefined
  /** false if the interval of strong - weak contains 0 */
  readonly clear: boolean
  readonly bands: boolean
  readonly replicates: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Figures of the cost-quality curve of a router or a baseline. */
export interface CurveReport {
  readonly apgr: PartialInterval
  readonly apgr_routellm: number | null
  readonly cpt: CptReport
  readonly cpt_interval: Readonly<Record<keyof CptReport, PartialInterval>>
  /** AUC of the gain: probability that a prompt with s > w scores above one without */
  readonly auc: PartialInterval
  /** RouterBench's AIQ over dollars, or over strong share if dollars are not known; undefined for preferences */
  readonly aiq: PartialInterval
  /** share of all-strong's dollars saved by the cheapest threshold that has all-strong's quality */
  readonly saving_at_equal_quality: PartialInterval
}

/** A router or a baseline with all figures of its curve. */
export interface MeasuredRouter extends Scored {
  readonly order: ScoreOrder
  /** NaN if undefined */
  readonly apgr: number
  readonly replicates: Replicates
  readonly report: CurveReport
  readonly band?: CurveBand
}

/** Sorts each router's scores once, measures them, and measures them again on every draw. */
export async function measureRouters(
  scored: readonly Scored[],
  input: MeasureInput,
): Promise<MeasuredRouter[]> {
  const { gain, spend, clear } = input
  const n = gain.length
  const orders = scored.map(({ name, scores }) => sortScores(scores, name))
  const sorted = orders.map((order, i) => ({
    router: layOut(scored[i]!.name, order, gain),
    extra: spend
      ? Float64Array.from(order.order, (p) => spend.strong[p]! - spend.weak[p]!)
      : new Float64Array(n).fill(1),
  }))
  const sums = (counts: Uint8Array) => sampleSums(counts, gain, input.weak, spend)
  const draws = await bootstrapRouters({ ...input, routers: sorted, sums })
  const once = new Uint8Array(n).fill(1)
  const whole = sums(once)
  const scratch = spendScratch(n)
  return scored.map((router, i) => {
    const pass = emptyPass()
    measurePass(sorted[i]!.router, once, whole, pass)
    const spending = measureSpend(sorted[i]!, once, whole, scratch)
    const replicates = draws[i]!
    const band = input.bands
      ? { band: curveBand(sorted[i]!.router, once, clear ? whole.gain : n, replicates) }
      : {}
    const routeLlm = clear ? apgrRouteLlm(orders[i]!, router.scores, gain) : null
    return {
      ...router,
      ...band,
      order: orders[i]!,
      apgr: clear ? pass.apgr : Number.NaN,
      replicates,
      report: {
        ...curveReport(pass, replicates, input, routeLlm),
        ...spendReport(spending, replicates, input),
      },
    }
  })
}

function curveReport(
  pass: PassResult,
  replicates: Replicates,
  { clear, estimated }: Pick<MeasureInput, 'clear' | 'estimated'>,
  routeLlm: number | null,
): Omit<CurveReport, 'aiq' | 'saving_at_equal_quality'> {
  const intervals = byLevel((_, k) =>
    clear ? percentileInterval(pass.cpt[k]!, replicates.cpt[k]!) : UNDEFINED_INTERVAL,
  )
  return {
    apgr: clear ? percentileInterval(pass.apgr, replicates.apgr) : UNDEFINED_INTERVAL,
    apgr_routellm: routeLlm,
    cpt: byLevel((name) => intervals[name].value),
    cpt_interval: intervals,
    auc: estimated ? UNDEFINED_INTERVAL : percentileInterval(pass.auc, replicates.auc),
  }
}

function spendReport(
  spending: SpendPass,
  replicates: Replicates,
  { weak, spend, clear }: MeasureInput,
): { aiq: PartialInterval; saving_at_equal_quality: PartialInterval } {
  return {
    aiq: weak ? percentileInterval(spending.aiq, replicates.aiq) : UNDEFINED_INTERVAL,
    saving_at_equal_quality:
      spend && clear ? percentileInterval(spending.saving, replicates.saving) : UNDEFINED_INTERVAL,
  }
}

function curveBand(
  router: Parameters<typeof gainOnGrid>[0],
  once: Uint8Array,
  unit: number,
  replicates: Replicates,
): CurveBand {
  const curve = new Float64Array(GRID_STEPS + 1)
  gainOnGrid(router, once, once.length, unit, curve)
  const bounds = Array.from(curve, (value, step) =>
    percentileInterval(
      value,
      Float64Array.from(replicates.band, (draw) => draw[step]!),
    ),
  )
  return {
    value: [...curve],
    low: bounds.map(({ low, value }) => low ?? value!),
    high: bounds.map(({ high, value }) => high ?? value!),
  }
}
