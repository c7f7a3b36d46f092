import { WeirError } from '../../core/errors.ts'
import type { GatewayRequest, Plan, Planning, ServePlan } from '../gateway/contracts.ts'

import { placeIn, unitOf } from './draws.ts'
import type { PolicyVersion } from './policy-version.ts'

export interface PolicySource {
  readonly name: string
  readonly path: string
  /** its share of the units beside the others */
  readonly weight: number
}

/** One of the policies that share the requests; the shares of all add up to 1. */
export interface Arm extends PolicySource {
  readonly share: number
  readonly version: PolicyVersion
}

/** The plan of the request's own policy, its propensity over all of them. */
export async function planOver(
  arms: readonly Arm[],
  request: GatewayRequest,
  planning: Planning,
): Promise<Plan> {
  const own = armOf(arms, request)
  const { name, version } = own
  const policy = { name, hash: version.hash }
  const plan = await version.using((its) => its.plan(request, planning))
  if (plan.kind === 'refuse' || arms.length === 1) return { ...plan, policy }
  return { ...plan, policy, propensity: await chanceOf(plan, own, arms, request, planning.signal) }
}

/** What the other policies would have done with the request is asked too, as far as that leaves no trace. */
async function chanceOf(
  plan: ServePlan,
  own: Arm,
  arms: readonly Arm[],
  request: GatewayRequest,
  signal: AbortSignal,
): Promise<number> {
  const { model } = plan.targets[0]!
  let chance = own.share * plan.propensity
  for (const { share, version } of arms) {
    if (version === own.version) continue
    const others = await version.using((its) =>
      its.chances(request, signal).catch((error: unknown) => {
        // a name that the other policy does not know would have been refused there
        if (error instanceof WeirError) return undefined
        throw error
      }),
    )
    signal.throwIfAborted()
    chance += share * (others?.get(model) ?? 0)
  }
  return chance
}

/** Always the same one for a session, a key, or else a request. */
export function armOf(arms: readonly Arm[], request: GatewayRequest): Arm {
  if (arms.length === 1) return arms[0]!
  let at = placeIn('policies', unitOf(request))
  for (const arm of arms) {
    if (at < arm.share) return arm
    at -= arm.share
  }
  return arms.at(-1)!
}
