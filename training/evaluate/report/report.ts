import type { PartialInterval } from '../../../core/stats/intervals.ts'
import type { Observational } from '../../../models/bundle/manifest.ts'
import type { Comparison, Difference } from '../bootstrap/difference.ts'
import type { CurveReport } from '../bootstrap/measure-routers.ts'
import type { LatencyReport } from '../log/scored-log.ts'
import type { LeftOut } from '../log/unseen-rows.ts'
import type { CurveBand, CurvePoints } from '../metrics/curve-points.ts'
import type { OperatingPoint } from '../metrics/operating-point.ts'
import type { Reliability } from '../metrics/reliability.ts'
import type { RobustnessReport } from '../robustness/robustness.ts'
import type { Miss } from './misses.ts'
import type { SliceReport } from './slices.ts'

/** The output of `weir evaluate --json`, from which every view of an evaluation is made. Plain JSON. */
export interface EvaluationReport {
  /** prompts evaluated */
  readonly rows: number
  readonly pair: { readonly strong: string; readonly weak: string } | null
  readonly labels: 'outcomes' | 'preferences'
  /** the evaluated prompts by what is known of them: both scores, one score, or votes only */
  readonly evidence: { readonly paired: number; readonly single: number; readonly votes: number }
  /** what the figures rest on, if some prompts were answered by one model only */
  readonly observational?: Observational & {
    /** as `RouterReport.sensitivity`, of "the strong model is better on average" */
    readonly gap_gamma: number | null
  }
  /** where the dollars come from; null if they are not known */
  readonly costs: 'logged' | 'estimated' | null
  readonly seed: number
  /** bootstrap replicates behind every interval, drawn over prompts */
  readonly replicates: number
  readonly quality: QualityReport
  /** what a reader must know to interpret the figures */
  readonly warnings: readonly string[]
  readonly routers: readonly RouterReport[]
  readonly baselines: Readonly<Record<string, BaselineReport>>
  /** every pair of routers on the same prompts */
  readonly comparisons: readonly Comparison[]
  /** where routers and prompts came from; absent if they were not read from files */
  readonly provenance?: Provenance
}

export interface Provenance {
  readonly bundles: readonly {
    readonly name: string
    readonly path: string
    readonly version: string
    readonly created: string
    readonly family: string
    readonly encoder: string
    readonly trained_on: readonly { readonly path: string; readonly sha256: string }[]
  }[]
  readonly logs: readonly {
    readonly path: string
    readonly sha256: string
    readonly rows: number
  }[]
  /** number of labelled rows left out because a router had seen them, by where it had */
  readonly left_out: LeftOut
  /** where dollars come from, in words */
  readonly cost_basis: string | null
}

export interface QualityReport {
  /** mean score of each model's answers; null if the log holds only preferences */
  readonly strong: number | null
  readonly weak: number | null
  /** strong - weak, in score units */
  readonly gap: PartialInterval
  /** false if the interval of the gap contains 0: PGR, APGR and CPT are then undefined (null) */
  readonly clear: boolean
}

export interface RouterReport extends CurveReport {
  readonly name: string
  /** whether it beats prompt length and random, each with its interval; null if that cannot be decided */
  readonly works: boolean | null
  /** whether it works, and the verdict holds nothing against it */
  readonly unreserved: boolean
  readonly verdict: string
  /** APGR minus each baseline's, paired on the same prompts */
  readonly versus: Readonly<Record<string, Difference>>
  /**
   * if some prompts were answered by one model only: how strong an unmeasured confounder would have to be to
   * overturn "better than ..." (Gamma of the marginal sensitivity model, 1 is none); null where the figures do
   * not show it even without one
   */
  readonly sensitivity?: { readonly random: number | null; readonly prompt_length: number | null }
  /** at the router's threshold; absent if it has none */
  readonly operating?: OperatingPoint
  readonly reliability?: Reliability
  readonly latency?: LatencyReport
  /** what changes of how a prompt is written do to its decisions */
  readonly robustness?: RobustnessReport
  /** worst first */
  readonly slices?: readonly SliceReport[]
  readonly worst_misses?: readonly Miss[]
  readonly chart?: RouterChart
}

export interface RouterChart {
  readonly points: CurvePoints
  readonly band: CurveBand
  /** number of prompts in each of 40 equal bins of the win rate from 0 to 1 */
  readonly histogram: readonly number[]
}

export interface BaselineReport extends CurveReport {
  readonly note?: string
  readonly chart?: Pick<RouterChart, 'band'>
}
