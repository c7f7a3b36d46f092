import { definedOnly } from '../../core/defined.ts'
import { type ErrorCode, WeirError } from '../../core/errors.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type {
  GatewayRequest,
  Plan,
  Planning,
  Policy,
  ServePlan,
  StepVerdict,
} from '../gateway/contracts.ts'
import { routeRequest, routerName } from '../gateway/learned-policy.ts'
import { traitsOf } from '../gateway/traits.ts'
import type { PolicyFile, RouteFile } from './file.ts'
import { type LearnedRouter, WHOLE_POLICY } from './learned-router.ts'
import { compileLimits, type Limited } from './limits.ts'
import { type PolicyAtWork, usedRows } from './registry.ts'
import type { SemanticMatch } from './semantic.ts'
import { addPropensities, everyOutcome, type Propensities, Splits, splitUnit } from './splits.ts'
import {
  type PolicyServices,
  type Reason,
  type ServeOptions,
  type Skip,
  type Step,
  type StepPlan,
  type StepResult,
  type StepState,
  skip,
} from './step.ts'

/** A running policy file. `plan` throws `model_not_served` for an unknown name. */
export interface FilePolicy extends Required<Policy> {
  /**
   * The probability of each model to be asked first, over all outcomes of percentage splits; undefined if
   * that cannot be known without asking a model. No side effects.
   */
  propensities(request: GatewayRequest, signal: AbortSignal): Promise<Propensities | undefined>
  /**
   * The plan that the request would get, with the result of every step. No side effects: a step that would
   * ask a model is skipped, and then the plan is not `certain`.
   *
   * @param decision the router's, if it was already asked
   */
  preview(request: GatewayRequest, signal: AbortSignal, decision?: Decision): Promise<Preview>
}

export interface Preview {
  readonly plan: Plan
  readonly certain: boolean
}

export function createPolicy(policy: PolicyAtWork, services: PolicyServices): FilePolicy {
  const steps = makeSteps(policy, services)
  const stateOf = stateMaker(policy.file, services)

  /** @param real the request's actual run: its results are reused */
  const propensities = async (
    request: GatewayRequest,
    signal: AbortSignal,
    real?: { readonly state: StepState; readonly decision: Decision | undefined },
  ): Promise<Propensities | undefined> => {
    const all: Propensities = new Map()
    const known = await everyOutcome(splitUnit(request), async (splits) => {
      const trial = trialOf(services.learned, real?.decision)
      const options = { splits, ask: trial.ask, from: real?.state }
      const state = stateOf(request, { signal, send: trial.send }, options)
      const { plan } = await firstPlan(steps, state)
      addPropensities(all, plan, splits.probability)
      return !trial.unknown
    })
    return known ? all : undefined
  }

  return {
    propensities: (request, signal) => propensities(request, signal),
    async preview(request, signal, decision) {
      await stateOf.examine(request)
      const trial = trialOf(services.learned, decision)
      const state = stateOf(request, { signal, send: trial.send }, { ask: trial.ask })
      const { plan, verdicts } = await firstPlan(steps, state)
      return { plan: { ...plan, steps: verdicts }, certain: !trial.unknown }
    },
    async admits(request, planning) {
      await stateOf.examine(request)
      const state = stateOf(request, planning)
      for (const { name, step, admits } of steps) {
        if (!admits) continue
        const result = await step.decide(state)
        if (result?.kind !== 'refuse') continue
        const deciding = { step: name, ...result.deciding }
        return { ...result, deciding, ...closedByBudgets(state) }
      }
      return undefined
    },
    async plan(request, planning) {
      await stateOf.examine(request)
      const splits = new Splits(splitUnit(request))
      let decision: Decision | undefined
      const ask: LearnedRouter['route'] = async (asked, caller) => {
        decision = await services.learned!.route(asked, caller)
        return decision
      }
      const state = stateOf(request, planning, { splits, ask })
      const { plan, verdicts } = await firstPlan(steps, state)
      // before anything is remembered: the other outcomes must see the same state
      const all =
        plan.kind === 'serve' && splits.drawn.length > 0
          ? await propensities(request, planning.signal, { state, decision })
          : undefined
      remember(steps, state, plan)
      const told = { steps: verdicts, ...closedByBudgets(state) }
      if (plan.kind === 'refuse') return { ...plan, ...told }
      // if the results of the other outcomes are unknown: at least this
      const least = splits.probability * plan.propensity
      const propensity = all?.get(plan.targets[0]!.model) ?? least
      return { ...plan, propensity, ...told }
    },
  }
}

/** For the budgets that closed a model to this request, which count it unless it is a preview. */
function closedByBudgets({ closed }: StepState): Pick<Plan, 'overBudget'> {
  const overBudget = [...closed.values()].flatMap(({ budget }) => budget ?? [])
  return overBudget.length > 0 ? { overBudget } : {}
}

