import { definedOnly } from '../../core/defined.ts'
import type { Decision, RouteRequest, RuleHit } from '../../models/decision/decision.ts'
import type { GatewayRequest } from '../gateway/contracts.ts'
import type { KeyHolder } from '../router/keys.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { LivePolicies } from './live-policies.ts'

/** Longest wait of an explanation for a policy's encoder. */
const WAIT_MS = 2_000

/**
 * What the gateway's policy would do with a routing request if it were a chat: the verdict of each step, then
 * the plan. No side effects, asks no model. Never throws: an error becomes the policy's verdict.
 */
export async function policyRules(
  policies: Pick<LivePolicies, 'preview'>,
  request: RouteRequest,
  decision: Decision,
  caller: KeyHolder,
  now: number,
): Promise<RuleHit[]> {
  try {
    const signal = AbortSignal.timeout(WAIT_MS)
    const chat = toChat(request, decision.id, caller, now)
    const { plan, certain, policy } = await policies.preview(chat, signal, decision)
    const { step, name, reason } = plan.deciding
    const by = `${step}${name === undefined ? '' : ` ${name}`} (${reason})`
    const does =
      plan.kind === 'refuse'
        ? `would refuse a chat: ${plan.message}`
        : `would ask ${plan.targets.map(({ model }) => model).join(', then ')}`
    const unsure = certain ? '' : '; a model’s answer might change it'
    return [
      ...(plan.steps ?? []),
      {
        step: 'policy',
        name: `${policy.name}@${policy.hash}`,
        matched: true,
        reason: `${does}, by ${by}${unsure}`,
      },
    ]
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [{ step: 'policy', matched: false, reason }]
  }
}

/** A routing request as the chat that it would be. */
export function toChat(
  { prompt, messages, system, tools, router, threshold, models, ...rest }: RouteRequest,
  id: string,
  caller: KeyHolder,
  time: number,
): GatewayRequest {
  const { session_id: session, previous_model: previous, metadata } = rest
  const turns: ChatTurn[] = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...(messages ?? [{ role: 'user', content: prompt ?? '' }]),
  ]
  return {
    id,
    body: {
      model: router === undefined ? 'weir' : `weir/${router}`,
      messages: turns,
      ...(tools ? { tools } : {}),
    },
    caller,
    headers: {},
    hints: definedOnly({
      threshold,
      models,
      session_id: session,
      previous_model: previous,
      metadata,
    }),
    time,
  }
}
