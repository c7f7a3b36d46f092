import type Type from 'typebox'
import type { Decision } from '../../models/decision/decision.ts'
import type { Price } from '../../models/prices.ts'
import type {
  Deciding,
  GatewayRequest,
  Planning,
  RefusePlan,
  ServePlan,
} from '../gateway/contracts.ts'
import type { Traits } from '../gateway/traits.ts'
import type { HotStore } from '../state/hot-store.ts'
import type { StrategySettings } from '../strategies/settings.ts'
import type { Condition, LanguageOf } from './condition.ts'
import type { PolicyFile, RouteFile } from './file.ts'
import type { LearnedRouter } from './learned-router.ts'
import type { Limited, ModelLimit } from './limits.ts'
import type { SemanticIndex, SemanticMatch } from './semantic.ts'

/** Why a step decided. The pipeline adds the step's name. */
export type Reason = Omit<Deciding, 'step'>

/** A step's plan: complete but for the step's name, which the pipeline adds. */
export type StepPlan =
  | (Omit<ServePlan, 'deciding'> & { readonly deciding: Reason })
  | (Omit<RefusePlan, 'deciding'> & { readonly deciding: Reason })

/** A step without a decision, and why. */
export interface Skip {
  readonly kind: 'skip'
  readonly reason: string
  /** the rule or route that would have decided if hard limits had allowed one of its models */
  readonly name?: string | undefined
}

export const skip = (reason: string, name?: string): Skip => ({ kind: 'skip', reason, name })

/** `undefined` if the step does not apply to the request. */
export type StepResult = StepPlan | Skip | undefined

/** Fields of a served request besides its route. */
export interface ServeOptions {
  readonly decision?: Decision
  /** default 1 */
  readonly propensity?: number
  /** a score of every target, such as a cosine */
  readonly score?: number
}

/** One request during the steps. Changes that a step makes to it are not seen by the next one. */
export interface StepState extends Limited {
  readonly request: GatewayRequest
  readonly traits: Traits
  /** aborted when the result is no longer needed */
  readonly signal: AbortSignal
  /** asks a model a question of the step; see `Planning`. Only models in `open` may be asked */
  readonly send: Planning['send']
  /** the route or model that the client named */
  readonly named: { readonly name: string; readonly route: RouteFile } | undefined
  /** the route of that name, or the model of that name as a route; undefined if there is none */
  route(name: string): RouteFile | undefined
  /** The only way to make a plan that serves: closed models are left out. Undefined if none is left. */
  serve(route: RouteFile, reason: Reason, options?: ServeOptions): StepPlan | undefined
  /** The learned router's decision over the open models, computed once per request; or why there is none. */
  learned(): Promise<Decision | Skip | Extract<StepPlan, { readonly kind: 'refuse' }>>
  /** The semantic route nearest to the question, which is embedded once per request; or why there is none. */
  near(): Promise<SemanticMatch | Skip | undefined>
  /**
   * Whether the request falls into this share (0 to 1) of the split: by its session, key or id, always the
   * same.
   */
  draw(split: string, share: number): boolean
}

/**
 * One way of deciding. The pipeline asks the steps in order, and the first plan is used. A step never serves
 * a closed model, is deterministic, and never throws, whatever the request. Steps are also asked what they
 * would have decided with other outcomes of percentage splits, so they have no side effects in `decide`, only
 * in `decided`. `testing/step-contract.ts` tests this for each step.
 */
export interface Step {
  decide(state: StepState): StepResult | Promise<StepResult>
  /** the final decision, by any step: for steps that keep state */
  decided?(state: StepState, plan: ServePlan): void
}

