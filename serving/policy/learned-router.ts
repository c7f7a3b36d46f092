import { WeirError } from '../../core/errors.ts'
import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import { isRemote } from '../../models/encoders/encoder.ts'
import type { Caller, Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import { resolveTarget, type Target } from '../router/snapshot.ts'

/** The routers of the server, as a policy sees them. A router is named, or undefined for the default one. */
export interface LearnedRouter {
  /** @throws WeirError if the request is invalid */
  route(request: RouteRequest, caller: Caller): Promise<Decision> | Decision
  /** The same decision without logging it; undefined where exploration makes it unpredictable. */
  preview?(request: RouteRequest, caller: Caller): Promise<Decision | undefined>
  has(router: string): boolean
  /**
   * whether its encoder, or that of a router that shadows it or shares its requests, sends prompts to another
   * machine
   */
  remote(router: string | undefined): boolean
}

/** Names that ask for the policy as a whole. */
export const WHOLE_POLICY: ReadonlySet<string> = new Set(['weir', 'weir/auto', 'auto'])

/** The two models that a router chooses between. */
export interface RouterPair {
  readonly router: string
  readonly strong: string
  readonly weak: string
}

export interface FleetRouterOptions {
  readonly decider: Decider
  readonly fleet: Fleet
  /** whether exploration or an online head is on, which make decisions unpredictable */
  readonly draws: boolean
}

/** The server's routers, as policies see them, and their models. */
export interface FleetRouter extends LearnedRouter {
  /** the pair of each router behind the name; empty if no router has it */
  pairs(router: string | undefined): RouterPair[]
}

export function fleetRouter({ decider, fleet, draws }: FleetRouterOptions): FleetRouter {
  /** @throws router_name_invalid */
  const find = (name: string | undefined): Target | undefined => {
    try {
      return fleet.snapshot && resolveTarget(fleet.snapshot, name)
    } catch (error) {
      if (error instanceof WeirError && error.code === 'router_unknown') return undefined
      throw error
    }
  }
  return {
    route: (request, caller) => decider.route(request, caller),
    async preview(request, caller) {
      const target = find(request.router)
      if (draws || target?.arms.length !== 1) return undefined
      if (caller.routers && !caller.routers.has(target.name)) {
        throw new WeirError('router_forbidden', { router: target.name }, { param: 'router' })
      }
      const { live } = target.arms[0]!
      live.acquire()
      try {
        // a router without a fleet has no aliases
        const { router: _, ...asked } = request
        const threshold = request.threshold ?? target.threshold
        return await live.router.route({
          ...asked,
          ...(threshold === undefined ? {} : { threshold }),
        })
      } finally {
        live.release()
      }
    },
    has: (name) => find(name) !== undefined,
    remote(name) {
      const { arms = [], shadows = [] } = find(name) ?? {}
      const all = [...arms.map(({ live }) => live), ...shadows]
      return all.some(({ router }) => isRemote(router.manifest.encoder))
    },
    pairs: (name) =>
      (find(name)?.arms ?? []).map(({ live }) => {
        const { name: router, candidates } = live.router.manifest
        const weak = candidates.find(({ role }) => role === 'weak')!.model
        return { router, strong: live.strong, weak }
      }),
  }
}
