import { dkwInterval, type Interval } from '../../../core/stats/intervals.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { candidateThresholds, shareAt } from '../candidates.ts'
import { INTERVAL_LEVEL } from '../expected.ts'
import { quantile } from '../methods/quantile.ts'
import { sourceOdds } from './source-classifier.ts'
import { classifierTest, kolmogorovSmirnov, type ShiftTest, stabilityIndex } from './two-sample.ts'

/** What a bundle stores about its calibration set. */
export interface DriftReference {
  /** evenly spaced quantiles of the calibration win rates */
  readonly quantiles: readonly number[]
  /** number of rows that the quantiles summarise */
  readonly rows: number
  readonly threshold: number
  /** the strong share it was calibrated to have */
  readonly share: number
  /** embeddings of calibration prompts, if a log that contains them was given */
  readonly embeddings?: Embeddings
}

export interface DriftReport {
  readonly rows: number
  /** population stability index of the win rates */
  readonly psi: number
  readonly ks: ShiftTest
  /** test of a classifier on embeddings; absent without the calibration prompts */
  readonly classifier?: ShiftTest
  readonly share: { readonly calibrated: number; readonly now: Interval }
  /** the threshold that would give the calibrated share on recent traffic */
  readonly recalibrated: { readonly threshold: number; readonly share: Interval }
  readonly verdict: 'stable' | 'moderate' | 'shifted'
}

/** Conventional thresholds of the stability index. */
const PSI_MODERATE = 0.1
const PSI_SHIFTED = 0.25
const LEVEL = 0.01
/** An AUC above this is a shift, whatever the number of rows; below, it is mentioned only if significant. */
const AUC_SHIFTED = 0.65

/**
 * Compares recent traffic with the calibration set: did the mix of prompts change, and what share goes strong
 * now?
 */
export async function measureDrift(
  reference: DriftReference,
  recent: { readonly winRate: Float64Array; readonly embeddings?: Embeddings },
  seed: number,
  signal?: AbortSignal,
): Promise<DriftReport> {
  const before = Float64Array.from(reference.quantiles)
  const { winRate } = recent
  const n = winRate.length
  const psi = stabilityIndex(before, winRate)
  const ks = kolmogorovSmirnov(before, winRate, reference.rows)
  const classifier =
    reference.embeddings && recent.embeddings
      ? classifierTest(await sourceOdds(reference.embeddings, recent.embeddings, seed, signal))
      : undefined
  const target = { kind: 'strong-share', share: reference.share } as const
  const rows = { winRate }
  const { threshold } = quantile.choose({
    rows,
    target,
    grid: candidateThresholds(winRate).threshold,
    seed,
  })
  const interval = (at: number): Interval => dkwInterval(shareAt(winRate, at), n, INTERVAL_LEVEL)
  return {
    rows: n,
    psi,
    ks,
    ...(classifier && { classifier }),
    share: { calibrated: reference.share, now: interval(reference.threshold) },
    recalibrated: { threshold, share: interval(threshold) },
    verdict: verdictOf(psi, ks, classifier),
  }
}

/** With few rows a large index may be chance, so a shift also needs a significant distance. */
function verdictOf(
  psi: number,
  ks: ShiftTest,
  classifier: ShiftTest | undefined,
): DriftReport['verdict'] {
  const told = classifier !== undefined && classifier.p < LEVEL
  if (psi >= PSI_SHIFTED && ks.p < LEVEL) return 'shifted'
  if (told && classifier.statistic >= AUC_SHIFTED) return 'shifted'
  if ((psi >= PSI_MODERATE && ks.p < LEVEL) || told) return 'moderate'
  return 'stable'
}
