import { type ErrorCode, WeirError } from '../../core/errors.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type {
  Deciding,
  GatewayRequest,
  Plan,
  Planning,
  Policy,
  RefusePlan,
  ServePlan,
  StepVerdict,
} from '../gateway/contracts.ts'
import { routeRequest, routerName } from '../gateway/learned-policy.ts'
import { traitsOf } from '../gateway/traits.ts'
import type { CheckedPolicy } from './check.ts'
import type { PolicyFile, RouteFile } from './file.ts'
import { type LearnedRouter, WHOLE_POLICY } from './learned-router.ts'
import { compileLimits, type Limited } from './limits.ts'
import type { SemanticMatch } from './semantic.ts'
import { addPropensities, everyOutcome, type Propensities, Splits, splitUnit } from './splits.ts'
import {
  type PolicyServices,
  type ServeOptions,
  type Skip,
  type Step,
  type StepFactory,
  type StepResult,
  type StepState,
  skip,
} from './step.ts'
import { cacheStep } from './steps/cache.ts'
import { decideByModelStep } from './steps/decide-by-model.ts'
import { defaultStep } from './steps/default.ts'
import { fallbackStep } from './steps/fallback.ts'
import { guardrailStep } from './steps/guardrail.ts'
import { hardLimitStep } from './steps/hard-limit.ts'
import { learnedStep } from './steps/learned.ts'
import { namedStep } from './steps/named.ts'
import { ruleStep } from './steps/rule.ts'
import { semanticStep } from './steps/semantic.ts'
import { stickyStep } from './steps/sticky.ts'

/** In the order they are asked. The last one always has an answer: it is asked only where a model is open. */
export const STEPS: readonly StepFactory[] = [
  hardLimitStep,
  guardrailStep,
  namedStep,
  ruleStep,
  semanticStep,
  cacheStep,
  decideByModelStep,
  stickyStep,
  learnedStep,
  defaultStep,
  fallbackStep,
]

/** The steps that hold for what is not routed as well. */
const ADMITTING = new Set(['hard_limit', 'guardrail'])

/** A policy file at work. `plan` throws `model_not_served` for a name that is nobody's. */
export interface FilePolicy extends Required<Policy> {
  /**
   * The chance of each model to be asked first, over all ways that percentage splits could have fallen;
   * undefined where that cannot be known without asking a model. Leaves no trace.
   */
  chances(request: GatewayRequest, signal: AbortSignal): Promise<Propensities | undefined>
  /**
   * The plan that the request would get, every step's word with it. Leaves no trace: a step that would ask a
   * model passes, and then it is not `certain`.
   *
   * @param decision the router's, where it was asked already
   */
  preview(request: GatewayRequest, signal: AbortSignal, decision?: Decision): Promise<Preview>
}

export interface Preview {
  readonly plan: Plan
  readonly certain: boolean
}

export function createPolicy(policy: CheckedPolicy, needs: PolicyServices): FilePolicy {
  const steps = STEPS.flatMap((factory) => factory(policy, needs) ?? [])
  const stateOf = stateMaker(policy.file, needs)

  /** @param real the request's own run: what it has asked is not asked again */
  const chances = async (
    request: GatewayRequest,
    signal: AbortSignal,
    real?: { readonly state: StepState; readonly decision: Decision | undefined },
  ): Promise<Propensities | undefined> => {
    const all: Propensities = new Map()
    const known = await everyOutcome(splitUnit(request), async (draws) => {
      const trial = trialOf(needs.learned, real?.decision)
      const options = { draws, ask: trial.ask, ...(real ? { from: real.state } : {}) }
      const state = stateOf(request, { signal, send: trial.send }, options)
      const { plan } = await firstPlan(steps, state)
      addPropensities(all, plan, draws.probability)
      return !trial.unknown
    })
    return known ? all : undefined
  }

  return {
    chances: (request, signal) => chances(request, signal),
    async preview(request, signal, decision) {
      const trial = trialOf(needs.learned, decision)
      const draws = new Splits(splitUnit(request))
      const state = stateOf(request, { signal, send: trial.send }, { draws, ask: trial.ask })
      const { plan, verdicts } = await firstPlan(steps, state)
      return { plan: { ...plan, steps: verdicts }, certain: !trial.unknown }
    },
    async admits(request, planning) {
      const state = stateOf(request, planning)
      for (const step of steps) {
        if (!ADMITTING.has(step.name)) continue
        const result = await step.decide(state)
        if (result?.kind === 'refuse') return { ...result, ...closedByBudgets(state) }
      }
      return undefined
    },
    async plan(request, planning) {
      const draws = new Splits(splitUnit(request))
      let decision: Decision | undefined
      const ask: LearnedRouter['route'] = async (asked, caller) => {
        decision = await needs.learned!.route(asked, caller)
        return decision
      }
      const state = stateOf(request, planning, { draws, ask })
      const { plan, verdicts } = await firstPlan(steps, state)
      // before anything is remembered: the other falls are of the same moment
      const all =
        plan.kind === 'serve' && draws.drawn.length > 0
          ? await chances(request, planning.signal, { state, decision })
          : undefined
      remember(steps, state, plan)
      const told = { steps: verdicts, ...closedByBudgets(state) }
      if (plan.kind === 'refuse') return { ...plan, ...told }
      // where it is not known what the other falls would have come to: at least this
      const least = draws.probability * plan.propensity
      const propensity = all?.get(plan.targets[0]!.model) ?? least
      return { ...plan, propensity, ...told }
    },
  }
}

