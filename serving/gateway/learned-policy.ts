import { WeirError } from '../../core/errors.ts'
import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import type { ChatMessage } from '../../models/reading/messages.ts'
import { pickContext } from '../../models/reading/transcript.ts'
import type { Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import { mayName } from '../router/keys.ts'
import { resolveTarget, type Target } from '../router/snapshot.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { GatewayRequest, Policy, ServePlan, StepName } from './contracts.ts'
import type { ServedModel } from './dispatcher.ts'
import { tooSlowFor } from './failover.ts'

export interface LearnedPolicyOptions {
  readonly decider: Decider
  readonly fleet: Fleet
  /** names of `gateway.models` */
  readonly models: ReadonlyMap<string, ServedModel>
  readonly allowDown: boolean
  readonly hedgeAfterMs: number | undefined
}

/** The steps that its plans name: for a named model, a decision, and a request without text. */
const STEPS = {
  named: 'model_named',
  decided: 'learned',
  noText: 'fallback',
} as const satisfies Record<string, StepName>
export const LEARNED_POLICY_STEPS: readonly StepName[] = Object.values(STEPS)

/**
 * The default policy: a named model is asked; otherwise the learned router picks, and its candidates are the
 * fallback order.
 */
export function createLearnedPolicy(options: LearnedPolicyOptions): Policy {
  const { decider, fleet, models, allowDown, hedgeAfterMs } = options
  const common = {
    kind: 'serve',
    strategy: { kind: 'single' },
    allowDown,
    ...(hedgeAfterMs === undefined ? {} : { hedgeAfterMs }),
  } as const

  return {
    async plan(request): Promise<ServePlan> {
      const { model } = request.body
      if (models.has(model)) {
        // a key limited to some routers cannot bypass them by naming a model
        if (!mayName(request.caller, model)) {
          throw new WeirError('router_forbidden', { router: model }, { param: 'model' })
        }
        const deciding = { step: STEPS.named, reason: 'model_named' }
        return { ...common, targets: [{ model }], deciding, propensity: 1 }
      }
      const router = routerName(model)
      const asked = amongAble(routeRequest(request, router), request, options)
      let decision: Decision
      try {
        decision = await decider.route(asked, request.caller)
      } catch (error) {
        if (error instanceof WeirError && error.code === 'router_unknown') {
          const known = [...models.keys(), ...(fleet.snapshot?.targets.keys() ?? [])]
          throw new WeirError('model_not_served', { model, known }, { param: 'model' })
        }
        if (!(error instanceof WeirError && error.code === 'prompt_empty')) throw error
        // nothing to route on, such as only an image: the strong model answers
        const target = fleet.snapshot && resolveTarget(fleet.snapshot, router)
        const strong = target?.arms[0]?.live.strong
        if (strong === undefined || !models.has(strong)) throw error
        const deciding = { step: STEPS.noText, reason: 'no_text' }
        return { ...common, targets: [{ model: strong }], deciding, propensity: 1 }
      }
      return {
        ...common,
        targets: targetsOf(decision, models),
        deciding: { step: STEPS.decided, reason: decision.reason },
        decision,
        propensity: decision.propensity,
      }
    },
  }
}

/**
 * The request, held to the router's models that can take it, and are fast enough, so that the decision and its propensity are of
 * those; unchanged if all can, or none.
 */
function amongAble(
  asked: RouteRequest,
  request: GatewayRequest,
  { fleet, models }: LearnedPolicyOptions,
): RouteRequest {
  const { body, hints } = request
  const served = candidatesOf(fleet, asked.router).filter(
    (model) => models.has(model) && (!hints.models || hints.models.includes(model)),
  )
  const { max_ttft_ms: maxTtftMs, max_total_ms: maxTotalMs } = hints
  const goal = { maxTtftMs, maxTotalMs }
  const able = orAll(served, (model) => !models.get(model)?.abilities?.lacks(body))
  const hurries = maxTtftMs !== undefined || maxTotalMs !== undefined
  const fit = hurries ? orAll(able, (model) => !tooSlowFor({ models }, model, request, goal)) : able
  return fit.length === served.length ? asked : { ...asked, models: [...fit] }
}

/** The models that fit, or all if none does. */
function orAll(models: readonly string[], fits: (model: string) => boolean): readonly string[] {
  if (models.every(fits)) return models
  const fitting = models.filter(fits)
  return fitting.length > 0 ? fitting : models
}

/** The models of all routers that a name stands for, by those routers. */
const candidates = new WeakMap<Target['arms'], readonly string[]>()

/** The models that a router chooses among; none if it is not known, which the decision then says. */
function candidatesOf(fleet: Fleet, router: string | undefined): readonly string[] {
  try {
    const target = fleet.snapshot && resolveTarget(fleet.snapshot, router)
    if (!target) return []
    let names = candidates.get(target.arms)
    if (!names) {
      const all = target.arms.flatMap(({ live }) => live.router.manifest.candidates)
      names = [...new Set(all.map(({ model }) => model))]
      candidates.set(target.arms, names)
    }
    return names
  } catch (error) {
    if (error instanceof WeirError) return []
    throw error
  }
}

/** `weir/NAME` names a router, alias or split; `weir` alone means the default one. Other names are kept. */
export function routerName(model: string): string | undefined {
  if (model === 'weir' || model === 'weir/auto') return undefined
  return model.startsWith('weir/') ? model.slice('weir/'.length) : model
}

/** The learned router's request for a chat request. */
export function routeRequest(request: GatewayRequest, router: string | undefined): RouteRequest {
  const { hints, body } = request
  const asked: RouteRequest = { messages: body.messages.map(toMessage) }
  if (hints.threshold !== undefined) asked.threshold = hints.threshold
  if (hints.session_id !== undefined) asked.session_id = hints.session_id
  if (hints.previous_model !== undefined) asked.previous_model = hints.previous_model
  const metadata = declaredOf(body.metadata, hints.metadata)
  if (metadata !== undefined) asked.metadata = metadata
  if (hints.models) asked.models = [...hints.models]
  if (Array.isArray(body.tools)) asked.tools = body.tools
  if (router !== undefined) asked.router = router
  return asked
}

/** `metadata` of OpenAI's own requests has at most this many keys. */
const OPENAI_METADATA = 16

/** What a request declares of itself: in `metadata` of OpenAI's API, and in `weir.metadata`, which wins. */
function declaredOf(
  openAi: unknown,
  ours: RouteRequest['metadata'],
): RouteRequest['metadata'] | undefined {
  if (openAi === null || typeof openAi !== 'object' || Array.isArray(openAi)) return ours
  const given = openAi as Record<string, unknown>
  const keys = Object.keys(given)
  if (keys.length > OPENAI_METADATA) return ours
  const declared = pickContext(given, keys)
  return declared ? { ...declared, ...ours } : ours
}

function toMessage({ role, content }: ChatTurn): ChatMessage {
  if (typeof content === 'string') return { role, content }
  // tool calls have no content; parts other than text have no text
  return { role, content: content ? content.map(({ type, text }) => part(type, text)) : null }
}

const part = (type: string, text: string | null | undefined): { type: string; text?: string } =>
  typeof text === 'string' ? { type, text } : { type }

/** The decision's candidates that are allowed and served, in its order. */
export function targetsOf(
  decision: Decision,
  models: ReadonlyMap<string, unknown>,
): ServePlan['targets'] {
  const targets = decision.candidates
    .filter(({ eligible, model }) => eligible && models.has(model))
    .map(({ model, score }) => ({ model, score }))
  if (targets.length > 0) return targets
  throw new WeirError('model_not_served', { model: decision.model, known: [...models.keys()] })
}
