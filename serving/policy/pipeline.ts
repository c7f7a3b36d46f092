import type { Decision, RouteRequest } from '../../models/decision.ts'
import type { ChatMessage } from '../../models/messages.ts'
import type { Caller } from '../decision/decider.ts'
import type { Deciding, GatewayRequest, Plan, ServePlan } from '../gateway/plan.ts'
import type { Policy } from '../gateway/policy.ts'
import type { CheckedPolicy } from './check.ts'
import { compileCondition } from './condition.ts'
import type { RouteFile } from './file.ts'
import { compileLimits } from './limits.ts'
import type { SemanticIndex } from './semantic.ts'
import { StickySessions } from './sticky.ts'
import { traitsOf } from './traits.ts'

export interface PolicyNeeds {
  /** the learned router; without one, that step is passed */
  readonly route?: (request: RouteRequest, caller: Caller) => Promise<Decision>
  /** built from the file's `semantic` section; without one, that step is passed */
  readonly semantic?: SemanticIndex
}

/** Hard limits, guardrails, a named model or route, rules, semantic routes, sticky sessions, learned router, default. */
export function createPolicy({ file, source }: CheckedPolicy, needs: PolicyNeeds): Policy {
  const limits = compileLimits(file)
  const compile = <T extends { readonly when: Parameters<typeof compileCondition>[0] }>(
    rule: T,
  ) => ({
    ...rule,
    holds: compileCondition(rule.when, file.keys),
  })
  const guardrails = (file.guardrails ?? []).map(compile)
  const rules = (file.rules ?? []).map(compile)
  const sticky = file.sticky ? new StickySessions(file.sticky) : undefined
  const routeOf = (name: string): RouteFile => file.routes?.[name] ?? { models: [name] }
  const isTarget = (name: string): boolean => name in file.models || name in (file.routes ?? {})

  return {
    async plan(request, { signal }): Promise<Plan> {
      const traits = traitsOf(request)
      const closed = limits(request, traits)
      for (const { name, message, as, holds } of guardrails) {
        if (!holds(request, traits)) continue
        const deciding = { step: 'guardrail', reason: 'matched', name }
        return { kind: 'refuse', message, as: as ?? 'error', deciding }
      }
      const open = Object.keys(file.models).filter((model) => !closed.has(model))
      const refused = (): Plan => ({
        kind: 'refuse',
        as: 'error',
        message: `no model may take this request: ${[...closed].map((pair) => pair.join(': ')).join('; ')}`,
        deciding: { step: 'hard_limit', reason: 'no_model_left' },
      })
      if (open.length === 0) return refused()

      /** Undefined where hard limits leave none of the route's models. */
      const serve = (route: RouteFile, deciding: Deciding): ServePlan | undefined => {
        const models = route.models.filter((model) => open.includes(model))
        if (models.length === 0) return undefined
        const maxLatencyMs = request.hints.max_latency_ms ?? route.max_latency_ms
        const deadlineMs = request.hints.deadline_ms ?? route.deadline_ms
        return {
          kind: 'serve',
          targets: models.map((model) => ({
            model,
            ...(route.system === undefined ? {} : { system: route.system }),
            ...(route.parameters ? { parameters: route.parameters } : {}),
          })),
          strategy: { kind: 'single' },
          deciding,
          ...(route.allow_down === undefined ? {} : { allowDown: route.allow_down }),
          ...(route.hedge_after_ms === undefined ? {} : { hedgeAfterMs: route.hedge_after_ms }),
          ...(deadlineMs === undefined ? {} : { deadlineMs }),
          ...(maxLatencyMs === undefined ? {} : { maxLatencyMs }),
          propensity: 1,
          notes: { policy: source.hash, ...(closed.size > 0 ? { closed: closed.size } : {}) },
        }
      }

      const named = request.body.model.replace(/^weir\//, '')
      if (isTarget(named)) {
        return (
          serve(routeOf(named), { step: 'model_named', reason: 'asked_for', name: named }) ??
          refused()
        )
      }
      for (const { name, route, holds } of rules) {
        const plan = holds(request, traits)
          ? serve(routeOf(route), { step: 'rule', reason: 'matched', name })
          : undefined
        if (plan) return plan
      }
      const near = traits.question === '' ? undefined : await needs.semantic?.match(traits.question)
      const meant = file.semantic?.routes.find(({ name }) => name === near?.name)
      if (meant && near) {
        const deciding = { step: 'semantic', reason: 'near_examples', name: near.name }
        const plan = serve(routeOf(meant.route), deciding)
        if (plan) {
          return { ...plan, targets: plan.targets.map((one) => ({ ...one, score: near.score })) }
        }
      }
      if (file.learned && needs.route) {
        const decision = await needs.route(
          learnedRequest(request, file.learned, open),
          request.caller,
        )
        signal.throwIfAborted()
        const kept = sticky?.keep(request, decision, open)
        const scored = decision.candidates.map(({ model }) => model)
        const models = kept ? [kept, ...scored.filter((model) => model !== kept)] : scored
        const plan = serve(
          { models },
          kept
            ? { step: 'sticky', reason: 'within_margin' }
            : { step: 'learned', reason: decision.reason },
        )
        if (plan) {
          sticky?.remember(request, plan.targets[0]!.model)
          return { ...plan, decision, propensity: kept ? 1 : decision.propensity }
        }
      }
      const usual = serve(routeOf(file.default), { step: 'default', reason: 'no_step_decided' })
      return usual ?? serve({ models: open }, { step: 'fallback', reason: 'default_closed' })!
    },
  }
}

function learnedRequest(
  { body, hints }: GatewayRequest,
  learned: { readonly router?: string; readonly threshold?: number },
  models: string[],
): RouteRequest {
  const messages = body.messages.map(({ role, content }) => ({ role, content: content ?? null }))
  const threshold = hints.threshold ?? learned.threshold
  return {
    messages: messages as ChatMessage[],
    models,
    ...(learned.router === undefined ? {} : { router: learned.router }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(hints.session_id === undefined ? {} : { session_id: hints.session_id }),
  }
}
