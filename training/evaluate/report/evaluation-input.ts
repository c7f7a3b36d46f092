import type { OnProgress } from '../../../core/progress.ts'
import type { ReferenceRows } from '../baselines/category-prior.ts'
import type { Spend } from '../metrics/curve-pass.ts'
import type { EvaluationLabels } from '../metrics/labels.ts'
import type { LatencyReport } from './report.ts'
import type { Grouping } from './slices.ts'

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
