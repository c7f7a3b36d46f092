import type { Decision } from '../../models/decision.ts'
import { WeirError } from '../../models/errors.ts'
import type { GatewayRequest, Plan, RefusePlan, StepVerdict } from '../gateway/plan.ts'
import type { Planning, Policy } from '../gateway/policy.ts'
import type { CheckedPolicy } from './check.ts'
import type { PolicyFile, RouteFile } from './file.ts'
import { askLearned, isNamed } from './learned-router.ts'
import { compileLimits } from './limits.ts'
import type { PolicyNeeds } from './needs.ts'
import type { Pass } from './pass.ts'
import { routePlan } from './route-plan.ts'
import type { Step, StepFactory, StepState } from './step.ts'
import { defaultStep } from './steps/default.ts'
import { fallbackStep } from './steps/fallback.ts'
import { guardrailStep } from './steps/guardrail.ts'
import { hardLimitStep } from './steps/hard-limit.ts'
import { learnedStep } from './steps/learned.ts'
import { namedStep } from './steps/named.ts'
import { ruleStep } from './steps/rule.ts'
import { semanticStep } from './steps/semantic.ts'
import { stickyStep } from './steps/sticky.ts'
import { traitsOf } from './traits.ts'

/** In the order they are asked. The last one always has an answer: it is asked only where a model is open. */
export const STEPS: readonly StepFactory[] = [
  hardLimitStep,
  guardrailStep,
  namedStep,
  ruleStep,
  semanticStep,
  stickyStep,
  learnedStep,
  defaultStep,
  fallbackStep,
]

/** A policy file at work. @throws WeirError `model_not_served` (in `plan`): a name that is nobody's */
export function createPolicy(policy: CheckedPolicy, needs: PolicyNeeds): Policy {
  const steps = STEPS.flatMap((factory) => factory(policy, needs) ?? [])
  const stateOf = stateMaker(policy.file, needs)
  return {
    async plan(request, planning) {
      const plan = await runSteps(steps, stateOf(request, planning))
      return { ...plan, notes: { policy: policy.source.hash } }
    },
  }
}

/** The first plan, with every step's word up to it. @throws the signal's reason */
export async function runSteps(steps: readonly Step[], state: StepState): Promise<Plan> {
  const verdicts: StepVerdict[] = []
  for (const step of steps) {
    state.signal.throwIfAborted()
    const result = await step.decide(state)
    verdicts.push(verdictOf(step, result))
    if (!result || result.kind === 'pass') continue
    state.signal.throwIfAborted()
    if (result.kind === 'serve') for (const each of steps) each.decided?.(state, result)
    return { ...result, steps: verdicts }
  }
  throw new Error('no step decided, and the last one always should')
}

function verdictOf({ name: step }: Step, result: Plan | Pass | undefined): StepVerdict {
  if (!result) return { step, matched: false }
  const { reason, name } = result.kind === 'pass' ? result : result.deciding
  const matched = result.kind !== 'pass' || name !== undefined
  return { step, matched, ...(name === undefined ? {} : { name }), reason }
}

/** What steps see of a request. */
export function stateMaker(
  file: PolicyFile,
  needs: PolicyNeeds,
): (request: GatewayRequest, planning: Planning) => StepState {
  const limits = compileLimits(file, needs.limits)
  const route = (name: string): RouteFile | undefined =>
    Object.hasOwn(file.routes ?? {}, name)
      ? file.routes?.[name]
      : Object.hasOwn(file.models, name)
        ? { models: [name] }
        : undefined
  return (request, { signal, send }) => {
    const traits = traitsOf(request)
    const limited = limits(request, traits)
    let asked: Promise<Decision | Pass | RefusePlan> | undefined
    return {
      ...limited,
      request,
      traits,
      signal,
      send,
      named: namedIn(request.body.model, route, file, needs),
      route,
      serve: (its, deciding, options = {}) =>
        routePlan(its, limited.open, request, deciding, options, needs),
      learned: () => {
        asked ??= askLearned(request, limited, file, needs.learned)
        return asked
      },
    }
  }
}

function namedIn(
  model: string,
  route: StepState['route'],
  file: PolicyFile,
  { learned }: PolicyNeeds,
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