/** For the budgets that closed a model to this request, which count it where it is no preview. */
function closedByBudgets({ closed }: StepState): Pick<Plan, 'overBudget'> {
  const overBudget = [...closed.values()].flatMap(({ budget }) => budget ?? [])
  return overBudget.length > 0 ? { overBudget } : {}
}

/** Stands in for what costs money or leaves a trace, and knows when that makes the outcome a guess. */
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

/** The first plan, with every step's word up to it; remembered by those that do. @throws the signal's reason */
export async function runSteps(steps: readonly Step[], state: StepState): Promise<Plan> {
  const { plan, verdicts } = await firstPlan(steps, state)
  remember(steps, state, plan)
  return { ...plan, steps: verdicts }
}

function remember(steps: readonly Step[], state: StepState, plan: Plan): void {
  if (plan.kind === 'serve') for (const step of steps) step.decided?.(state, plan)
}

async function firstPlan(
  steps: readonly Step[],
  state: StepState,
): Promise<{ readonly plan: Plan; readonly verdicts: readonly StepVerdict[] }> {
  const verdicts: StepVerdict[] = []
  for (const step of steps) {
    state.signal.throwIfAborted()
    const result = await step.decide(state)
    verdicts.push(verdictOf(step, result))
    if (!result || result.kind === 'pass') continue
    state.signal.throwIfAborted()
    return { plan: result, verdicts }
  }
  throw new Error('no step decided, and the last one always should')
}

function verdictOf({ name: step }: Step, result: StepResult): StepVerdict {
  if (!result) return { step, matched: false }
  const { reason, name } = result.kind === 'pass' ? result : result.deciding
  const matched = result.kind !== 'pass' || name !== undefined
  return { step, matched, ...(name === undefined ? {} : { name }), reason }
}

/** Longest wait for a question's embedding, where the file says nothing else. */
const DEFAULT_EMBED_MS = 1000

export interface StateOptions {
  /** how percentage splits fall; by the request's unit unless told */
  readonly draws?: Splits
  /** instead of the router's `route` */
  readonly ask?: LearnedRouter['route']
  /** of the same request: its text is not read and embedded again */
  readonly from?: StepState
}

export type StateMaker = (
  request: GatewayRequest,
  planning: Planning,
  options?: StateOptions,
) => StepState

/** What steps see of a request. The function it makes throws `model_not_served` for a name that is nobody's. */
export function stateMaker(file: PolicyFile, needs: PolicyServices): StateMaker {
  const limits = compileLimits(file, needs.limits)
  const routeNamed = (name: string): RouteFile | undefined =>
    Object.hasOwn(file.routes ?? {}, name)
      ? file.routes?.[name]
      : Object.hasOwn(file.models, name)
        ? { models: [name] }
        : undefined
  return (request, { signal, send }, { draws, ask, from } = {}) => {
    const traits = from?.traits ?? traitsOf(request)
    const limited = from ?? limits(request, traits)
    const splits = draws ?? new Splits(splitUnit(request))
    const { learned } = needs
    const route = ask ?? ((asked, caller) => learned!.route(asked, caller))
    return {
      closed: limited.closed,
      open: limited.open,
      sensitive: limited.sensitive,
      request,
      traits,
      signal,
      send,
      named: namedIn(request.body.model, routeNamed, file, needs),
      route: routeNamed,
      serve: (its, deciding, options = {}) =>
        routePlan(its, limited.open, request, deciding, options, needs),
      learned: once(() => askLearned(request, limited, file, learned, route)),
      near:
        from?.near ??
        once(() => nearest(traits.question, limited.sensitive, signal, file.semantic, needs)),
      draw: (split, share) => splits.take(split, share),
    }
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work()
    return running
  }
}

