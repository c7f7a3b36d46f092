import { dkwInterval, type Interval } from '../../../core/stats/intervals.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { candidateThresholds, shareAt } from '../candidates.ts'
import { INTERVAL_LEVEL } from '../expected.ts'
import { quantile } from '../methods/quantile.ts'
import { sourceOdds } from './source-classifier.ts'
import { classifierTest, kolmogorovSmirnov, type ShiftTest, stabilityIndex } from './two-sample.ts'

/** What a bundle was calibrated on, as far as it remembers. */
export interface DriftReference {
  /** evenly spaced quantiles of the calibration win rates */
  readonly quantiles: readonly number[]
  /** rows they stand for */
  readonly rows: number
  readonly threshold: number
  /** the strong share it was calibrated to have */
  readonly share: number
  /** embeddings of calibration prompts, where a log that holds them was given */
  readonly embeddings?: Embeddings
}

export interface DriftReport {
  readonly rows: number
  /** population stability index of the win rates */
  readonly psi: number
  readonly ks: ShiftTest
  /** of a classifier on embeddings; absent without the calibration prompts */
  readonly classifier?: ShiftTest
  readonly share: { readonly calibrated: number; readonly now: Interval }
  /** the threshold that would give recent traffic the calibrated share again */
  readonly recalibrated: { readonly threshold: number; readonly share: Interval }
  readonly verdict: 'stable' | 'moderate' | 'shifted'
}

/** The usual reading of the stability index. */
const PSI_MODERATE = 0.1
const PSI_SHIFTED = 0.25
const LEVEL = 0.01
/** An AUC beyond this is a shift, whatever the number of rows; below, only a significant one is mentioned. */
const AUC_SHIFTED = 0.65

/** Recent traffic against the calibration set: has the mix of prompts changed, and what share goes strong now? */
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

/** A large index on few rows may be chance, so it needs a significant distance beside it. */
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
