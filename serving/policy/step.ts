import type { Decision } from '../../models/decision/decision.ts'
import type {
  Deciding,
  GatewayRequest,
  Plan,
  Planning,
  RefusePlan,
  ServePlan,
} from '../gateway/contracts.ts'
import type { Traits } from '../gateway/traits.ts'
import type { CheckedPolicy } from './check.ts'
import type { LanguageOf } from './condition.ts'
import type { RouteFile } from './file.ts'
import type { LearnedRouter } from './learned-router.ts'
import type { Limited, ModelLimit } from './limits.ts'
import type { SemanticIndex, SemanticMatch } from './semantic.ts'

/** `undefined` where the step has nothing to say of the request. */
export type StepResult = Plan | Skip | undefined

/** What a served request gets beside its route. */
export interface ServeOptions {
  readonly decision?: Decision
  /** 1 unless told */
  readonly propensity?: number
  /** a score of every target, such as a cosine */
  readonly score?: number
}

/** One request on its way through the steps. Nothing a step does to it reaches the next one. */
export interface StepState extends Limited {
  readonly request: GatewayRequest
  readonly traits: Traits
  /** aborted when nobody waits any more */
  readonly signal: AbortSignal
  /** asks a model something of the step's own; see `Planning`. It may only be what `open` holds */
  readonly send: Planning['send']
  /** the route or model that the client named */
  readonly named: { readonly name: string; readonly route: RouteFile } | undefined
  /** the route of that name, or the model of that name as a route of its own; undefined where there is none */
  route(name: string): RouteFile | undefined
  /** The only way to a plan that serves: closed models are left out. Undefined where none is left. */
  serve(route: RouteFile, deciding: Deciding, options?: ServeOptions): ServePlan | undefined
  /** The learned router's decision over the open models, asked once a request; or why there is none. */
  learned(): Promise<Decision | Skip | RefusePlan>
  /** The semantic route that the question is nearest to, embedded once a request; or why there is none. */
  near(): Promise<SemanticMatch | Skip | undefined>
  /** Whether the request falls into this share (0 to 1) of the split: by its session, key or id, always the same. */
  draw(split: string, share: number): boolean
}

/**
 * One way of deciding. The pipeline asks the steps in order, and the first plan is the request's. A step
 * says its name in `deciding.step`, serves no closed model, decides the same of the same request, and
 * throws for no request, however odd. Steps are also asked what they would have decided, had a percentage
 * split fallen otherwise: so they leave no trace in `decide`, only in `decided`. `test/serving/policy/step-contract.ts` holds it to that.
 */
export interface Step {
  readonly name: string
  decide(state: StepState): StepResult | Promise<StepResult>
  /** what was decided in the end, by whichever step: for those that remember */
  decided?(state: StepState, plan: ServePlan): void
}

/** A step of a policy file; undefined where the file has no use for it. */
export type StepFactory = (policy: CheckedPolicy, needs: PolicyServices) => Step | undefined

/** A step that decides nothing, and why. */
export interface Skip {
  readonly kind: 'pass'
  readonly reason: string
  /** the rule or route that would have decided, had hard limits left one of its models */
  readonly name?: string
}

export const skip = (reason: string, name?: string): Skip => ({
  kind: 'pass',
  reason,
  ...(name === undefined ? {} : { name }),
})

/** What a policy works with beside its file. */
export interface PolicyServices {
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
