import { WeirError } from '../../core/errors.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type { GatewayRequest, Plan, Policy, StepVerdict } from '../gateway/contracts.ts'

import type { CheckedPolicy } from './check.ts'
import { addPlan, type Chances, Draws, everyFall, unitOf } from './draws.ts'

import type { LearnedRouter } from './learned-router.ts'
import type { PolicyNeeds } from './needs.ts'
import { stateMaker } from './state.ts'
import type { Step, StepFactory, StepResult, StepState } from './step.ts'
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
  chances(request: GatewayRequest, signal: AbortSignal): Promise<Chances | undefined>
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

export function createPolicy(policy: CheckedPolicy, needs: PolicyNeeds): FilePolicy {
  const steps = STEPS.flatMap((factory) => factory(policy, needs) ?? [])
  const stateOf = stateMaker(policy.file, needs)

  /** @param real the request's own run: what it has asked is not asked again */
  const chances = async (
    request: GatewayRequest,
    signal: AbortSignal,
    real?: { readonly state: StepState; readonly decision: Decision | undefined },
  ): Promise<Chances | undefined> => {
    const all: Chances = new Map()
    const known = await everyFall(unitOf(request), async (draws) => {
      const trial = trialOf(needs.learned, real?.decision)
      const options = { draws, ask: trial.ask, ...(real ? { from: real.state } : {}) }
      const state = stateOf(request, { signal, send: trial.send }, options)
      const { plan } = await firstPlan(steps, state)
      addPlan(all, plan, draws.probability)
      return !trial.unknown
    })
    return known ? all : undefined
  }

  return {
    chances: (request, signal) => chances(request, signal),
    async preview(request, signal, decision) {
      const trial = trialOf(needs.learned, decision)
      const draws = new Draws(unitOf(request))
      const state = stateOf(request, { signal, send: trial.send }, { draws, ask: trial.ask })
      const { plan, verdicts } = await firstPlan(steps, state)
      return { plan: { ...plan, steps: verdicts }, certain: !trial.unknown }
    },
    async admits(request, planning) {
      const state = stateOf(request, planning)
      for (const step of steps) {
        if (!ADMITTING.has(step.name)) continue
        const result = await step.decide(state)
        if (result?.kind === 'refuse') return result
      }
      return undefined
    },
    async plan(request, planning) {
      const draws = new Draws(unitOf(request))
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
      if (plan.kind === 'refuse') return { ...plan, steps: verdicts }
      // where it is not known what the other falls would have come to: at least this
      const least = draws.probability * plan.propensity
      const propensity = all?.get(plan.targets[0]!.model) ?? least
      return { ...plan, propensity, steps: verdicts }
    },
  }
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
