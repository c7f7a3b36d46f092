import type { Comparison, Difference } from './difference.ts'
import type { Interval } from './interval.ts'

/** What `weir evaluate --json` prints, and what every view of an evaluation is made from. Plain JSON. */
export interface EvaluationReport {
  /** prompts evaluated */
  readonly rows: number
  readonly pair: { readonly strong: string; readonly weak: string } | null
  readonly labels: 'outcomes' | 'preferences'
  readonly seed: number
  /** bootstrap replicates behind every interval, drawn over prompts */
  readonly replicates: number
  readonly quality: QualityReport
  /** what a reader must know before believing the figures */
  readonly warnings: readonly string[]
  readonly routers: readonly RouterReport[]
  readonly baselines: Readonly<Record<string, BaselineReport>>
  /** every two routers on the same prompts */
  readonly comparisons: readonly Comparison[]
}

export interface QualityReport {
  /** mean score of each model's answers; null where the log holds preferences only */
  readonly strong: number | null
  readonly weak: number | null
  /** strong - weak, in score units */
  readonly gap: Interval
  /** false where the gap is not clear of 0: PGR, APGR and CPT are then undefined (null) */
  readonly clear: boolean
}

/** Strong share needed for 20, 50, 80 and 95% of the gap; null where undefined. */
export interface CptReport {
  readonly '20': number | null
  readonly '50': number | null
  readonly '80': number | null
  readonly '95': number | null
}

export interface CurveReport {
  readonly apgr: Interval
  readonly apgr_routellm: number | null
  readonly cpt: CptReport
  readonly cpt_interval: Readonly<Record<keyof CptReport, Interval>>
  /** AUC of the gain: chance that a prompt with s > w scores above one without */
  readonly auc: Interval
}

export interface RouterReport extends CurveReport {
  readonly name: string
  /** beats prompt length and random, each with its interval; null where that can't be said */
  readonly works: boolean | null
  readonly verdict: string
  /** APGR minus each baseline's, paired on the same prompts */
  readonly versus: Readonly<Record<string, Difference>>
}

export interface BaselineReport extends CurveReport {
  readonly note?: string
}