/** What is sensitive is not sent to an encoder elsewhere, and an encoder that fails decides nothing. */
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
  // a model's own name may begin like that
  for (const name of [model, model.replace(/^weir\//, '')]) {
    const its = route(name)
    if (its) return { name, route: its }
  }
  if (isNamed(model, file.learned ? learned : undefined)) return undefined
  const known = ['weir', ...Object.keys(file.routes ?? {}), ...Object.keys(file.models)]
  throw new WeirError('model_not_served', { model, known }, { param: 'model' })
}

/** A route as a plan, over the models that are open. Undefined where none of its models is. */
function routePlan(
  route: RouteFile,
  open: readonly string[],
  request: GatewayRequest,
  deciding: Deciding,
  { decision, propensity, score }: ServeOptions,
  needs: Pick<PolicyServices, 'allowDown' | 'hedgeAfterMs'>,
): ServePlan | undefined {
  const models = route.models.filter((model) => open.includes(model))
  if (models.length === 0) return undefined
  const maxLatencyMs = request.hints.max_latency_ms ?? route.max_latency_ms
  const deadlineMs = request.hints.deadline_ms ?? route.deadline_ms
  const allowDown = route.allow_down ?? needs.allowDown
  const hedgeAfterMs = route.hedge_after_ms ?? needs.hedgeAfterMs
  const scores = new Map(decision?.candidates.map(({ model, score }) => [model, score]))
  return {
    kind: 'serve',
    targets: models.map((model) => {
      const its = score ?? scores.get(model)
      return {
        model,
        ...(route.system === undefined ? {} : { system: route.system }),
        ...(route.parameters ? { parameters: route.parameters } : {}),
        ...(its === undefined ? {} : { score: its }),
      }
    }),
    strategy: route.strategy
      ? { kind: route.strategy.kind, settings: route.strategy, open }
      : { kind: 'single' },
    deciding,
    ...(decision ? { decision } : {}),
    ...(allowDown === undefined ? {} : { allowDown }),
    ...(hedgeAfterMs === undefined ? {} : { hedgeAfterMs }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(maxLatencyMs === undefined ? {} : { maxLatencyMs }),
    propensity: propensity ?? 1,
  }
}

/** The router that a request is for: the one it names, else the file's. */
function routerOf(model: string, file: PolicyFile): string | undefined {
  return WHOLE_POLICY.has(model) ? file.learned?.router : routerName(model)
}

/** Whether a model's name means something to the policy: its own routes and models, or a router. */
function isNamed(model: string, learned: LearnedRouter | undefined): boolean {
  if (WHOLE_POLICY.has(model)) return true
  const router = routerName(model)
  return router !== undefined && learned?.has(router) === true
}

/** What is wrong with a request for the router alone: the next step may still know what to do with it. */
const PASSED: Partial<Record<ErrorCode, string>> = {
  candidates_empty: 'no_candidate_left',
  prompt_empty: 'no_text',
  prompt_too_long: 'too_long',
}

/** Asks the router over the models that hard limits left. `ask` is its `route` or `preview`. */
async function askLearned(
  request: GatewayRequest,
  { open, sensitive }: Limited,
  file: PolicyFile,
  learned: LearnedRouter | undefined,
  ask: LearnedRouter['route'],
): Promise<Decision | Skip | RefusePlan> {
  if (!file.learned || !learned) return skip('no_router')
  const router = routerOf(request.body.model, file)
  if (sensitive && learned.remote(router)) return skip('sensitive_and_encoder_remote')
  const threshold = request.hints.threshold ?? file.learned.threshold
  const asked = {
    ...routeRequest(request, router),
    models: [...open],
    ...(threshold === undefined ? {} : { threshold }),
  }
  try {
    return await ask(asked, request.caller)
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    const reason = PASSED[error.code]
    if (reason !== undefined) return skip(reason)
    if (error.code !== 'router_forbidden') throw error
    return {
      kind: 'refuse',
      as: 'error',
      message: error.message,
      deciding: { step: 'learned', reason: error.code },
    }
  }
}
