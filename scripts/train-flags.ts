import type { ChoiceFlags } from './choice-flags.ts'
import type { LogFlags, PairFlags } from './data-flags.ts'

/** The flags of `weir train`, as they are typed; a config file says the same. */
export interface TrainFlags extends LogFlags, PairFlags, ChoiceFlags {
  readonly config?: string
  readonly printConfig?: boolean
  readonly strong?: string
  readonly weak?: string
  readonly router: string
  readonly encoder: string
  readonly engine: string
  readonly out: string
  readonly name: string
  readonly seed: string
  readonly threads: string
  readonly tune?: string
  readonly set: readonly string[]
  readonly judgeWeight: readonly string[]
  readonly price: readonly string[]
  readonly keepText?: boolean
  readonly json?: boolean
}
