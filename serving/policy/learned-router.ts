import { type ErrorCode, WeirError } from '../../core/errors.ts'
import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import type { GatewayRequest, RefusePlan } from '../gateway/contracts.ts'
import { routeRequest, routerName } from '../gateway/learned-policy.ts'
import type { Caller } from '../router/decider.ts'
import type { PolicyFile } from './file.ts'
import type { Limited } from './limits.ts'
import { type Pass, pass } from './pass.ts'

/** The routers of the server, as a policy sees them. A router is named, or undefined for the default one. */
export interface LearnedRouter {
  /** @throws WeirError what is wrong with the request */
  route(request: RouteRequest, caller: Caller): Promise<Decision> | Decision
  /** The same without leaving a trace in logs; undefined where its chances cannot be known so. */
  preview?(request: RouteRequest, caller: Caller): Promise<Decision | undefined>
  has(router: string): boolean
  /** its encoder sends prompts to another machine, or that of a router that decides beside it */
  remote(router: string | undefined): boolean
}

/** Names that ask for the policy as a whole. */
export const WHOLE_POLICY: ReadonlySet<string> = new Set(['weir', 'weir/auto', 'auto'])

/** The router that a request is for: the one it names, else the file's. */
export function routerOf(model: string, file: PolicyFile): string | undefined {
  return WHOLE_POLICY.has(model) ? file.learned?.router : routerName(model)
}

/** Whether a model's name means something to the policy: its own routes and models, or a router. */
export function isNamed(model: string, learned: LearnedRouter | undefined): boolean {
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
export async function askLearned(
  request: GatewayRequest,
  { open, sensitive }: Limited,
  file: PolicyFile,
  learned: LearnedRouter | undefined,
  ask: LearnedRouter['route'],
): Promise<Decision | Pass | RefusePlan> {
  if (!file.learned || !learned) return pass('no_router')
  const router = routerOf(request.body.model, file)
  if (sensitive && learned.remote(router)) return pass('sensitive_and_encoder_remote')
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
    if (reason !== undefined) return pass(reason)
    if (error.code !== 'router_forbidden') throw error
    return {
      kind: 'refuse',
      as: 'error',
      message: error.message,
      deciding: { step: 'learned', reason: error.code },
    }
  }
}
