import type Type from 'typebox'
import type { Decision } from '../../models/decision/decision.ts'
import type {
  Deciding,
  GatewayRequest,
  Planning,
  RefusePlan,
  ServePlan,
} from '../gateway/contracts.ts'
import type { Traits } from '../gateway/traits.ts'
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

/** A step that decides nothing, and why. */
export interface Skip {
  readonly kind: 'skip'
  readonly reason: string
  /** the rule or route that would have decided, had hard limits left one of its models */
  readonly name?: string | undefined
}

export const skip = (reason: string, name?: string): Skip => ({ kind: 'skip', reason, name })

/** `undefined` where the step has nothing to say of the request. */
export type StepResult = StepPlan | Skip | undefined

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
  serve(route: RouteFile, reason: Reason, options?: ServeOptions): StepPlan | undefined
  /** The learned router's decision over the open models, asked once a request; or why there is none. */
  learned(): Promise<Decision | Skip | Extract<StepPlan, { readonly kind: 'refuse' }>>
  /** The semantic route that the question is nearest to, embedded once a request; or why there is none. */
  near(): Promise<SemanticMatch | Skip | undefined>
  /** Whether the request falls into this share (0 to 1) of the split: by its session, key or id, always the same. */
  draw(split: string, share: number): boolean
}

/**
 * One way of deciding. The pipeline asks the steps in order, and the first plan is the request's. A step
 * serves no closed model, decides the same of the same request, and throws for no request, however odd.
 * Steps are also asked what they would have decided had a percentage split fallen otherwise, so they change
 * nothing in `decide`, only in `decided`. `testing/step-contract.ts` holds each step to that.
 */
export interface Step {
  decide(state: StepState): StepResult | Promise<StepResult>
  /** what was decided in the end, by whichever step: for those that remember */
  decided?(state: StepState, plan: ServePlan): void
}

/** What a policy works with beside its file. */
export interface PolicyServices {
  /** the learned router; without one, that step is skipped */
  readonly learned?: LearnedRouter | undefined
  /** built from the file's `semantic` section; without one, that step is skipped */
  readonly semantic?: SemanticIndex | undefined
  /** must be there where a condition asks for the language */
  readonly languageOf?: LanguageOf | undefined
  /** further hard limits, such as what is left of a budget */
  readonly limits?: readonly ModelLimit[] | undefined
  /** told what an operator should know, such as an encoder that fails */
  readonly onWarning?: ((message: string, error?: unknown) => void) | undefined
  /** of routes that say nothing else */
  readonly allowDown?: boolean | undefined
  readonly hedgeAfterMs?: number | undefined
}

/** Where something stands in a policy file. */
export type Field = readonly (string | number)[]

/** Collects what is wrong with a section whose shape is right. */
export interface FaultFinder {
  /** names that a rule may lead to: routes, then models */
  readonly targets: readonly string[]
  /** semantic routes that some section asks for by their name */
  readonly near: readonly string[]
  /** what spending is counted under: names of rules and routes, and steps that decide without one */
  readonly spendingRoutes: readonly string[]
  fault(at: Field, expected: string, got: string): void
  /** a fault unless `got` is one of the names */
  oneOf(at: Field, names: readonly string[], got: string): void
  /** a fault for each that is no model of the file */
  models(at: Field, names: readonly string[] | undefined): void
  /** a fault for each `name` that was there before; `at` is the list's */
  unique(at: Field, list: readonly { readonly name: string }[]): void
  /** a fault for each that is no RE2 pattern */
  patterns(at: Field, patterns: readonly string[] | undefined): void
  /** what is wrong with the condition at `at`.when */
  condition(at: Field, when: Condition): void
  strategy(at: Field, strategy: StrategySettings): void
  /** a fault for each parameter that the gateway itself puts into a body */
  parameters(at: Field, parameters: object | undefined): void
}

/** What a section reads of requests, which decides what must be opened for it and what a log must hold. */
export interface SectionReads {
  /** conditions on requests, each with what it belongs to, such as `the rule code` */
  readonly conditions?: readonly { readonly of: string; readonly when: Condition | undefined }[]
  /** semantic routes that it asks for */
  readonly near?: readonly string[]
  /** what reads the text, or the metadata, beside the conditions, such as `the semantic routes` */
  readonly text?: string | undefined
  readonly metadata?: string | undefined
}

/**
 * One section of a policy file, the step that works by it, or both. All that differs between steps is here:
 * a new one is a file with its row, the row's place in `policySteps`, and its case in the contract suite.
 * A row's functions are called where its section is there; without a `key`, always, with undefined.
 */
export interface PolicyRow<Schema extends Type.TSchema = Type.TSchema> {
  /** the section's name in the file; absent where the step needs none */
  readonly key?: string
  readonly schema?: Schema
  /** a file without the section is refused */
  readonly required?: true
  /** Tells what is wrong with a section whose shape is right. */
  check?(section: Type.Static<Schema>, file: PolicyFile, find: FaultFinder): void
  reads?(section: Type.Static<Schema>): SectionReads
  /** The section's step; undefined where it gives the step nothing to do. */
  step?(section: Type.Static<Schema>, file: PolicyFile, services: PolicyServices): Step | undefined
  /**
   * Names of rules or routes that the step decides by, which spending is then counted under: none for a step
   * that serves nothing. Where absent, the step's own name.
   */
  spendingRoutes?(section: Type.Static<Schema>): readonly string[]
  /** the step also holds for requests to endpoints whose model is not routed */
  readonly admits?: true
}
