import type { LanguageOf } from './condition.ts'
import type { LearnedRouter } from './learned-router.ts'
import type { ModelLimit } from './limits.ts'
import type { SemanticIndex } from './semantic.ts'

/** What a policy works with beside its file. */
export interface PolicyNeeds {
  /** the learned router; without one, that step is passed */
  readonly learned?: LearnedRouter
  /** built from the file's `semantic` section; without one, that step is passed */
  readonly semantic?: SemanticIndex
  /** must be there where a condition asks for the language */
  readonly languageOf?: LanguageOf | undefined
  /** further hard limits, such as what is left of a budget */
  readonly limits?: readonly ModelLimit[]
  /** told what an operator should know, such as an encoder that fails */
  readonly onWarning?: (message: string, error?: unknown) => void
  /** of routes that say nothing else */
  readonly allowDown?: boolean
  readonly hedgeAfterMs?: number
}
