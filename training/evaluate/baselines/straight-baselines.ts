import { type PartialInterval, UNDEFINED_INTERVAL } from '../../../core/stats/intervals.ts'
import { Z_95 } from '../../../core/stats/normal.ts'
import type { CurveReport } from '../bootstrap/measure-routers.ts'
import { byLevel } from '../metrics/curve-pass.ts'
import { mean } from '../metrics/labels.ts'

interface StraightInput {
  readonly gain: Float64Array
  /** mean quality of the weak model's answers, if known */
  readonly weakQuality: number | null
  readonly clear: boolean
}

/** Baselines that need no scores: PGR = strong share, a straight line, so their figures are exact. */
export function straightBaselines(
  input: StraightInput,
): Record<string, CurveReport & { readonly note: string }> {
  const line = straightLine(input)
  return {
    random: {
      ...line,
      apgr: input.clear ? randomInterval(input.gain) : UNDEFINED_INTERVAL,
      note: 'exact; the interval is where a router that knows nothing lands on these prompts',
    },
    always_strong: { ...line, note: 'one score for all: a straight line' },
    always_weak: { ...line, note: 'one score for all: a straight line' },
  }
}

function straightLine({ gain, weakQuality, clear }: StraightInput): CurveReport {
  const exact = (value: number): PartialInterval =>
    clear ? { value, low: value, high: value } : UNDEFINED_INTERVAL
  const gap = mean(gain)
  // the hull of a falling line is flat: the strong model is never worth buying
  const aiq = weakQuality === null ? null : weakQuality + Math.max(0, gap) / 2
  return {
    apgr: exact(0.5),
    apgr_routellm: clear ? 0.5 : null,
    cpt: byLevel((name) => (clear ? Number(name) / 100 : null)),
    cpt_interval: byLevel((name) => exact(Number(name) / 100)),
    auc: { value: 0.5, low: 0.5, high: 0.5 },
    aiq: { value: aiq, low: aiq, high: aiq },
    saving_at_equal_quality: exact(0),
  }
}

/**
 * APGR of random scores is sum(g u) / sum(g) with uniform u: mean 1/2, variance sum((g - mean)^2) / 12 /
 * sum(g)^2.
 */
function randomInterval(gain: Float64Array): PartialInterval {
  const average = mean(gain)
  let squares = 0
  for (const g of gain) squares += (g - average) ** 2
  const half = (Z_95 * Math.sqrt(squares / 12)) / (average * gain.length)
  return { value: 0.5, low: 0.5 - half, high: 0.5 + half }
}