/** Replaces calls that cost money or have side effects, and records when that makes the outcome a guess. */
function trialOf(learned: LearnedRouter | undefined, known: Decision | undefined) {
  const trial = {
    unknown: false,
    send: (): Promise<never> => {
      trial.unknown = true
      return Promise.reject(new WeirError('upstream_unavailable', { model: '', reason: 'a trial' }))
    },
    ask: (async (request, caller) => {
      const decision = known ?? (await learned?.preview?.(request, caller))
      if (decision) return decision
      trial.unknown = true
      throw new WeirError('candidates_empty', { models: request.models, known: [] })
    }) satisfies LearnedRouter['route'],
  }
  return trial
}

/** A step of one policy, with the name that it has in the registry. */
export interface NamedStep {
  readonly name: string
  /** also applies to requests to endpoints whose model is not routed */
  readonly admits: boolean
  readonly step: Step
}

/** The steps that a policy file uses, in the order they are asked. */
export function makeSteps(policy: PolicyAtWork, services: PolicyServices): NamedStep[] {
  return usedRows(policy).flatMap(({ row, section }) => {
    const step = row.step?.(section, policy.file, services)
    return step && row.name !== undefined
      ? [{ name: row.name, admits: row.admits === true, step }]
      : []
  })
}

/**
 * The first plan, with the results of every step up to it; steps with state record it. @throws the signal's
 * reason
 */
export async function runSteps(steps: readonly NamedStep[], state: StepState): Promise<Plan> {
  const { plan, verdicts } = await firstPlan(steps, state)
  remember(steps, state, plan)
  return { ...plan, steps: verdicts }
}

function remember(steps: readonly NamedStep[], state: StepState, plan: Plan): void {
  if (plan.kind === 'serve') for (const { step } of steps) step.decided?.(state, plan)
}

async function firstPlan(
  steps: readonly NamedStep[],
  state: StepState,
): Promise<{ readonly plan: Plan; readonly verdicts: readonly StepVerdict[] }> {
  const verdicts: StepVerdict[] = []
  for (const { name, step } of steps) {
    state.signal.throwIfAborted()
    const result = await step.decide(state)
    verdicts.push(verdictOf(name, result))
    if (!result || result.kind === 'skip') continue
    state.signal.throwIfAborted()
    return { plan: { ...result, deciding: { step: name, ...result.deciding } }, verdicts }
  }
  throw new Error('no step decided, and the last one always should')
}

function verdictOf(step: string, result: StepResult): StepVerdict {
  if (!result) return { step, matched: false }
  const { reason, name } = result.kind === 'skip' ? result : result.deciding
  const matched = result.kind !== 'skip' || name !== undefined
  return definedOnly({ step, matched, name, reason })
}

/** Longest wait for a question's embedding, unless the file sets it. */
const DEFAULT_EMBED_MS = 1000

export interface StateOptions {
  /** how percentage splits are decided; by default from the request's unit */
  readonly splits?: Splits | undefined
  /** instead of the router's `route` */
  readonly ask?: LearnedRouter['route'] | undefined
  /** of the same request: its text is not read and embedded again */
  readonly from?: StepState | undefined
}

export interface StateMaker {
  (request: GatewayRequest, planning: Planning, options?: StateOptions): StepState
  /** Awaited before, where it returns something: a long request is read in a thread. */
  readonly examine: (request: GatewayRequest) => Promise<void> | undefined
}

/** What steps see of a request. The returned function throws `model_not_served` for an unknown name. */
export function stateMaker(file: PolicyFile, services: PolicyServices): StateMaker {
  const limits = compileLimits(file, services.limits, services.known)
  const routeNamed = (name: string): RouteFile | undefined =>
    Object.hasOwn(file.routes ?? {}, name)
      ? file.routes?.[name]
      : Object.hasOwn(file.models, name)
        ? { models: [name] }
        : undefined
  const stateOf = (
    request: GatewayRequest,
    { signal, send }: Planning,
    { splits, ask, from }: StateOptions = {},
  ): StepState => {
    const traits = from?.traits ?? traitsOf(request)
    const { closed, open, sensitive } = from ?? limits(request, traits)
    const outcomes = splits ?? new Splits(splitUnit(request))
    const { learned } = services
    const route = ask ?? ((asked, caller) => learned!.route(asked, caller))
    return {
      closed,
      open,
      sensitive,
      request,
      traits,
      signal,
      send,
      named: request.unlisted ? undefined : namedIn(request.body.model, routeNamed, file, services),
      route: routeNamed,
      serve: (its, reason, options = {}) =>
        routePlan(its, open, request, reason, options, services),
      learned: once(() => askLearned(request, { open, sensitive }, file, learned, route)),
      near:
        from?.near ??
        once(() => nearest(traits.question, sensitive, signal, file.semantic, services)),
      draw: (split, share) => outcomes.take(split, share),
    }
  }
  return Object.assign(stateOf, { examine: limits.examine })
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work()
    return running
  }
}