/** What a policy needs in addition to its file. */
export interface PolicyServices {
  /** the learned router; without one, that step is skipped */
  readonly learned?: LearnedRouter | undefined
  /** built from the file's `semantic` section; without one, that step is skipped */
  readonly semantic?: SemanticIndex | undefined
  /** required if a condition asks for the language */
  readonly languageOf?: LanguageOf | undefined
  /** further hard limits, such as the remaining budget */
  readonly limits?: readonly ModelLimit[] | undefined
  /** what is known of what the models can take and how fast they are: each closes some of those left open, never all */
  readonly known?: readonly ModelLimit[] | undefined
  /** what several servers share: sessions' models, cached decisions; without one, each keeps its own */
  readonly shared?: HotStore | undefined
  /** of a model; undefined if it is not known */
  readonly priceOf?: ((model: string) => Price | undefined) | undefined
  /** models with the same name read and write one cache of prompts, such as one model at two efforts; default: its own */
  readonly cacheOf?: ((model: string) => string | undefined) | undefined
  /** tokens of the model's answers of late, hidden reasoning included; undefined if too few are known */
  readonly answerTokensOf?: ((model: string) => number | undefined) | undefined
  /** called with what operators should know, such as an encoder that fails */
  readonly onWarning?: ((message: string, error?: unknown) => void) | undefined
  /** for routes that do not set it */
  readonly allowDown?: boolean | undefined
  readonly hedgeAfterMs?: number | undefined
}

/** A place in a policy file. */
export type Field = readonly (string | number)[]

/** Collects the faults of a section that fits its schema. */
export interface FaultFinder {
  /** names that a rule may lead to: routes, then models */
  readonly targets: readonly string[]
  /** semantic routes that some section refers to by name */
  readonly near: readonly string[]
  /** names that spending is counted under: rules and routes, and steps that decide without one */
  readonly spendingRoutes: readonly string[]
  fault(at: Field, expected: string, got: string): void
  /** a fault unless `got` is one of the names */
  oneOf(at: Field, names: readonly string[], got: string): void
  /** reports each that is not a model of the file */
  models(at: Field, names: readonly string[] | undefined): void
  /** reports each `name` that occurred before; `at` is the list's place */
  unique(at: Field, list: readonly { readonly name: string }[]): void
  /** reports each that is not an RE2 pattern */
  patterns(at: Field, patterns: readonly string[] | undefined): void
  /** reports the faults of the condition at `at`.when */
  condition(at: Field, when: Condition): void
  strategy(at: Field, strategy: StrategySettings): void
  /** reports each parameter that the gateway itself sets in a body */
  parameters(at: Field, parameters: object | undefined): void
}

/**
 * What a section reads of requests, which determines what must be opened for it and what a log must contain.
 */
export interface SectionReads {
  /** conditions on requests, each with its owner, such as `the rule code` */
  readonly conditions?: readonly { readonly of: string; readonly when: Condition | undefined }[]
  /** semantic routes that it asks for */
  readonly near?: readonly string[]
  /** what reads the text, or the metadata, besides the conditions, such as `the semantic routes` */
  readonly text?: string | undefined
  readonly metadata?: string | undefined
}

/**
 * One section of a policy file, the step that uses it, or both. All differences between steps are here: a new
 * one is a file with its entry, the entry's place in `policySteps`, and its case in the contract suite. An
 * entry's functions are called if its section is in the file; without a `key`, always, with undefined.
 */
export interface PolicyRow<Schema extends Type.TSchema = Type.TSchema> {
  /** the section's name in the file; absent if the step needs none */
  readonly key?: string
  readonly schema?: Schema
  /** a file without the section is refused */
  readonly required?: true
  /** Reports the faults of a section that fits its schema. */
  check?(section: Type.Static<Schema>, file: PolicyFile, find: FaultFinder): void
  reads?(section: Type.Static<Schema>): SectionReads
  /** The section's step; undefined if the section leaves it nothing to do. */
  step?(section: Type.Static<Schema>, file: PolicyFile, services: PolicyServices): Step | undefined
  /**
   * Names of rules or routes that the step decides by, which spending is then counted under: none for a step
   * that serves nothing. If absent, the step's name.
   */
  spendingRoutes?(section: Type.Static<Schema>): readonly string[]
  /** the step also applies to requests to endpoints whose model is not routed */
  readonly admits?: true
}
