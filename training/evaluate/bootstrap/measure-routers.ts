import type { OnProgress } from '../../../core/progress.ts'
import {
  type PartialInterval,
  percentileInterval,
  UNDEFINED_INTERVAL,
} from '../../../core/stats/intervals.ts'
import { type ErrorFloor, widened } from '../../ope/error-floor.ts'
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
import { lateness, type ScoreOrder, sortScores } from '../metrics/score-order.ts'
import { measureSpend, type SpendPass, spendScratch } from '../metrics/spend-pass.ts'
import { bootstrapRouters, type Replicates } from './bootstrap.ts'
import type { Floored } from './difference.ts'

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
  /** the least error of means of such estimates, which widens every interval */
  readonly floor?: ErrorFloor | undefined
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
  /** what differences between routers are widened by, where gains are estimates */
  readonly floored?: Floored | undefined
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
    const late = input.floor && lateness(orders[i]!)
    const band = input.bands
      ? {
          band: curveBand(sorted[i]!.router, once, clear ? whole.gain : n, replicates, late, input),
        }
      : {}
    const mean = whole.gain / n
    const floored =
      input.floor && late && clear
        ? { floor: input.floor, coefficients: late.map((x) => (x - pass.apgr) / mean) }
        : undefined
    const widen = widening(percentileInterval(pass.apgr, replicates.apgr), floored, input.floor)
    const routeLlm = clear ? apgrRouteLlm(orders[i]!, router.scores, gain) : null
    return {
      ...router,
      ...band,
      order: orders[i]!,
      apgr: clear ? pass.apgr : Number.NaN,
      replicates,
      floored,
      report: {
        ...curveReport(pass, replicates, input, routeLlm, widen),
        ...spendReport(spending, replicates, input, widen),
      },
    }
  })
}

type Widen = (interval: PartialInterval) => PartialInterval

/** Intervals of figures of the curve become wider as much as the APGR's does. */
function widening(
  apgr: PartialInterval,
  floored: Floored | undefined,
  floor: ErrorFloor | undefined,
): Widen {
  if (!floor) return (interval) => interval
  const wide = floored?.floor.widen(apgr, (i) => floored.coefficients[i]!)
  const factor =
    wide && apgr.high! > apgr.low!
      ? (wide.high! - wide.low!) / (apgr.high! - apgr.low!)
      : floor.stretch
  return (interval) => widened(interval, 0, factor)
}

function curveReport(
  pass: PassResult,
  replicates: Replicates,
  { clear, estimated }: Pick<MeasureInput, 'clear' | 'estimated'>,
  routeLlm: number | null,
  widen: Widen,
): Omit<CurveReport, 'aiq' | 'saving_at_equal_quality'> {
  const intervals = byLevel((_, k) =>
    clear ? widen(percentileInterval(pass.cpt[k]!, replicates.cpt[k]!)) : UNDEFINED_INTERVAL,
  )
  return {
    apgr: clear ? widen(percentileInterval(pass.apgr, replicates.apgr)) : UNDEFINED_INTERVAL,
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
  widen: Widen,
): { aiq: PartialInterval; saving_at_equal_quality: PartialInterval } {
  return {
    aiq: weak ? widen(percentileInterval(spending.aiq, replicates.aiq)) : UNDEFINED_INTERVAL,
    saving_at_equal_quality:
      spend && clear
        ? widen(percentileInterval(spending.saving, replicates.saving))
        : UNDEFINED_INTERVAL,
  }
}

function curveBand(
  router: Parameters<typeof gainOnGrid>[0],
  once: Uint8Array,
  unit: number,
  replicates: Replicates,
  late: Float64Array | undefined,
  { floor, clear }: Pick<MeasureInput, 'floor' | 'clear'>,
): CurveBand {
  const curve = new Float64Array(GRID_STEPS + 1)
  gainOnGrid(router, once, once.length, unit, curve)
  const bounds = Array.from(curve, (value, step) => {
    const draws = Float64Array.from(replicates.band, (draw) => draw[step]!)
    const interval = percentileInterval(value, draws)
    if (!floor || !late) return interval
    // a prompt's gain counts from the strong share on at which it is sent strong
    const from = 1 - step / GRID_STEPS
    const sent = (i: number): number => (late[i]! > from ? 1 : 0)
    const mean = unit / once.length
    return floor.widen(interval, clear ? (i) => (sent(i) - value) / mean : sent)
  })
  return {
    value: [...curve],
    low: bounds.map(({ low, value }) => low ?? value!),
    high: bounds.map(({ high, value }) => high ?? value!),
  }
}