/**
 * Sensitive requests are not sent to an encoder on another machine, and if an encoder fails the step decides
 * nothing.
 */
async function nearest(
  question: string,
  sensitive: boolean,
  signal: AbortSignal,
  section: PolicyFile['semantic'],
  { semantic, onWarning }: PolicyServices,
): Promise<SemanticMatch | Skip | undefined> {
  if (!semantic) return skip('no_encoder')
  if (sensitive && semantic.remote) return skip('sensitive_and_encoder_remote')
  if (!/\S/.test(question)) return skip('no_text')
  const limit = AbortSignal.timeout(section?.deadline_ms ?? DEFAULT_EMBED_MS)
  try {
    return await semantic.match(question, AbortSignal.any([signal, limit]))
  } catch (error) {
    if (signal.aborted) throw signal.reason
    onWarning?.('the encoder of the semantic routes failed', error)
    return skip(limit.aborted ? 'encoder_late' : 'encoder_failed')
  }
}

function namedIn(
  model: string,
  route: StepState['route'],
  file: PolicyFile,
  { learned }: PolicyServices,
): StepState['named'] {
  // a model's name may begin like that
  for (const name of [model, model.replace(/^weir\//, '')]) {
    const its = route(name)
    if (its) return { name, route: its }
  }
  if (asksRouter(model, file.learned ? learned : undefined)) return undefined
  const known = ['weir', ...Object.keys(file.routes ?? {}), ...Object.keys(file.models)]
  throw new WeirError('model_not_served', { model, known }, { param: 'model' })
}

/** Whether a model's name asks for the policy as a whole or for one of the routers. */
function asksRouter(model: string, learned: LearnedRouter | undefined): boolean {
  if (WHOLE_POLICY.has(model)) return true
  const router = routerName(model)
  return router !== undefined && learned?.has(router) === true
}

/** A route as a plan, over the open models. Undefined if none of its models is open. */
function routePlan(
  route: RouteFile,
  open: readonly string[],
  request: GatewayRequest,
  deciding: Reason,
  { decision, propensity = 1, score }: ServeOptions,
  { allowDown, hedgeAfterMs }: PolicyServices,
): StepPlan | undefined {
  const models = route.models.filter((model) => open.includes(model))
  if (models.length === 0) return undefined
  const { system, parameters } = route
  const scores = new Map(decision?.candidates.map(({ model, score }) => [model, score]))
  return {
    kind: 'serve',
    targets: models.map((model) =>
      definedOnly({ model, system, parameters, score: score ?? scores.get(model) }),
    ),
    strategy: route.strategy
      ? { kind: route.strategy.kind, settings: route.strategy, open }
      : { kind: 'single' },
    deciding,
    propensity,
    ...definedOnly({
      decision,
      allowDown: route.allow_down ?? allowDown,
      hedgeAfterMs: route.hedge_after_ms ?? hedgeAfterMs,
      deadlineMs: request.hints.deadline_ms ?? route.deadline_ms,
      maxLatencyMs: request.hints.max_latency_ms ?? route.max_latency_ms,
    }),
  } satisfies Omit<ServePlan, 'deciding'> & { readonly deciding: Reason }
}

/** Errors of a router that are about the request: a later step may still be able to handle it. */
const SKIPPED: Partial<Record<ErrorCode, string>> = {
  candidates_empty: 'no_candidate_left',
  prompt_empty: 'no_text',
  prompt_too_long: 'too_long',
}

/** Asks the router over the models that hard limits allow. `ask` is its `route` or `preview`. */
async function askLearned(
  request: GatewayRequest,
  { open, sensitive }: Omit<Limited, 'closed'>,
  file: PolicyFile,
  learned: LearnedRouter | undefined,
  ask: LearnedRouter['route'],
): ReturnType<StepState['learned']> {
  if (!file.learned || !learned) return skip('no_router')
  const { model } = request.body
  const router = WHOLE_POLICY.has(model) ? file.learned.router : routerName(model)
  if (sensitive && learned.remote(router)) return skip('sensitive_and_encoder_remote')
  const threshold = request.hints.threshold ?? file.learned.threshold
  const asked = { ...routeRequest(request, router), models: [...open] }
  try {
    return await ask(threshold === undefined ? asked : { ...asked, threshold }, request.caller)
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    const reason = SKIPPED[error.code]
    if (reason !== undefined) return skip(reason)
    if (error.code !== 'router_forbidden') throw error
    const { message, code } = error
    return { kind: 'refuse', as: 'error', message, deciding: { reason: code } }
  }
}
