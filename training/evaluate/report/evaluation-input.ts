import type { OnProgress } from '../../../core/progress.ts'
import type { SingleEvidence } from '../../ope/sensitivity.ts'
import type { ReferenceRows } from '../baselines/category-prior.ts'
import type { Grouping } from '../log/prompt-origins.ts'
import type { ScoredRouter } from '../log/scored-log.ts'
import type { Spend } from '../metrics/curve-pass.ts'
import type { EvaluationLabels } from '../metrics/labels.ts'

export interface EvaluationInput {
  readonly routers: readonly ScoredRouter[]
  readonly prompts: readonly string[]
  readonly labels: EvaluationLabels
  /** what is known of the prompts that only one model answered, if labels are estimated from such answers */
  readonly singles?: SingleEvidence | undefined
  readonly categories?: readonly (string | undefined)[] | undefined
  /** more ways to slice, such as source and time */
  readonly groupings?: readonly Grouping[] | undefined
  readonly pair?: { readonly strong: string; readonly weak: string } | undefined
  /** US dollars of each prompt with either model, and whether they were logged or estimated */
  readonly spend?: (Spend & { readonly origin: 'logged' | 'estimated' }) | undefined
  /** labelled rows that the category prior and kNN baselines are fitted on; without them, out of fold */
  readonly reference?: ReferenceRows | undefined
  readonly seed: number
  /** bootstrap replicates; by default 1,000, or 200 above 200,000 prompts */
  readonly replicates?: number | undefined
  /** the kNN baseline is left out above this number of prompts (default 30,000) */
  readonly neighbourLimit?: number | undefined
  /** adds slices, worst misses and what charts need to the report */
  readonly details?: boolean | undefined
  readonly warnings?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}
